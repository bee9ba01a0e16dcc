"""``fedmce site init``, ``import`` and ``export``: arguments to the room of folders, and what was made in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import typer

from fedmce.config.folders import Metric
from fedmce.config.nearest import unknown
from fedmce.errors import ConfigError

if TYPE_CHECKING:
    from fedmce.folders.importing import Made
    from fedmce.folders.importing_parts import ArraySource


@dataclass(frozen=True)
class Given:
    """Lists of ``MODALITY=...`` as typed, and the names of classes."""

    tables: Sequence[str]
    arrays: Sequence[str]
    kinds: Sequence[str]
    units: Sequence[str]
    classes: str | None


def init(folder: Path, site: str, modalities: Sequence[str], classes: str | None) -> None:
    """Make an empty site folder and say what comes next."""
    from fedmce.folders.scaffold import init_folder

    names = _names(classes) if classes else ("class 0", "class 1")
    for path in init_folder(folder, site, modalities, names):
        typer.echo(path)
    typer.echo(
        f"fill in {folder / 'site.yaml'}, write a row per sample into samples.csv (or samples.parquet) and arrays into "
        f"features/; then: fedmce site check {folder}",
        err=True,
    )


def import_given(
    out: Path,
    site: str,
    target: str,
    given: Given,
    samples: Path | None,
    columns: tuple[str, str | None],
    shares: tuple[float, float, int],
    metric: str,
) -> None:
    """Make a site folder and say what is in it.

    Args:
        out: new or empty.
        site: name of the site.
        target: column of the class.
        given: modalities.
        samples: table of ids and targets.
        columns: of ids and of splits.
        shares: of test and validation rows, and the seed of their draw.
        metric: of the task.
    """
    from fedmce.folders.importing import Wanted, import_site

    test, validation, seed = shares
    if test + validation >= 1:
        raise ConfigError(f"--test-share {test:g} and --validation-share {validation:g}: no row would be left to train")
    if metric not in get_args(Metric):
        raise ConfigError(f"--metric: {unknown('metric', metric, get_args(Metric))}")
    tables, arrays = _pairs("--table", given.tables), _pairs("--array", given.arrays)
    if twice := set(tables) & set(arrays):
        raise ConfigError(f"modality {sorted(twice)[0]!r}: given by --table and by --array; needed one of them")
    kinds, units = _pairs("--kind", given.kinds), _pairs("--units", given.units)
    for name in (*kinds, *units):
        if name not in tables and name not in arrays:
            raise ConfigError(f"--kind or --units: {unknown('modality', name, [*tables, *arrays])}")
    made = import_site(
        out,
        Wanted(
            site=site,
            target=target,
            tables={name: Path(text) for name, text in tables.items()},
            arrays={name: _array(text) for name, text in arrays.items()},
            samples=samples,
            id_column=columns[0],
            split_column=columns[1],
            test_share=test,
            validation_share=validation,
            seed=seed,
            classes=_names(given.classes) if given.classes else (),
            metric="accuracy" if metric == "accuracy" else "auc_within_sites",
            kinds=kinds,
            units=units,
        ),
    )
    _tell(made)


def _tell(made: Made) -> None:
    rows = sum(made.rows.values())
    typer.echo(f"{made.folder}: site {made.site.site}, {rows} rows ({_listed(made.rows)})")
    typer.echo(f"  classes: {_listed(made.per_class)}")
    for name, modality in made.site.modalities.items():
        shape = " x ".join(map(str, modality.shape))
        holes = ", with entries that were not recorded" if modality.holes else ""
        typer.echo(f"  {name}: {modality.kind} {shape}, {modality.dtype}, {made.held[name]} of {rows} rows{holes}")
    for note in made.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"check it with: fedmce site check {made.folder}", err=True)


def export(out: Path, overrides: Sequence[str], *, is_masked: bool) -> None:
    """Write every site that takes part and print the folders."""
    from fedmce.cli.run import checked_config
    from fedmce.data import dataset_of
    from fedmce.folders.exporting import export_sites
    from fedmce.missingness import draw_masks
    from fedmce.scope import participants

    config = checked_config(overrides)
    data = dataset_of(config)
    sites = participants(config, data.sites)
    masks = draw_masks(data, config.missingness, config.seed, sites) if is_masked else None
    shown = {site: masks.sites[site].available for site in sites} if masks is not None else None
    found = export_sites(out, data, sites, shown)
    for site, folder in found.items():
        typer.echo(f"{folder}  {len(data.sites[site].sample_ids)} rows")
    if renamed := {site: folder.name for site, folder in found.items() if folder.name != site}:
        typer.echo(
            f"names as a site folder allows them: {', '.join(f'{a} is {b}' for a, b in renamed.items())}", err=True
        )
    typer.echo(f"use them with: fedmce run dataset=folders dataset.path={out}", err=True)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not (name and sign and value) or name in found:
            raise ConfigError(f"{option}: given {text!r}; needed MODALITY=..., each modality once")
        found[name] = value
    return found


def _array(text: str) -> ArraySource:
    from fedmce.folders.importing_parts import ArraySource

    # The last colon after an ending that an array has: a path of its own may hold one.
    head, sign, tail = text.rpartition(":")
    return ArraySource(Path(head), Path(tail)) if sign and head.endswith(".npy") else ArraySource(Path(text))


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
