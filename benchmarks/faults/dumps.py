"""Marks in all that a site must keep to itself, searched for in a gigabyte of what left it: G14."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import client.rounds
from tests.faults.test_P_canaries import Canaries, failing_at_ash, marked, prepare, what_left
from tests.privacy.made import floored_config, floored_dataset, run_recorded

WIDTH = 512  # makes a model of some 10 MB
TAG = 6  # bytes; a multiple of three, so that base64 spells the beginning of a mark in whole letters


class Tagged(Canaries):
    """Marks that begin with the same random bytes: one search per spelling looks for all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.tag = secrets.token_bytes(TAG)

    def new(self) -> str:
        """A mark of 16 bytes, in hexadecimal."""
        self.marks.append(self.tag + secrets.token_bytes(16 - TAG))
        return self.marks[-1].hex()

    @property
    def spellings(self) -> Iterator[bytes]:
        """Of the beginning that all marks share."""
        beginning = Canaries()
        beginning.marks.append(self.tag)
        return beginning.spellings


def searched(goal: int) -> tuple[int, int]:
    """Bytes of marks found, and bytes searched, at least ``goal``, in what runs of three rounds left.

    Raises:
        RuntimeError: the marks are not at the site either, so that a search would mean nothing.
    """
    found = done = 0
    while done < goal:
        canaries = Tagged()
        with tempfile.TemporaryDirectory() as made, pytest.MonkeyPatch.context() as patch:
            patch.setattr(client.rounds, "train_locally", failing_at_ash(canaries))
            wide = {"model__width": WIDTH, "model__fusion_hidden": WIDTH}
            out = Path(made) / canaries.new()
            dump = run_recorded(
                floored_config(rounds=3, **wide), marked(floored_dataset(), canaries), out, prepare=prepare(canaries)
            )
            if dump.error is not None:
                raise dump.error
            if not canaries.found_in((dump.homes / "ash" / "log" / "site.log").read_bytes()):
                raise RuntimeError("no mark in the log of the site whose training failed")
            for _, data in what_left(dump):
                found += sum(map(len, canaries.found_in(data)))
                done += len(data)
    return found, done
