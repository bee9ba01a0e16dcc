"""Samples from a ``.csv`` file: tabular modalities only."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedmce.config.nearest import unknown
from fedmce.errors import DataError
from fedmce.predict.samples import Input, Samples, refused, samples

ID = "sample_id"
Cells = dict[tuple[str, int], int]
"""Modality and index of its entry -> column of the file."""


def read_csv(path: Path, known: Sequence[Input]) -> Samples:
    """Read columns ``<modality>.<index>``; an empty cell is a hole, a modality of holes only is absent.

    Args:
        path: the file, UTF-8, with a header; an optional column ``sample_id`` names the rows.
        known: what the model takes.

    Raises:
        DataError: every problem of the file in one message, by row and column.
    """
    header, *rows = _lines(path)
    cells = _columns(path, header, known)
    problems = [
        f"row {number}: {len(row)} cells given; needed {len(header)}"
        for number, row in enumerate(rows, start=1)
        if len(row) != len(header)
    ]
    if problems:
        raise refused(path, problems)
    sizes = {modality.name: modality.size for modality in known if (modality.name, 0) in cells}
    arrays = {name: np.full((len(rows), size), np.nan) for name, size in sizes.items()}
    for (name, index), column in cells.items():
        arrays[name][:, index] = _numbers((row[column] for row in rows), header[column], problems)
    if problems:
        raise refused(path, problems)
    return samples(path, known, dict(arrays), [row[header.index(ID)] for row in rows] if ID in header else None)


def _lines(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [row for row in csv.reader(file, strict=True) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: no readable CSV ({error}); needed UTF-8 text with a header") from None
    if len(lines) < 2:
        raise DataError(f"{path}: {len(lines)} lines given; needed a header and at least one row")
    return [[cell.strip() for cell in row] for row in lines]


def _columns(path: Path, header: list[str], known: Sequence[Input]) -> Cells:
    tabular = {modality.name: modality for modality in known if modality.kind == "tabular"}
    problems = [f"column {name} is there twice" for name in dict.fromkeys(header) if header.count(name) > 1]
    cells: Cells = {}
    for column, name in enumerate(header):
        if name == ID:
            continue
        modality, dot, index = name.partition(".")
        if modality not in tabular or not dot:
            problems.append(_no_column(name, modality, known, tabular))
        elif not (index.isdecimal() and int(index) < tabular[modality].size):
            problems.append(f"column {name}: entry {index!r} given; needed 0 to {tabular[modality].size - 1}")
        else:
            cells[modality, int(index)] = column
    for name in dict.fromkeys(modality for modality, _ in cells):
        lacking = [f"{name}.{index}" for index in range(tabular[name].size) if (name, index) not in cells]
        if lacking:
            problems.append(f"columns {', '.join(lacking)} lack; needed all of {name}. leave cells empty for holes")
    if problems:
        raise refused(path, problems)
    return cells


def _no_column(name: str, modality: str, known: Sequence[Input], tabular: dict[str, Input]) -> str:
    if modality in [m.name for m in known if m.kind != "tabular"]:
        return f"column {name}: {modality} is not tabular; needed an .npz file for it"
    return f"column {name}: {unknown('modality', modality, tabular)}; columns are <modality>.<index>"


def _numbers(texts: Iterable[str], column: str, problems: list[str]) -> npt.NDArray[np.float64]:
    values = []
    for number, text in enumerate(texts, start=1):
        try:
            values.append(float(text) if text else np.nan)
        except ValueError:
            problems.append(f"row {number}, column {column}: {text!r} given; needed a number, or nothing for a hole")
            values.append(np.nan)
    return np.array(values)
