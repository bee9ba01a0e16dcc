"""The table of samples: which rows a site has, of which class and split, and where each modality of a row lies."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.config.nearest import unknown
from fedmce.errors import DataError
from fedmce.folders.layout import ID, SAMPLES, SPLIT, SPLITS, TARGET, SiteFile
from fedmce.folders.texts import is_number

Column = list[Any]
Cells = npt.NDArray[np.int64] | list[str | None]
"""Row numbers, -1 = absent; or paths, None = absent."""


@dataclass(frozen=True)
class Samples:
    """Rows of a site as its table lists them; test rows without a target are left out.

    Attributes:
        sample_ids: one per row.
        targets: class number, int64 ``(rows,)``.
        split: name as in a data set, unicode ``(rows,)``.
        cells: per modality of ``site.yaml``, where each row's sample lies.
    """

    sample_ids: tuple[str, ...]
    targets: npt.NDArray[np.int64]
    split: npt.NDArray[np.str_]
    cells: dict[str, Cells]


def table_path(folder: Path) -> Path:
    """The table of a folder: the first of :data:`SAMPLES` that is there.

    Raises:
        DataError: there is none.
    """
    for name in SAMPLES:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    raise DataError(f"{folder}: no {' or '.join(SAMPLES)}; needed the table of samples. export it")


def read_columns(path: Path) -> dict[str, Column]:
    """Columns of a table as lists; empty cells, and a NaN that pandas wrote for one, are None. CSV cells are text.

    Raises:
        DataError: not readable as Parquet or CSV.
    """
    if path.suffix == ".csv":
        return _read_csv(path)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: not readable as Parquet ({str(error).splitlines()[0]}); write it again") from None
    return {name: [_none_of_nan(cell) for cell in table[name].to_pylist()] for name in table.column_names}


def _read_csv(path: Path) -> dict[str, Column]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *lines = [line for line in csv.reader(file) if line] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not readable as CSV ({error}); needed UTF-8 text with a header") from None
    if short := [number for number, line in enumerate(lines, start=2) if len(line) != len(header)]:
        raise DataError(f"{path}: line {short[0]} has not the {len(header)} cells of the header. write it again")
    if len(set(header)) != len(header):
        raise DataError(f"{path}: columns {header}; needed each name once")
    return {name: [line[at] or None for line in lines] for at, name in enumerate(header)}


def _none_of_nan(cell: Any) -> Any:
    return None if isinstance(cell, float) and np.isnan(cell) else cell


def read_samples(folder: Path, site: SiteFile) -> Samples:
    """The table of a site folder, checked as far as it must be to be read.

    Raises:
        DataError: no table, a column or cell that is not as the format says.
    """
    path = table_path(folder)
    columns = read_columns(path)
    needed = (ID, TARGET, SPLIT, *site.modalities)
    if absent := [name for name in needed if name not in columns]:
        raise DataError(f"{path}: {unknown('column', absent[0], columns)}; needed {', '.join(needed)}")
    split = _splits(columns[SPLIT], path)
    keep = [at for at, cell in enumerate(columns[TARGET]) if cell is not None or split[at] != "test"]
    cells = {name: read_cells(columns[name], f"{path}, column {name!r}") for name in site.modalities}
    kept = {
        name: found[keep] if isinstance(found, np.ndarray) else [found[at] for at in keep]
        for name, found in cells.items()
    }
    columns = {name: [columns[name][at] for at in keep] for name in (ID, TARGET)}
    ids = tuple("" if cell is None else str(cell) for cell in columns[ID])
    if "" in ids or len(set(ids)) != len(ids):
        raise DataError(f"{path}, column {ID!r}: needed one text per row, each once. give every row a name of its own")
    return Samples(
        sample_ids=ids,
        targets=class_numbers(columns[TARGET], site.task.classes, f"{path}, column {TARGET!r}", keep),
        split=split[keep],
        cells=kept,
    )


def _splits(cells: Sequence[Any], path: Path) -> npt.NDArray[np.str_]:
    for at, cell in enumerate(cells):
        if cell not in SPLITS:
            raise DataError(f"{path}, column {SPLIT!r}, row {at}: {cell!r}; needed one of {', '.join(SPLITS)}. rename")
    return np.array([SPLITS[cell] for cell in cells], dtype="<U10")


def class_numbers(
    cells: Sequence[Any], classes: Sequence[str], where: str, rows: Sequence[int] | None = None
) -> npt.NDArray[np.int64]:
    """Class numbers of target cells, each a class's name or, where no name is a whole number, its number from 0.

    The rule follows from the names of the classes alone: two sites with the same cells never mean different classes.

    Args:
        cells: of a column.
        classes: names in the order of their numbers.
        where: file and column, for the message.
        rows: number of each cell's row, for the message; None = in order from 0.

    Raises:
        DataError: a cell is neither.
    """
    known: Mapping[str, int] = {name: number for number, name in enumerate(classes)}
    if not any(name.lstrip("-").isdigit() for name in classes):
        known = {str(number): number for number in range(len(classes))} | dict(known)
    found = np.empty(len(cells), dtype=np.int64)
    for at, cell in enumerate(cells):
        text = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
        if cell is None or text not in known:
            shown = "empty" if cell is None else repr(cell)
            row = at if rows is None else rows[at]
            raise DataError(f"{where}, row {row}: {shown}; needed one of {', '.join(list(known)[:20])}")
        found[at] = known[text]
    return found


def read_cells(cells: Sequence[Any], where: str) -> Cells:
    """A modality's column: row numbers throughout, or paths throughout; nothing there is absent.

    Raises:
        DataError: both kinds in one column, a number below 0 or no whole one.
    """
    given = [(at, cell) for at, cell in enumerate(cells) if cell is not None and cell != ""]
    texts = [isinstance(cell, str) and not is_number(cell) for _, cell in given]
    if any(texts) and not all(texts):
        raise DataError(f"{where}: row numbers and paths in one column; choose one")
    if any(texts):
        return [None if cell is None or cell == "" else str(cell) for cell in cells]
    found = np.full(len(cells), -1, dtype=np.int64)
    for at, written in given:
        # pandas writes the row numbers of a column with gaps as 3.0.
        cell = float(written) if isinstance(written, str) and "." in written else written
        whole = isinstance(cell, str | int) or (isinstance(cell, float) and cell.is_integer())
        if not whole or isinstance(cell, bool) or int(cell) < 0:
            raise DataError(f"{where}, row {at}: {cell!r}; needed a row number from 0, a path, or nothing for absent")
        found[at] = int(cell)
    return found
