"""Pass T: the column of one modality, as row numbers or paths."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.folders.findings import Findings
from fedmce.folders.pass_headers import Kind
from fedmce.folders.pass_ids import Ids
from fedmce.folders.texts import Texts, is_number

ABSENT_WORDS = frozenset(("", "none", "nan", "null", "na", "n/a", "<na>", "nat", "-", "?", "."))
COLUMN_ALLOWED = "a row number from 0, or a path; empty for absent"


@dataclass
class Cells:
    """Where the samples of a modality lie.

    Attributes:
        there: rows that hold it, bool ``(rows,)``; a cell that stands for nothing in words is no sample.
        numbers: row numbers, -1 where absent or not followed, int64 ``(rows,)``; empty for paths.
        paths: each path once; empty for row numbers.
        codes: which of them stands in a row, -1 = absent, int32 ``(rows,)``.
    """

    there: npt.NDArray[np.bool_]
    numbers: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    paths: Texts | None = None
    codes: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))

    @property
    def owners(self) -> npt.NDArray[np.int64]:
        """What a row points at, equal where two rows share it, -1 = nothing, int64 ``(rows,)``."""
        return self.codes.astype(np.int64) if self.paths is not None else self.numbers


def read_cells(name: str, column: Any, kind: Kind, is_csv: bool, ids: Ids, file: str, findings: Findings) -> Cells:
    """Read a modality's column; cells that are wrong are reported and left out."""
    where = f'column "{name}"'
    if kind == "nothing":
        return Cells(np.zeros(len(column), dtype=np.bool_), np.full(len(column), -1))
    if kind == "text":
        return _texts(Texts(column), is_csv, where, ids, file, findings)
    if kind == "whole":
        there = ~column.is_null().to_numpy(zero_copy_only=False)
        return _numbers(_as_int64(column), there, where, ids, file, findings)
    return _doubles(column, where, ids, file, findings)


def _as_int64(column: Any) -> npt.NDArray[np.int64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    filled = column.fill_null(0)
    if pa.types.is_uint64(filled.type):  # what int64 does not hold is outside every array
        filled = pc.min_element_wise(filled, pa.scalar((1 << 63) - 1, pa.uint64()))
    found: npt.NDArray[np.int64] = filled.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return found


def _doubles(column: Any, where: str, ids: Ids, file: str, findings: Findings) -> Cells:
    import pyarrow as pa

    null = column.is_null().to_numpy(zero_copy_only=False)
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    nan = ~null & np.isnan(values)
    shown = ids.examples(np.flatnonzero(nan), lambda row: "NaN")
    fix = "none needed; NaN is read as empty"
    findings.many("D19", file, where, shown, int(nan.sum()), "empty for absent", fix, is_error=False)
    there = ~null & ~nan
    wrong = np.flatnonzero(there & ((values != np.floor(values)) | (np.abs(values) > 1e15)))
    if len(wrong):
        shown = ids.examples(wrong, lambda row: str(values[row]))
        findings.many("D16", file, where, shown, len(wrong), COLUMN_ALLOWED, "export the row numbers again")
        there[wrong] = False
    elif there.any():
        fix = 'none needed; it is what pandas writes for [1, None, 3], and astype("Int64") avoids it'
        findings.warning("D16", file, where, "doubles that are whole numbers", COLUMN_ALLOWED, fix)
    return _numbers(np.where(there, values, 0).astype(np.int64), there, where, ids, file, findings)


def _numbers(
    numbers: npt.NDArray[np.int64],
    there: npt.NDArray[np.bool_],
    where: str,
    ids: Ids,
    file: str,
    findings: Findings,
) -> Cells:
    """Row numbers; -1 stands for nothing, and would silently be the last row in numpy and torch."""
    minus = there & (numbers == -1)
    fix = "replace it by an empty cell; as a row number -1 would be the last row"
    shown = ids.examples(np.flatnonzero(minus), lambda row: "-1")
    findings.many("D19", file, where, shown, int(minus.sum()), "empty for absent", fix)
    there = there & ~minus
    return Cells(there, np.where(there, numbers, -1))


def _texts(texts: Texts, is_csv: bool, where: str, ids: Ids, file: str, findings: Findings) -> Cells:
    """Numbers in digits, or paths; words for nothing are neither."""
    values = texts.all()
    words = np.array([value.strip().lower() in ABSENT_WORDS for value in values] + [False])
    digits = np.array([is_number(value) for value in values] + [False])
    absent = np.flatnonzero(words[texts.codes])
    shown = ids.examples(absent, lambda row: repr(values[texts.codes[row]]))
    findings.many("D19", file, where, shown, len(absent), "empty for absent", "replace it by an empty cell")
    there = (texts.codes >= 0) & ~words[texts.codes]
    number, path = there & digits[texts.codes], there & ~digits[texts.codes]
    if number.any() and path.any():
        few = np.flatnonzero(number if number.sum() <= path.sum() else path)
        shown = ids.examples(few, lambda row: repr(values[texts.codes[row]]))
        fix = "choose one kind for the column"
        findings.many("D18", file, where, shown, len(few), "row numbers throughout, or paths throughout", fix)
        # Nobody knows which kind was meant, so neither is followed.
        return Cells(there, np.full(len(there), -1, dtype=np.int64))
    if path.any():
        return Cells(there, paths=texts, codes=np.where(there, texts.codes, -1))
    return _digits(texts, values, there, is_csv, where, ids, file, findings)


def _digits(
    texts: Texts,
    values: list[str],
    there: npt.NDArray[np.bool_],
    is_csv: bool,
    where: str,
    ids: Ids,
    file: str,
    findings: Findings,
) -> Cells:
    if there.any() and not is_csv:
        given = "row numbers written as text"
        findings.error("D16", file, where, given, COLUMN_ALLOWED, "cast the column to whole numbers")
    read = np.array([float(value) if is_number(value) else -1.0 for value in values] + [-1.0])
    chosen = read[texts.codes]
    wrong = np.flatnonzero(there & (chosen != np.floor(chosen)))
    shown = ids.examples(wrong, lambda row: values[texts.codes[row]])
    findings.many("D16", file, where, shown, len(wrong), COLUMN_ALLOWED, "export the row numbers again")
    if not len(wrong) and any("." in value for code, value in enumerate(values) if is_number(value)):
        fix = 'none needed; it is what pandas writes for [1, None, 3], and astype("Int64") avoids it'
        findings.warning("D16", file, where, "row numbers with a decimal point", COLUMN_ALLOWED, fix)
    there = there & (chosen == np.floor(chosen))
    return _numbers(np.where(there, chosen, -1).astype(np.int64), there, where, ids, file, findings)
