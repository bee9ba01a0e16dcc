"""Pass T: row numbers outside their array, and samples that share a row of features or a file."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.folders.findings import Findings
from fedmce.folders.layout import FEATURES
from fedmce.folders.npy_header import NpyHeader
from fedmce.folders.pass_cells import Cells
from fedmce.folders.pass_ids import NAMES, Codes, Ids

OFTEN = 0.05  # of the rows: one row number in so many cells may stand for nothing
LEAST = 3


def check_range(name: str, cells: Cells, header: NpyHeader, ids: Ids, file: str, findings: Findings) -> None:
    """Row numbers within the array."""
    rows = header.shape[0]
    wrong = np.flatnonzero(cells.there & ((cells.numbers < -1) | (cells.numbers >= rows)))
    shown = ids.examples(wrong, lambda row: f"row number {cells.numbers[row]}")
    allowed = f"0 to {rows - 1} ({FEATURES}/{name}.npy has {rows} rows), or empty for absent"
    fix = f"correct the row number, or export {FEATURES}/{name}.npy again"
    findings.many("D17", file, f'column "{name}"', shown, len(wrong), allowed, fix)


def check_sharing(
    name: str, cells: Cells, splits: Codes, ids: Ids, shared_rows: bool, file: str, findings: Findings
) -> None:
    """One owner per row of features; never owners in two splits."""
    owners = cells.owners
    order = np.argsort(owners, kind="stable")
    order = order[owners[order] >= 0]
    sorted_owners = owners[order]
    first = np.searchsorted(sorted_owners, sorted_owners)
    again = np.flatnonzero(first != np.arange(len(order)))
    if not len(again):
        return
    where, rows, firsts = f'column "{name}"', order[again], order[first[again]]
    first_of = dict(zip(rows.tolist(), firsts.tolist(), strict=True)) if len(rows) <= 10_000 else {}

    def given(row: int) -> str:
        before = first_of.get(row, int(order[np.searchsorted(sorted_owners, owners[row])]))
        return f"{_named(cells, row)}, as {ids.name(before)}"

    if not shared_rows:
        fix = "check the join that made the table; shared_rows: true in site.yaml if it is meant"
        shown = ids.examples(rows, given)
        findings.many("D23", file, where, shown, len(rows), "one sample per row of features", fix, is_error=False)
        _warn_of_often(owners, where, cells, ids, file, findings)
    apart = rows[(splits[rows] != splits[firsts]) & (splits[rows] >= 0) & (splits[firsts] >= 0)]
    shown = ids.examples(apart, lambda row: f"{given(row)} (in {NAMES[splits[row]]})")
    fix = "put all samples of one row into one split; held-out rows would leak"
    findings.many("D24", file, where, shown, len(apart), "one split per row of features", fix)


def _warn_of_often(
    owners: npt.NDArray[np.int64], where: str, cells: Cells, ids: Ids, file: str, findings: Findings
) -> None:
    if cells.paths is not None:
        return
    numbers, counts = np.unique(owners[owners >= 0], return_counts=True)
    often = np.flatnonzero((counts >= LEAST) & (counts > OFTEN * len(owners)))
    for place in often[:1]:
        given = f"row number {numbers[place]} in {counts[place]:,} of {len(owners):,} rows"
        allowed = f"one row number in at most {OFTEN:.0%} of the rows"
        fix = "if it stands for nothing, replace it by an empty cell; row number 0 is the first row of the array"
        findings.warning("D19", file, where, given, allowed, fix)


def _named(cells: Cells, row: int) -> str:
    if cells.paths is not None:
        return repr(cells.paths.text(cells.codes[row]))
    return f"row number {cells.numbers[row]}"
