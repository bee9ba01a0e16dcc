"""A cell of a study: one run, named by what it is and keyed by what decides its numbers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from fedmce.config.study import Value

Values = tuple[tuple[str, Value], ...]
"""Chosen or tried hyper-parameters: (key, value) pairs in the order of the grid."""


@dataclass(frozen=True)
class Cell:
    """One run of one method in one setting.

    Attributes:
        setting: name in the study.
        method: name in the study.
        seed: root seed of the run.
        values: values of the tuned keys; empty without tuning.
        tunes: the run serves the choice of values, not the comparison.
    """

    setting: str
    method: str
    seed: int
    values: Values = ()
    tunes: bool = False

    @property
    def label(self) -> str:
        """For people: ``sound_p1/fedmce/seed 3 (training.lr=0.008)``."""
        return f"{self.setting}/{self.method}/seed {self.seed}" + (f" ({shown(self.values)})" if self.values else "")


def shown(values: Values) -> str:
    """``training.lr=0.008, objective.dropout=0.3``; a dash for none."""
    return ", ".join(f"{key}={_text(value)}" for key, value in values) or "–"


def override(key: str, value: Value) -> str:
    """``key=value`` in the grammar of overrides."""
    return f"{key}={_text(value)}"


def cell_key(fingerprint: str, code: str) -> str:
    """The name of a cell's record: equal configurations run by equal code are one cell.

    Args:
        fingerprint: :meth:`fedmce.config.RunConfig.fingerprint`.
        code: :func:`fedmce.study.code.code_sha256`.
    """
    return hashlib.sha256(f"{fingerprint}\0{code}".encode()).hexdigest()[:24]


def canonical(tree: Any) -> str:
    """JSON with sorted keys and no spaces."""
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
