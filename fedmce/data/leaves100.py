"""Leaves of 100 plant species (UCI, 2012): margin, shape and texture of the same leaf, dealt to made sites.

The three files do not list the species in the same order, so views are joined by (species, k-th row of that
species), never by row number.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedmce.config.schema import Leaves100Config
from fedmce.data import originals
from fedmce.data.dataset import SPLITS, FederatedDataset, Modality, SiteRows, Task, dataset
from fedmce.data.draws import deal_classes, fill_empty
from fedmce.errors import DataError
from fedmce.streams import generator

FILES = {"margin": "data_Mar_64.txt", "shape": "data_Sha_64.txt", "texture": "data_Tex_64.txt"}
COLUMNS, LEAVES = 64, 16
UNITS = {
    "margin": "share of the margin per histogram bin",
    "shape": "distance along the contour, thousandths of the owners' unit",
    "texture": "share of the surface per histogram bin",
}
# The contour distances are some .0005: in thousandths no column is mistaken for one without spread.
SCALE = {"margin": 1.0, "shape": 1000.0, "texture": 1.0}
CAUTION = (
    "the sites are made: rows of one collection were dealt to them, so they differ by chance"
    " (and by dataset.label_skew) and by nothing else",
)
GAP = (
    "one of 16 leaves of Acer Campestre has no texture row and the owners do not say which: its first is taken, so "
    "the textures of this species may belong to other leaves of it",
)
Views = dict[str, npt.NDArray[np.float32]]


def parse(content: bytes, name: str) -> dict[str, npt.NDArray[np.float64]]:
    """Read a table of lines ``species,64 numbers`` without header.

    Args:
        content: the file's bytes.
        name: its name, for the message.

    Returns:
        Per species its rows in the file's order, ``(rows, 64)``.

    Raises:
        DataError: a line is not a species and 64 numbers.
    """
    rows: dict[str, list[list[float]]] = {}
    for number, line in enumerate(content.decode("ascii").split("\n"), start=1):
        species, *cells = line.strip().split(",")
        if not species and not cells:
            continue
        try:
            values = [float(cell) for cell in cells]
        except ValueError as error:
            raise DataError(f"{name}: line {number}: {error}; needed a species and {COLUMNS} numbers") from error
        if len(values) != COLUMNS:
            raise DataError(f"{name}: line {number}: {len(values)} numbers; needed a species and {COLUMNS} numbers")
        rows.setdefault(species, []).append(values)
    return {species: np.array(values) for species, values in rows.items()}


def join(tables: dict[str, dict[str, npt.NDArray[np.float64]]]) -> tuple[tuple[str, ...], Views]:
    """Join the views by (species, k).

    Args:
        tables: per view and species the rows in the file's order; a view may lack the first rows of a species.

    Returns:
        Species in alphabetical order, and per view float32 ``(species * 16, 64)``, species by species; NaN where
        the view has no row.

    Raises:
        DataError: the views know other species, or one has more than 16 rows of a species.
    """
    names = tuple(sorted(next(iter(tables.values()))))
    joined: Views = {}
    for view, table in tables.items():
        if set(table) != set(names) or max(len(rows) for rows in table.values()) > LEAVES:
            raise DataError(
                f"leaves100: {view} has other species or more than {LEAVES} rows of one; needed the owners'"
            )
        values = np.full((len(names), LEAVES, COLUMNS), np.nan)
        for place, species in enumerate(names):
            values[place, LEAVES - len(table[species]) :] = table[species]
        joined[view] = (values.reshape(-1, COLUMNS) * SCALE[view]).astype(np.float32)
    return names, joined


@lru_cache(maxsize=1)
def _read(data_dir: Path | None) -> tuple[tuple[str, ...], Views]:
    content = originals.read_packed("leaves100", data_dir)
    return join({view: parse(content[file], file) for view, file in FILES.items()})


def splits(complete: npt.NDArray[np.bool_], config: Leaves100Config, seed: int) -> npt.NDArray[np.str_]:
    """Split of every leaf, species by species; an incomplete leaf always trains, so that test rows are complete.

    Args:
        complete: whether the leaf has all views, ``(species * 16,)``.
        config: rows of test and validation per species.
        seed: root of the draw; it depends on nothing else but the counts.

    Returns:
        Name of the split per leaf. The test leaves do not depend on how many validate, nor the other way round.
    """
    split = np.full(complete.shape, SPLITS[0], dtype="<U10")
    for first in range(0, len(complete), LEAVES):
        order = first + generator(seed, "leaves100", "split", first // LEAVES).permutation(LEAVES)
        kept = order[complete[order]]
        # From both ends: at most 8 leaves test and 7 validate, so the two never meet in the 15 or 16 that there are.
        split[kept[: config.test_rows]] = "test"
        split[kept[::-1][: config.validation_rows]] = "validation"
    return split


def deal(
    targets: npt.NDArray[np.int64], split: npt.NDArray[np.str_], config: Leaves100Config, seed: int
) -> npt.NDArray[np.int64]:
    """Made site of every leaf; each site's classes have the same shares in every split.

    Args:
        targets: species per leaf, ``(leaves,)``.
        split: name of the split per leaf, ``(leaves,)``.
        config: number of sites and ``label_skew``.
        seed: root of the deal.

    Returns:
        Number of the site per leaf; no site is without rows in a split that has at least as many rows as sites.
    """
    site = np.zeros(targets.shape, dtype=np.int64)
    species, count = int(targets.max()) + 1, config.site_count
    shares = None
    if config.label_skew is not None:
        draw = generator(seed, "leaves100", "label_skew")
        shares = draw.dirichlet(np.full(count, config.label_skew), size=species)
    for name in SPLITS:
        rows = np.flatnonzero(split == name)
        rng = generator(seed, "leaves100", "sites", name)
        site[rows] = fill_empty(deal_classes(targets[rows], count, shares, rng), count, rng)
    return site


def _modalities(config: Leaves100Config) -> tuple[Modality, ...]:
    width = COLUMNS // config.parts
    if config.parts == 1:
        return tuple(Modality(view, "tabular", (COLUMNS,), UNITS[view]) for view in config.views)
    return tuple(
        Modality(
            f"{view}_{part}", "tabular", (width,), f"{UNITS[view]}, columns {part * width} to {(part + 1) * width - 1}"
        )
        for view in config.views
        for part in range(config.parts)
    )


def _provenance(modalities: tuple[Modality, ...], config: Leaves100Config) -> dict[str, str]:
    cut = "" if config.parts == 1 else f"; cut here into {config.parts} blocks of columns"
    skew = (
        "alike" if config.label_skew is None else f"species by Dirichlet shares of concentration {config.label_skew:g}"
    )
    return {
        **{m.name: f"real: {m.name.split('_')[0]} of UCI One-hundred plant species leaves{cut}" for m in modalities},
        "labels": "real: species of plants at Kew (J. Cope, T. Beghin, P. Remagnino, S. Barman; C. Mallah 2012)",
        "sites": f"made: rows dealt by seed to {config.site_count} sites, {skew}; the collection knows no sites",
    }


@dataset("leaves100")
def load(config: Leaves100Config, data_dir: Path | None, seed: int) -> FederatedDataset:
    """Load 1,600 leaves of 100 species at made sites ``site00``, ``site01``, ...

    Args:
        config: views, parts, sites and rows per split.
        data_dir: holds ``leaves100/leaves100.zip``.
        seed: root of split and deal.

    Returns:
        Tabular modalities ``margin``, ``shape``, ``texture`` of 64 columns, or ``margin_0``, ... of 64 / parts. One
        training leaf of Acer Campestre lacks its texture.

    Raises:
        DataError: the archive is absent or its tables are not the owners'.
    """
    species, views = _read(Path(data_dir) if data_dir else None)
    targets = np.repeat(np.arange(len(species)), LEAVES)
    there = {view: ~np.isnan(values).any(axis=1) for view, values in views.items()}
    # Over all views, whichever take part: the same leaves test in every experiment of one seed.
    split = splits(np.logical_and.reduce(list(there.values())), config, seed)
    site, modalities = deal(targets, split, config, seed), _modalities(config)
    blocks = [block for view in config.views for block in np.split(views[view], config.parts, axis=1)]
    available = np.stack([there[view] for view in config.views for _ in range(config.parts)], axis=1)
    sites = {}
    for number in range(config.site_count):
        rows, name = np.flatnonzero(site == number), f"site{number:02d}"
        rows = rows[available[rows].any(axis=1)]
        sites[name] = SiteRows(
            name=name,
            sample_ids=tuple(f"{species[row // LEAVES]}-{row % LEAVES:02d}" for row in rows),
            targets=targets[rows],
            split=split[rows],
            features={m.name: block[rows] for m, block in zip(modalities, blocks, strict=True)},
            available=available[rows],
        )
    return FederatedDataset(
        name="leaves100",
        modalities=modalities,
        task=Task(classes=species),
        sites=sites,
        provenance=_provenance(modalities, config),
        caution=CAUTION + (GAP if "texture" in config.views else ()),
    )
