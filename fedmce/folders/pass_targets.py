"""Pass T: ``target``, class by class or number by number."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.config.nearest import nearest
from fedmce.errors import DataError
from fedmce.folders.declared import Declared
from fedmce.folders.findings import Example, Findings
from fedmce.folders.layout import TARGET
from fedmce.folders.pass_headers import Kind
from fedmce.folders.pass_ids import NAMES, Codes, Ids
from fedmce.folders.table import class_numbers
from fedmce.folders.texts import Texts, is_number

LARGEST = 1e6  # of a regression's target
WHERE = f'column "{TARGET}"'
TEST = NAMES.index("test")


def check_classes(
    column: Any, kind: Kind, site: Declared, splits: Codes, ids: Ids, file: str, findings: Findings
) -> Codes:
    """Class number per row, -1 where there is none, int32 ``(rows,)``."""
    classes = site.classes or ()
    if kind == "number":
        column = _whole(column, ids, file, findings)
        if column is None:
            return np.full(len(splits), -1, dtype=np.int32)
    texts = Texts(column)
    values = texts.all()
    _check_empty(texts.codes < 0, splits, ids, file, findings)
    numbers = np.array([_number(value, classes) for value in values] + [-1], dtype=np.int32)
    if _is_mixed(values) and not any(name.lstrip("-").isdigit() for name in classes):
        _report_mixed(values, texts, ids, file, findings)
    elif classes:
        _report_unknown(values, numbers, texts, classes, kind, ids, file, findings)
    found: Codes = numbers[texts.codes]
    _warn_of_one_class(found, splits, classes, file, findings)
    return found


def _number(value: str, classes: tuple[str, ...]) -> int:
    """The loader's own rule, so that both mean the same class."""
    try:
        return int(class_numbers([value], classes, "")[0])
    except DataError:
        return -1


def _whole(column: Any, ids: Ids, file: str, findings: Findings) -> Any:
    """A column of doubles as whole numbers, as pandas makes doubles of numbers with gaps; None if they are not whole."""
    import pyarrow as pa

    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    there = ~np.isnan(values)
    wrong = np.flatnonzero(there & ((values != np.floor(values)) | (np.abs(values) > 1e15)))
    allowed = "whole numbers, or names of classes"
    if len(wrong):
        shown = ids.examples(wrong, lambda row: str(values[row]))
        findings.many("D16", file, WHERE, shown, len(wrong), allowed, "cast the column to whole numbers")
        return None
    findings.warning("D16", file, WHERE, "doubles that are whole numbers", allowed, "none needed; a cast is clearer")
    return pa.array(np.where(there, values, 0).astype(np.int64), mask=~there)


def _check_empty(empty: npt.NDArray[np.bool_], splits: Codes, ids: Ids, file: str, findings: Findings) -> None:
    rows = np.flatnonzero(empty & (splits >= 0) & (splits != TEST))
    shown = ids.examples(rows, lambda row: f"empty, in {NAMES[splits[row]]}")
    findings.many("D28", file, WHERE, shown, len(rows), "given in train and val", "fill it, or drop the row")


def _is_mixed(values: list[str]) -> bool:
    digits = [is_number(value) for value in values]
    return any(digits) and not all(digits)


def _report_mixed(values: list[str], texts: Texts, ids: Ids, file: str, findings: Findings) -> None:
    digits = np.array([*(is_number(value) for value in values), False])
    among = np.flatnonzero(digits[texts.codes])
    shown = ids.examples(among, lambda row: f"the number {values[texts.codes[row]]} among words")
    allowed = "numbers of classes throughout, or their names throughout"
    findings.many("D64", file, WHERE, shown, len(among), allowed, "cast the column to one type")


def _report_unknown(
    values: list[str],
    numbers: npt.NDArray[np.int32],
    texts: Texts,
    classes: tuple[str, ...],
    kind: Kind,
    ids: Ids,
    file: str,
    findings: Findings,
) -> None:
    unknown = np.array([*(numbers[:-1] < 0), False])
    rows = np.flatnonzero(unknown[texts.codes])
    shown = ids.examples(rows, lambda row: values[texts.codes[row]])
    allowed = f"0 to {len(classes) - 1}, or {', '.join(classes)}"
    if any(value.endswith(".0") for value in values) and all(map(is_number, values)):
        findings.many("D16", file, WHERE, shown, len(rows), allowed, "cast the column to whole numbers")
    elif kind == "text" and len(rows) and not any(map(is_number, values)):
        hit = nearest(shown[0].given, classes)
        fix = f"did you mean {hit!r}?" if hit else "correct the name, or the classes of site.yaml"
        findings.many("D16", file, WHERE, shown, len(rows), allowed, fix)
    else:
        fix = f"renumber the classes from 0 to {len(classes) - 1}{_hint(values, classes)}"
        findings.many("D29", file, WHERE, shown, len(rows), allowed, fix)


def _hint(values: list[str], classes: tuple[str, ...]) -> str:
    found = sorted({int(value) for value in values if is_number(value) and "." not in value})
    if found and found[0] == 1 and found[-1] == len(classes):
        return "; it looks 1-based"
    if found and found[0] >= 0 and len(found) <= len(classes):
        return f"; there are gaps: {', '.join(map(str, found[:20]))}"
    return ""


def _warn_of_one_class(numbers: Codes, splits: Codes, classes: tuple[str, ...], file: str, findings: Findings) -> None:
    train = np.unique(numbers[(splits == 0) & (numbers >= 0)])
    if len(train) == 1 and classes:
        given = f"all train rows are {classes[train[0]]}"
        fix = "none needed; what this site trains carries one class"
        findings.warning("D30", file, WHERE, given, "yes, if it is meant", fix)


def check_numbers(column: Any, kind: Kind, splits: Codes, ids: Ids, file: str, findings: Findings) -> None:
    """Targets of a regression."""
    import pyarrow as pa

    if kind == "text":
        column = _numbers_of_text(Texts(column), ids, file, findings)
        if column is None:
            return
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    empty = column.is_null().to_numpy(zero_copy_only=False)
    _check_empty(empty, splits, ids, file, findings)
    with np.errstate(invalid="ignore"):
        wrong = np.flatnonzero(~empty & ~(np.abs(values) <= LARGEST))
    shown = ids.examples(wrong, lambda row: str(values[row]))
    allowed = f"finite, at most {LARGEST:,.0f} either way"
    findings.many("D31", file, WHERE, shown, len(wrong), allowed, "scale the target, or drop the row")


def _numbers_of_text(texts: Texts, ids: Ids, file: str, findings: Findings) -> Any:
    import pyarrow as pa

    values = texts.all()
    numbers = [_float(value) for value in values]
    if None not in numbers:
        chosen = np.array([*numbers, 0.0], dtype=np.float64)[texts.codes]
        return pa.array(chosen, mask=texts.codes < 0)
    words = np.flatnonzero(np.array([*(n is None for n in numbers), False])[texts.codes])
    shown = [Example(ids.name(int(row)), repr(values[texts.codes[row]])) for row in words[:20]]
    case = "D16" if all(number is None for number in numbers) else "D64"
    findings.many(case, file, WHERE, shown, len(words), "numbers", "cast the column to numbers")
    return None


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
