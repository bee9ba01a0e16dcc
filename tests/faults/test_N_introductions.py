"""Introductions that the network loses or a site fails at: no refusal, and they cost no round more than they must."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from client.workplace import open_workplace
from fedmce.data import FederatedDataset
from fedmce.flower_compat import Message
from fedmce.site_errors import number_of
from fedmce.wire import REPORT
from tests.faults.scripted import Act, Script, play
from tests.faults.test_S_loop import config
from tests.server.made import made_dataset, use

INTRODUCTION = "query.profile"


@pytest.fixture(scope="module")
def made() -> Iterator[FederatedDataset]:
    with pytest.MonkeyPatch.context() as patch:
        yield use(patch, made_dataset())
    open_workplace.cache_clear()


def losing(act: Act, times: int) -> Script:
    """The first introductions of dale come to this; its rounds take half a minute."""
    left = [times]

    def script(site: str, number: int, kind: str) -> Act:
        if kind != INTRODUCTION or site != "dale" or not left[0]:
            return Act(after_s=30.0 if kind == "train" else 0.0)
        left[0] -= 1
        return act

    return script


LOST = {
    "silence": Act(None),
    "unavailable": Act(error=5),
    "expired": Act(error=3),
    "slow": Act(error=number_of("timeout")),
    "mended": Act(error=number_of("data_invalid")),
}


def without_numbers(reply: Message) -> Message:
    """What no site of this version sends."""
    del reply.content.metric_records[REPORT]
    return reply


@pytest.mark.parametrize("act", LOST.values(), ids=LOST)
def test_N05_a_site_whose_introduction_failed_is_asked_again(made: FederatedDataset, tmp_path: Path, act: Act) -> None:
    played = play(config(8), made, tmp_path, losing(act, 2))
    assert played.error is None
    asked = [name for _, name, kind in played.grid.asked if kind == INTRODUCTION]
    assert asked.count("dale") == 3
    assert len(asked) == 6  # nobody else was asked twice
    assert played.rounds[-1]["sites"]["dale"]["verdict"] == "accepted"


def test_N05_a_site_that_never_introduces_itself_holds_up_few_rounds(made: FederatedDataset, tmp_path: Path) -> None:
    played = play(config(50), made, tmp_path, losing(Act(None), 1000))
    assert played.error is None
    assert not any(row["void"] for row in played.rounds)
    asked = [name for _, name, kind in played.grid.asked if kind == INTRODUCTION and name == "dale"]
    assert 3 <= len(asked) <= 8
    assert played.clock.now - played.began <= 50 * 32 + len(asked) * 60 + 62


def test_N05_a_site_that_was_turned_away_is_not_asked_again(made: FederatedDataset, tmp_path: Path) -> None:
    played = play(config(8), made, tmp_path, losing(Act(change=without_numbers), 1))
    assert played.error is None
    assert [name for _, name, kind in played.grid.asked if kind == INTRODUCTION].count("dale") == 1
    assert not any("dale" in row["sites"] for row in played.rounds)
