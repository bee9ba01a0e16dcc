"""Sums of test rows that only the site holds: bounds that any honest sums keep, by the row counts of its profile.

They decide nothing but the figures of the record, so what is wrong with them costs the site its test scores and
nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.contributions import Tally, is_exact
from fedmce.metrics import Cells
from fedmce.metrics.calibration import BINS
from fedmce.metrics.tables import Tables
from fedmce.training import ScoredRows
from fedmce.training.hidden_entries import HiddenEntries
from fedmce.training.scored_columns import (
    GROUPS,
    HIDDEN,
    PREFIX,
    STAND_INS,
    back_to_own,
    read_hidden,
    read_stand_ins,
    read_tables,
)
from server.claims import read_tally
from server.gate.due import CALIBRATION_LINES, CLASS_LINES, DueSums
from server.gate.metrics import read_cells
from server.gate.stop import Stop
from server.roster import RowCounts

SLACK = 1e-6  # per row: what rounding can do to a sum


def read_tested(report: Mapping[str, Any], cells: Cells, told: DueSums) -> ScoredRows:
    """The sums of a reply.

    Args:
        report: numbers of the reply.
        cells: plain scores, read before.
        told: what is expected.

    Raises:
        Stop: ``metric``.
        Claim: contributions that the value function rules out.
    """
    columns = {key.removeprefix(PREFIX): value for key, value in report.items() if key.startswith(PREFIX)}
    modalities = len(told.names)
    groups = {g: read_cells(columns, f"{g}.", told.most(g), modalities) for g in GROUPS}
    tokens = _hidden(columns, told)
    stand_ins = _stand_ins(columns, told)
    if columns and (left := set(columns) - _known(columns)):
        raise Stop("metric", f"{len(left)} columns of test sums that are not agreed upon")
    return ScoredRows(
        cells=cells,
        classes=_classes(columns, told),
        calibration=_calibration(columns, told),
        tally=_tally(columns, told),
        completed=groups["completed"],
        stand_ins=stand_ins if told.fills else None,
        own=back_to_own(groups["own"], modalities) or None,
        own_validation=back_to_own(groups["own_validation"], modalities) or None,
        hidden=HiddenEntries(tokens, groups["without"], groups["with_completed"]),
    )


def _known(columns: Mapping[str, Any]) -> set[str]:
    """Names that another function of this file reads."""
    tables = {f"{table}.{part}" for table in ("classes", "calibration") for part in ("subset", "sums")}
    tables |= {f"hidden.{part}" for part in ("modality", "total", *HIDDEN)}
    tables |= {f"stand_ins.{part}" for part in ("modality", *STAND_INS)}
    prefixes = ("value.", "share.", *(f"{group}." for group in GROUPS))
    return {key for key in columns if key in tables or key.startswith(prefixes)}


def _lists(columns: Mapping[str, Any], prefix: str, names: Sequence[str]) -> dict[str, list[Any]]:
    """Columns of equal lengths, all or none of them there; finite numbers throughout."""
    found = {name: columns.get(f"{prefix}.{name}", []) for name in names}
    for name, column in found.items():
        if not isinstance(column, list) or any(type(number) not in (int, float) for number in column):
            raise Stop("metric", f"{prefix}.{name}: needed a list of numbers")
        if column and not np.isfinite(np.asarray(column, dtype=np.float64)).all():
            raise Stop("metric", f"{prefix}.{name}: needed finite numbers")
    return found


def _whole(numbers: Sequence[Any], least: int, most: int, what: str) -> None:
    if any(type(number) is not int or not least <= number <= most for number in numbers):
        raise Stop("metric", f"{what}: needed whole numbers from {least} to {most}")


def _sums(columns: Mapping[str, Any], name: str, line: tuple[int, int], told: DueSums) -> Tables:
    lists = _lists(columns, name, ("subset", "sums"))
    codes, sums = lists["subset"], lists["sums"]
    _whole(codes, 1, (1 << len(told.names)) - 1, f"{name}.subset")
    if len(set(codes)) != len(codes) or len(codes) > told.subsets or len(sums) != len(codes) * prod(line):
        raise Stop("metric", f"{name}: {len(sums)} sums of {len(codes)} subsets; needed {prod(line)} of each, once")
    return read_tables(codes, sums, line[0]) if codes else {}


def _classes(columns: Mapping[str, Any], told: DueSums) -> Tables:
    found = _sums(columns, "classes", (CLASS_LINES, told.classes), told)
    slack = _slack(told)
    for occurring, predicted, hits in found.values():
        apart = abs(float(occurring.sum() - predicted.sum()))
        few = float(occurring.sum()) <= told.rows + slack and apart <= slack
        if not (few and _within(hits, np.minimum(occurring, predicted), slack)):
            raise Stop("metric", "classes: counts that no rows have")
    return found


def _calibration(columns: Mapping[str, Any], told: DueSums) -> Tables:
    found = _sums(columns, "calibration", (CALIBRATION_LINES, BINS + 1), told)
    slack = _slack(told)
    for rows, confidence, hits, brier in found.values():
        few = _within(rows, np.full_like(rows, told.rows), slack) and float(rows.sum()) <= told.rows + slack
        if not (
            few and all(_within(part, most * rows, slack) for part, most in ((confidence, 1), (hits, 1), (brier, 2)))
        ):
            raise Stop("metric", "calibration: sums that no rows have")
    return found


def _within(low: npt.NDArray[np.float64], high: npt.NDArray[np.float64], slack: float) -> bool:
    return bool((low >= -slack).all() and (low <= high + slack).all())


def _slack(told: DueSums) -> float:
    return (SLACK + told.slack) * max(told.rows, 1)


def _tally(columns: Mapping[str, Any], told: DueSums) -> Tally:
    """Contributions within the bounds of the value function; rows by pattern are the site's word, up to its rows."""
    values = _lists(columns, "value", ("pattern", "subset", "total", "square", "rows"))
    shares = _lists(columns, "share", ("modality", "size", "total", "square", "rows"))
    patterns = dict(zip(values["pattern"], values["rows"], strict=False))
    sizes = dict(zip(zip(shares["modality"], shares["size"], strict=False), shares["rows"], strict=False))
    _whole(list(patterns), 1, (1 << len(told.names)) - 1, "value.pattern")
    _whole([*patterns.values(), *sizes.values()], 0, told.rows, "rows of contributions")
    if sum(patterns.values()) > told.rows or any(not (0 <= m < len(told.names)) for m, _ in sizes):
        raise Stop("metric", "contributions of more rows, or of other modalities, than there are")
    measured = RowCounts(patterns if is_exact(told.contributions, len(told.names)) else None, sizes)
    kept = {key: value for key, value in columns.items() if key.startswith(("value.", "share."))}
    return read_tally(kept, told.contributions, measured, len(told.names), told.slack)


