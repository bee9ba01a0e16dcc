"""Passes H and T in order: header of the table, headers of the arrays, column after column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fedmce.folders.columns import OpenTable, check_codecs, open_table
from fedmce.folders.counts import Counts, count
from fedmce.folders.declared import Declared
from fedmce.folders.demands import Demands
from fedmce.folders.findings import Findings
from fedmce.folders.layout import ID, SPLIT, TARGET
from fedmce.folders.npy_header import NpyHeader
from fedmce.folders.pass_cells import Cells, read_cells
from fedmce.folders.pass_counts import check_counts
from fedmce.folders.pass_headers import Kind, check_arrays, check_columns
from fedmce.folders.pass_ids import Codes, Ids, check_ids, check_once, read_splits
from fedmce.folders.pass_paths import Places, check_paths
from fedmce.folders.pass_sharing import check_range, check_sharing
from fedmce.folders.pass_targets import check_classes, check_numbers
from fedmce.folders.texts import Texts

T = TypeVar("T")


@dataclass
class Table:
    """What the columns of a table say.

    Attributes:
        file: name of the table; empty if there is none.
        ids: names of the rows.
        cells: per modality whose column can be read.
        paths: per modality of paths, the files that can be opened.
        headers: per modality, its array.
        counts: who has what; None where splits cannot be read.
    """

    file: str = ""
    ids: Ids = field(default_factory=lambda: Ids(None, 0))
    cells: dict[str, Cells] = field(default_factory=dict)
    paths: dict[str, list[str]] = field(default_factory=dict)
    headers: dict[str, NpyHeader] = field(default_factory=dict)
    counts: Counts | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """Files of single samples, each once."""
        return tuple(dict.fromkeys(path for paths in self.paths.values() for path in paths))


def check_table(folder: Path, site: Declared, demands: Demands, findings: Findings) -> Table:
    """Everything but the values of the features."""
    opened = open_table(folder, findings)
    if opened is None:
        return Table(headers=check_arrays(folder, site.modalities, (), findings))
    reader = _Reader(folder, opened, site, findings)
    table = reader.read()
    if table.counts is not None:
        held = [cells.there for cells in table.cells.values()]
        nothing = ~np.any(held, axis=0) if held else np.zeros(0, dtype=np.bool_)
        complete = set(table.cells) == set(site.names)
        check_counts(table.counts, site, demands, nothing, table.ids, opened.file, findings, complete)
    return table


class _Reader:
    def __init__(self, folder: Path, opened: OpenTable, site: Declared, findings: Findings) -> None:
        self._folder, self._opened, self._site, self._findings = folder, opened, site, findings
        self._kinds: dict[str, Kind] = check_columns(opened, site, findings)
        self._ids = Ids(None, opened.rows)
        self._splits: Codes | None = None

    def read(self) -> Table:
        opened, findings = self._opened, self._findings
        texts = self._column(ID, Texts)
        if texts is not None:
            self._ids = Ids(texts, opened.rows)
            self._check_torn(ID, texts)
            check_ids(self._ids, texts, opened.file, findings)
        splits = self._column(SPLIT, Texts)
        if splits is not None:
            self._check_torn(SPLIT, splits)
            self._splits = read_splits(splits, self._ids, opened.file, findings)
        known = self._splits if self._splits is not None else np.full(opened.rows, -1, dtype=np.int32)
        check_once(self._ids, known, opened.file, findings)
        numbers = self._targets(known)
        cells = {
            name: found
            for name in self._site.modalities
            if (found := self._column(name, self._cells(name))) is not None
        }
        check_codecs(opened, findings)
        table = Table(opened.file, self._ids, cells)
        rowed = [name for name, found in cells.items() if found.paths is None and (found.numbers != -1).any()]
        table.headers = check_arrays(self._folder, self._site.modalities, rowed, findings)
        self._follow(table, known)
        if self._splits is not None and len(cells) == len(self._site.modalities):
            there = {name: found.there for name, found in cells.items()}
            table.counts = count(there, known, numbers, self._site.classes or ())
        return table

    def _follow(self, table: Table, splits: Codes) -> None:
        places = Places(self._folder, self._site.allow_links)
        for name, cells in table.cells.items():
            if cells.paths is not None:
                table.paths[name] = check_paths(name, cells, places, self._ids, table.file, self._findings)
            elif name in table.headers:
                check_range(name, cells, table.headers[name], self._ids, table.file, self._findings)
            shared = self._site.shared_rows
            check_sharing(name, cells, splits, self._ids, shared, table.file, self._findings)

    def _cells(self, name: str) -> Callable[[Any], Cells]:
        opened = self._opened
        return lambda column: read_cells(
            name, column, self._kinds[name], opened.is_csv, self._ids, opened.file, self._findings
        )

    def _targets(self, splits: Codes) -> npt.NDArray[np.int32] | None:
        opened, kind = self._opened, self._kinds.get(TARGET)
        if kind is None or self._site.kind is None:
            return None
        if self._site.kind == "regression":
            self._column(TARGET, lambda c: check_numbers(c, kind, splits, self._ids, opened.file, self._findings))
            return None
        return self._column(
            TARGET, lambda c: check_classes(c, kind, self._site, splits, self._ids, opened.file, self._findings)
        )

    def _check_torn(self, name: str, texts: Texts) -> None:
        if texts.torn:
            rows = np.flatnonzero(np.isin(texts.codes, texts.torn))
            shown = self._ids.examples(rows, lambda row: repr(texts.text(int(texts.codes[row]))))
            where = f'column "{name}"'
            self._findings.many("D13", self._opened.file, where, shown, len(rows), "UTF-8", "write the table again")

    def _column(self, name: str, read: Callable[[Any], T]) -> T | None:
        """Read a column; None where it is not there or broken. Arrow raises more than its own errors on broken pages."""
        if name not in self._kinds:
            return None
        try:
            column = self._opened.column(name)
        except Exception as error:
            given = f"cannot be read ({type(error).__name__})"
            where, fix = f'column "{name}"', "write the table again"
            self._findings.error("D13", self._opened.file, where, given, "a whole column", fix)
            return None
        return read(column)
