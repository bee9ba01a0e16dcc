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

from fedmce.errors import VersionError, WireError

SCHEMA = "fedmce.wire/1"
MODEL, STATISTICS, ORDER = "model", "statistics", "order"
UPDATE, REPORT, STAMP = "update", "report", "stamp"
SHARED = "shared"
DATA = "data"  # in the stamp of a profile: digest of the site's folder, salted by the run

MARGIN_S = 15.0  # of a deadline, for the way of a message to a site and of the reply back

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
        asked: sites that get a message in this round; 0 = not told, with ``privacy=open``.
        single: with ``asked``, granted components that no other site holds.
        audit_head: ``number:hash`` of the newest line of the server's audit log; empty where there is none.
        budget_s: seconds from receipt after which a site must have answered; None = it may take its time.
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
    asked: int = 0
    single: tuple[str, ...] = ()
    audit_head: str = ""
    budget_s: float | None = None

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
        if self.budget_s is not None:
            record["budget_s"] = self.budget_s
        if self.asked:
            record["asked"] = self.asked
        if self.single:
            record["single"] = list(self.single)
        if self.audit_head:
            record["audit_head"] = self.audit_head
        if self.modalities:
            record["modalities"] = list(self.modalities)
        if self.all_rows_by_modality:
            record["all_rows_by_modality"] = list(self.all_rows_by_modality)
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Order:
        """Inverse of :meth:`to_record`.

        A later minor version (``fedmce.wire/1.2``) is read too: what it adds, this program can do without.

        Raises:
            VersionError: a schema of another major version.
            WireError: another layout.
        """
        schema = record.get("schema")
        if not isinstance(schema, str) or not f"{schema}.".startswith(f"{SCHEMA}."):
            raise VersionError(f"order: schema {schema!r}; this program speaks {SCHEMA}. install equal versions")
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
                asked=int(record.get("asked", 0)),
                single=tuple(record.get("single", ())),
                audit_head=str(record.get("audit_head", "")),
                budget_s=float(record["budget_s"]) if "budget_s" in record else None,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise WireError(f"order: {error}; the layout of {SCHEMA} is needed") from error


def budget(deadline_s: float) -> float:
    """Seconds that a site may take of a deadline: all but the margin, or half of a short one."""
    return max(deadline_s - MARGIN_S, deadline_s / 2)


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
