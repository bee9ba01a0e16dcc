"""Names and shapes of what travels between server and sites; the one thing that both ends share.

Down, to a site: ``model`` (arrays of the components that the site can use), ``statistics`` (mean and
standard deviation of its modalities) and ``order`` (what to do). Up: ``update`` (the components that were
trained), ``report`` (counts, sums, seconds) and ``stamp`` (who answers what). Both ways, where the objective
asks for it: ``shared`` (prototypes, control variates). Profile, round 0: ``order`` down; ``statistics`` (sums),
``report`` and ``stamp`` up. No pickle, nothing per row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.errors import WireError

SCHEMA = "fedmce.wire/1"
MODEL, STATISTICS, ORDER = "model", "statistics", "order"
UPDATE, REPORT, STAMP = "update", "report", "stamp"
SHARED = "shared"

Number = int | float | list[int] | list[float]
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Order:
    """What the server asks of a site in one message.

    Attributes:
        round: 1-based; 0 = profile.
        train: train after the evaluation of the received model.
        test: score the test rows with the model that the site ends with, nothing else.
        site: whom the server takes the site to be; empty in the profile round.
        config: the whole configuration as canonical JSON.
        modalities: those whose components the site is given.
        base: digest of the model part that was sent.
        all_rows: training rows of all sites.
        all_rows_by_modality: of these, rows that hold each modality, in data set order.
    """

    round: int
    train: bool
    site: str
    config: str
    modalities: tuple[str, ...] = ()
    base: str = ""
    all_rows: int = 0
    all_rows_by_modality: tuple[int, ...] = ()
    test: bool = False

    def to_record(self) -> dict[str, Any]:
        """Values for a ConfigRecord; empty lists are left out, since their type would be unknown."""
        record: dict[str, Any] = {
            "schema": SCHEMA,
            "round": self.round,
            "train": self.train,
            "test": self.test,
            "site": self.site,
            "config": self.config,
            "base": self.base,
            "all_rows": self.all_rows,
        }
        if self.modalities:
            record["modalities"] = list(self.modalities)
        if self.all_rows_by_modality:
            record["all_rows_by_modality"] = list(self.all_rows_by_modality)
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Order:
        """Inverse of :meth:`to_record`. Raises :class:`WireError` on another layout."""
        if record.get("schema") != SCHEMA:
            raise WireError(
                f"order: schema {record.get('schema')!r}; this program speaks {SCHEMA}. install equal versions"
            )
        try:
            return cls(
                round=int(record["round"]),
                train=bool(record["train"]),
                site=str(record["site"]),
                config=str(record["config"]),
                modalities=tuple(record.get("modalities", ())),
                base=str(record["base"]),
                all_rows=int(record["all_rows"]),
                all_rows_by_modality=tuple(record.get("all_rows_by_modality", ())),
                test=bool(record["test"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise WireError(f"order: {error}; the layout of {SCHEMA} is needed") from error


def stamp(site: str, round_number: int, base: str, config_sha256: str, version: str) -> dict[str, Any]:
    """Values of the ``stamp`` record of a reply."""
    return {
        "schema": SCHEMA,
        "site": site,
        "round": round_number,
        "base": base,
        "config_sha256": config_sha256,
        "version": version,
    }


def digest(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Hash of names, types, shapes and bytes of some arrays, in order of their names."""
    found = hashlib.blake2b(digest_size=16)
    for key in sorted(arrays):
        value = np.ascontiguousarray(arrays[key])
        found.update(f"{key}|{value.dtype.str}|{value.shape}".encode())
        found.update(value.data)
    return found.hexdigest()


def text_sha256(text: str) -> str:
    """sha256 of a text; how both ends name a configuration."""
    return hashlib.sha256(text.encode()).hexdigest()
