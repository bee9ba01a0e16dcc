"""``fedmce data``: list and download data sets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from fedmce.config.describe import members
from fedmce.config.nearest import unknown
from fedmce.config.schema import RunConfig
from fedmce.data.packed import PACKED
from fedmce.data.sources import SOURCES, Source
from fedmce.errors import ConfigError

Progress = Callable[[str, int, int | None], None]


def list_datasets(data_dir: Path) -> None:
    """Print one line per data set: name, whether its files are there, what it is."""
    sections = members(RunConfig.model_fields["dataset"].annotation)
    lines = [(name, state(name, data_dir), (sections[name].__doc__ or "").split("\n")[0]) for name in SOURCES]
    widths = [max(len(line[column]) for line in lines) for column in (0, 1)]
    for name, there, about in lines:
        typer.echo(f"{name:<{widths[0]}}  {there:<{widths[1]}}  {about}")


def state(name: str, data_dir: Path) -> str:
    """``embedded``, or how many of the owners' files are under ``data_dir``; contents are not compared here."""
    wanted = SOURCES[name]
    if not wanted:
        return "embedded"
    found = sum(_is_there(name, source, data_dir / name) for source in wanted)
    return f"in {data_dir / name}" if found == len(wanted) else f"{found} of {len(wanted)} files"


def fetch_dataset(name: str, data_dir: Path) -> None:
    """Download a data set and print the paths of its files.

    Raises:
        ConfigError: no such data set.
        DataError: the files did not arrive as promised.
    """
    if name not in SOURCES:
        raise ConfigError(f"data fetch: {unknown('data set', name, SOURCES)}")
    from fedmce.data.fetch import fetch

    with _progress() as progress:
        paths = fetch(name, data_dir, progress)
    for path in paths:
        typer.echo(path)
    hint = (
        f"use it with: fedmce run dataset={name} data_dir={data_dir}"
        if paths
        else f"{name} is embedded; nothing to fetch"
    )
    typer.echo(hint, err=True)


def _is_there(name: str, source: Source, folder: Path) -> bool:
    # An archive may lie there under any of its names (fedmce.data.packed).
    names = (source.file,) if source.sha256 is not None else PACKED[name][0]
    return any((folder / file).is_file() for file in names)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar per file on a terminal, else one line when a file begins."""
    if not sys.stderr.isatty():
        seen: set[str] = set()

        def line(file: str, done: int, total: int | None) -> None:
            if file not in seen:
                seen.add(file)
                typer.echo(f"{file}: {total if total is not None else 'unknown number of'} bytes", err=True)

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, TaskID] = {}

        def update(file: str, done: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = bar.add_task(file, total=total)
            bar.update(tasks[file], completed=done, total=total)

        yield update
