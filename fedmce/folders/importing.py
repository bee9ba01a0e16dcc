"""A site folder made from what a site has: CSV or Parquet tables and arrays per modality, joined by sample id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.config.folders import Metric
from fedmce.config.nearest import unknown
from fedmce.data.draws import stratified_split
from fedmce.errors import DataError
from fedmce.folders.importing_parts import ArraySource, array_part, table_part
from fedmce.folders.layout import FolderModality, FolderTask, SiteFile
from fedmce.folders.table import Column, class_numbers, read_columns
from fedmce.folders.write import IN_TABLE, Part, check_new, write_folder
from fedmce.streams import generator

SPLIT_NAMES = {"train": "train", "val": "val", "validation": "val", "valid": "val", "dev": "val", "test": "test"}


@dataclass(frozen=True)
class Wanted:
    """What to make a folder of.

    Attributes:
        site: name of the site.
        target: column of the class, in ``samples`` or one of the tables.
        tables: modality -> CSV or Parquet file; its columns but id, target and split are the features.
        arrays: modality -> array and the ids of its rows.
        samples: table of ids, targets and splits without features, where no modality's table has them.
        id_column: joins everything.
        split_column: beside the target; None = drawn by the shares.
        test_share: of each class.
        validation_share: of each class.
        seed: of the draw.
        classes: in the order of their numbers; none = as found.
        metric: of the task.
        kinds: kind of a modality where its array does not tell.
        units: of a modality, in words; of a table the names of its columns.
    """

    site: str
    target: str
    tables: Mapping[str, Path] = field(default_factory=dict)
    arrays: Mapping[str, ArraySource] = field(default_factory=dict)
    samples: Path | None = None
    id_column: str = "sample_id"
    split_column: str | None = None
    test_share: float = 0.2
    validation_share: float = 0.1
    seed: int = 0
    classes: tuple[str, ...] = ()
    metric: Metric = "accuracy"
    kinds: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """What came of an import.

    Attributes:
        folder: the site folder.
        site: its ``site.yaml``.
        rows: per split.
        held: rows that hold each modality.
        per_class: rows of each class.
        notes: sentences on what was left out or taken for granted.
    """

    folder: Path
    site: SiteFile
    rows: dict[str, int]
    held: dict[str, int]
    per_class: dict[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Rows:
    """Samples that have a target, in the order of their table."""

    ids: list[str]
    targets: list[str]
    split: list[Any] | None


def import_site(out: Path, wanted: Wanted) -> Made:
    """Make the folder.

    Args:
        out: new or empty.
        wanted: sources, names and shares.

    Raises:
        ConfigError: the folder is not empty.
        DataError: a source cannot be read or joined, a cell is no number, a name is not allowed.
    """
    if not (wanted.tables or wanted.arrays):
        raise DataError(f"site {wanted.site}: neither a table nor an array given; needed at least one modality")
    out = check_new(out)  # made when all that goes into it was read
    notes: list[str] = []
    columns = {name: _read(path) for name, path in wanted.tables.items()}
    rows = _rows(wanted, columns, notes)
    classes = wanted.classes or _classes(rows.targets, notes)
    if wanted.metric == "auc_within_sites" and len(classes) != 2:
        raise DataError(f"metric: auc_within_sites is of two classes; given {len(classes)} ({', '.join(classes)})")
    numbers = class_numbers(rows.targets, classes, f"column {wanted.target!r}")
    split = _split(wanted, rows, numbers)
    found: dict[str, tuple[Part, FolderModality]] = {}
    aside = (wanted.target, *([wanted.split_column] if wanted.split_column else []))
    for name, table in columns.items():
        where = str(wanted.tables[name])
        features = {key: cells for key, cells in table.items() if key not in (wanted.id_column, *aside)}
        found[name] = table_part(where, _ids(table, wanted, rows.ids, where), features, rows.ids, notes)
    for name, source in wanted.arrays.items():
        found[name] = array_part(source, rows.ids, wanted.kinds.get(name), notes)
    described = {
        name: modality.model_copy(update={"units": wanted.units[name]}) if name in wanted.units else modality
        for name, (_, modality) in found.items()
    }
    tree = {
        "site": wanted.site,
        "task": FolderTask(classes=classes, metric=wanted.metric).model_dump(mode="json"),
        "modalities": {name: modality.model_dump(mode="json") for name, modality in described.items()},
    }
    site = SiteFile.from_tree(tree, "site.yaml")
    parts = {name: part for name, (part, _) in found.items()}
    write_folder(out, site, rows.ids, [classes[n] for n in numbers], split, parts)
    if empty := int((~np.any([part.there for part in parts.values()], axis=0)).sum()):
        notes.append(f"{empty} rows hold no modality at all; they neither train nor count")
    return Made(
        folder=out,
        site=site,
        rows={name: split.count(name) for name in IN_TABLE.values()},
        held={name: int(part.there.sum()) for name, part in parts.items()},
        per_class={name: int((numbers == number).sum()) for number, name in enumerate(classes)},
        notes=tuple(notes),
    )


def _read(path: Path) -> dict[str, Column]:
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file; needed a CSV or Parquet table")
    return read_columns(Path(path))


def _rows(wanted: Wanted, tables: Mapping[str, dict[str, Column]], notes: list[str]) -> _Rows:
    """Samples from the first table that has the target."""
    named = {str(wanted.samples): _read(wanted.samples)} if wanted.samples is not None else {}
    named |= {str(wanted.tables[name]): table for name, table in tables.items()}
    where = next((name for name, table in named.items() if wanted.target in table), None)
    if where is None:
        known = dict.fromkeys(column for table in named.values() for column in table)
        raise DataError(
            f"target: {unknown('column', wanted.target, known)} (a table of ids and targets alone goes to --samples)"
        )
    table = named[where]
    ids = _ids(table, wanted, None, where)
    if wanted.split_column is not None and wanted.split_column not in table:
        raise DataError(f"{where}: {unknown('column', wanted.split_column, table)}")
    keep = [at for at, cell in enumerate(table[wanted.target]) if cell is not None]
    if len(keep) < len(ids):
        notes.append(f"{len(ids) - len(keep)} samples without a target were left out")
    if not keep:
        raise DataError(f"{where}: no row has a target in column {wanted.target!r}; needed at least one")
    split = [table[wanted.split_column][at] for at in keep] if wanted.split_column else None
    return _Rows([ids[at] for at in keep], [_text(table[wanted.target][at]) for at in keep], split)


def _ids(table: Mapping[str, Column], wanted: Wanted, samples: Sequence[str] | None, where: str) -> list[str]:
    if wanted.id_column not in table:
        raise DataError(
            f"{where}: {unknown('column', wanted.id_column, table)}; needed the id of each sample. name its column by --id"
        )
    ids = ["" if cell is None else _text(cell) for cell in table[wanted.id_column]]
    if "" in ids or len(set(ids)) != len(ids):
        raise DataError(f"{where}, column {wanted.id_column!r}: needed one id per row, each once")
    return ids


def _text(cell: Any) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def _classes(targets: Sequence[str], notes: list[str]) -> tuple[str, ...]:
    found = sorted(set(targets), key=lambda text: (not text.isdigit(), int(text) if text.isdigit() else 0, text))
    notes.append(f"classes as found: {', '.join(found)}; name them by --classes where another site may have more")
    return tuple(found)


def _split(wanted: Wanted, rows: _Rows, numbers: npt.NDArray[np.int64]) -> list[str]:
    if rows.split is None:
        stream = generator(wanted.seed, "site import", wanted.site)
        drawn = stratified_split(numbers, wanted.validation_share, wanted.test_share, stream)
        return [IN_TABLE[name] for name in drawn.tolist()]
    for cell in rows.split:
        if str(cell) not in SPLIT_NAMES:
            raise DataError(
                f"column {wanted.split_column!r}: {cell!r} given; needed one of {', '.join(SPLIT_NAMES)}. rename"
            )
    return [SPLIT_NAMES[str(cell)] for cell in rows.split]