def _hidden(columns: Mapping[str, Any], told: DueSums) -> dict[str, Any]:
    lists = _lists(columns, "hidden", ("modality", "total", *HIDDEN))
    bits = lists["modality"]
    _whole(bits, 0, len(told.names) - 1, "hidden.modality")
    _whole([*lists["rows"], *lists["angles"]], 0, told.rows, "hidden.rows")
    lengths = {len(lists[key]) for key in HIDDEN}
    if len(set(bits)) != len(bits) or lengths != {len(bits)} or len(lists["total"]) != len(bits) * told.width:
        raise Stop("metric", "hidden: columns that do not belong together")
    for rows, angles, cosine, error, square in zip(*(lists[key] for key in HIDDEN), strict=True):
        if angles > rows or abs(cosine) > angles + _slack(told) or error < 0 or square < 0:
            raise Stop("metric", "hidden: sums that no rows have")
    return dict(read_hidden(lists, told.names)) if bits else {}


def _stand_ins(columns: Mapping[str, Any], told: DueSums) -> dict[str, dict[str, int]]:
    lists = _lists(columns, "stand_ins", ("modality", *STAND_INS))
    bits = lists["modality"]
    _whole(bits, 0, len(told.names) - 1, "stand_ins.modality")
    for key in STAND_INS:
        _whole(lists[key], 0, told.rows << len(told.names), f"stand_ins.{key}")
        if len(lists[key]) != len(bits):
            raise Stop("metric", "stand_ins: columns of different lengths")
    return read_stand_ins(lists, told.names)
