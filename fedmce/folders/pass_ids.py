"""Pass T: ``sample_id`` and ``split``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.config.nearest import nearest
from fedmce.folders.findings import EXAMPLES, Example, Findings
from fedmce.folders.layout import ID, SPLIT, SPLITS
from fedmce.folders.texts import Texts, is_number

Rows = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
NAMES = tuple(SPLITS)  # train, val, test; their places are the codes of splits
MEANT = {"validation": "val", "valid": "val", "dev": "val", "training": "train", "testing": "test", "tune": "val"}


class Ids:
    """Names of rows for messages, and which rows share one.

    Attributes:
        codes: equal where sample ids are, -1 = empty, int32 ``(rows,)``.
    """

    def __init__(self, texts: Texts | None, rows: int) -> None:
        self._texts = texts
        self.codes: Codes = texts.codes if texts else np.full(rows, -1, dtype=np.int32)

    def name(self, row: int) -> str:
        """The row as a message names it."""
        if self._texts is None or self.codes[row] < 0:
            return f"row {row}"
        return f'sample_id "{self._texts.text(self.codes[row])}" (row {row})'

    def examples(self, rows: Rows, given: Any) -> list[Example]:
        """The first rows with what ``given(row)`` says of each."""
        return [Example(self.name(int(row)), given(int(row))) for row in rows[:EXAMPLES]]


def check_ids(ids: Ids, texts: Texts, file: str, findings: Findings) -> None:
    """Every row has a sample id."""
    blank = np.array([*texts.blank(), True])  # the last one is for rows without a code
    empty = np.flatnonzero(blank[texts.codes])
    where = f'column "{ID}"'
    shown = ids.examples(empty, lambda row: "empty")
    findings.many("D20", file, where, shown, len(empty), "a text in each row", "fill it")


def read_splits(texts: Texts, ids: Ids, file: str, findings: Findings) -> Codes:
    """Place in :data:`NAMES` per row, -1 where it is none of them, int32 ``(rows,)``."""
    where, allowed = f'column "{SPLIT}"', ", ".join(NAMES)
    values = texts.all()
    numeric = [is_number(value) for value in values]
    mixed = any(numeric) and not all(numeric)
    known = np.array([NAMES.index(v) if v in NAMES else -1 for v in values] + [-1], dtype=np.int32)
    splits: Codes = known[texts.codes]
    if mixed:
        among = np.flatnonzero(np.array([*numeric, False])[texts.codes])
        shown = ids.examples(among, lambda row: f"the number {values[texts.codes[row]]} among words")
        findings.many("D64", file, where, shown, len(among), f"one type: {allowed}", "cast the column, then rename")
    wrong = np.flatnonzero((splits < 0) & ~(np.array([*numeric, False])[texts.codes] & mixed))
    shown = ids.examples(wrong, lambda row: repr(values[texts.codes[row]]) if texts.codes[row] >= 0 else "empty")
    findings.many("D25", file, where, shown, len(wrong), allowed, _rename(values))
    return splits


def _rename(values: list[str]) -> str:
    wrong = [value for value in values if value not in NAMES]
    for value in wrong:
        word = value.strip().lower()
        if hit := word if word in NAMES else MEANT.get(word) or nearest(word, NAMES):
            return f"rename {value!r} to {hit!r}"
    return "rename"


def check_once(ids: Ids, splits: Codes, file: str, findings: Findings) -> None:
    """No sample id twice in a split (the row would count twice), none in two splits (held-out rows would leak)."""
    order = np.argsort(ids.codes, kind="stable")
    order = order[ids.codes[order] >= 0]
    codes, of_split = ids.codes[order], splits[order]
    first = np.searchsorted(codes, codes)  # place of the first row with this id
    again = np.flatnonzero(first != np.arange(len(codes)))
    if not len(again):
        return
    pairs = np.unique(np.stack([codes, of_split]), axis=1, return_index=True)[1]
    seen_before = np.ones(len(codes), dtype=np.bool_)
    seen_before[pairs] = False
    twice = np.flatnonzero(seen_before & (of_split >= 0))
    where = f'column "{ID}"'
    shown = ids.examples(
        order[twice], lambda row: f"again in {_split(int(splits[row]))}, first in row {_first(ids, row)}"
    )
    findings.many("D21", file, where, shown, len(twice), "once in a split", "remove the row, or give it another name")
    other = again[(of_split[again] != of_split[first[again]]) & (of_split[again] >= 0) & (of_split[first[again]] >= 0)]
    shown = ids.examples(
        order[other], lambda row: f"in {_split(int(splits[row]))}, and in {_split(int(splits[_first(ids, row)]))}"
    )
    findings.many("D22", file, where, shown, len(other), "in one split", "decide for one; held-out rows would leak")


def _split(code: int) -> str:
    return NAMES[code] if code >= 0 else "no split"


def _first(ids: Ids, row: int) -> int:
    return int(np.argmax(ids.codes == ids.codes[row]))
