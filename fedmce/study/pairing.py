"""Are the runs of one seed a pair? Their hashes say whether they share rows, splits, masks and initial weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedmce.study.results import Place, Results


@dataclass(frozen=True)
class Mismatch:
    """A run that is no pair of the one it is compared with."""

    place: Place
    other: str
    what: str

    def __str__(self) -> str:
        setting, method, seed = self.place
        return f"{setting}/{method}/seed {seed}: other {self.what} than {self.other}"


def mismatches(results: Results) -> list[Mismatch]:
    """Runs that do not share what all runs of their setting and seed must share.

    Every run is held against that of the reference, or of the first method that has one. A method with
    ``unpaired_masks`` may have other masks. Components are compared where their shapes agree: another network
    has other weights by definition.
    """
    found = []
    study = results.study
    order = [study.reference, *(name for name in study.methods if name != study.reference)]
    for setting in study.settings:
        for seed in study.seeds:
            there = [name for name in order if (setting, name, seed) in results.records]
            paired = [name for name in there if not study.methods[name].unpaired_masks]
            for name in there:
                against = (paired or there)[0]
                first = results.records[setting, against, seed]["hashes"]
                own = results.records[setting, name, seed]["hashes"]
                for what in differing(first, own, masks=name in paired):
                    found.append(Mismatch((setting, name, seed), against, what))
    return found


def differing(first: Mapping[str, Any], second: Mapping[str, Any], *, masks: bool = True) -> list[str]:
    """What two runs should share and do not: ``masks``, ``splits``, ``initial weights``."""
    found = [key for key in ("masks", "splits") if first.get(key) != second.get(key) and (key != "masks" or masks)]
    mine, other = (hashes.get("initial") or {} for hashes in (first, second))
    for component in sorted(set(mine) & set(other)):
        if mine[component] != other[component] and _shape(mine[component]) == _shape(other[component]):
            found.append(f"initial weights of {component}")
    return found


def _shape(text: str) -> str:
    return text.partition(":")[0]
