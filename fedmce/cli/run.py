"""``fedmce run``: configuration, data set, engine, drawings, summary."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from fedmce import __version__
from fedmce._paths import use_app
from fedmce.cli.door import Door, Terminated, print_json
from fedmce.config.schema import RunConfig
from fedmce.errors import ConfigError


def run(overrides: Sequence[str], out: Door, *, is_quiet: bool = False) -> None:
    """Run once and print the result.

    Args:
        overrides: Hydra overrides.
        out: learns the run folder and the rounds done, for messages on the way out.
        is_quiet: no progress on stderr.

    Raises:
        FedMCEError: any of its kinds; nothing is written before configuration and data are checked.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the engine has closed the record.
    """
    with sigterm_as_interrupt():
        config = checked_config(overrides)
        folder = run_folder(config)
        out.folder, out.rounds_done = folder, 0
        train_and_draw(config, folder, out, is_quiet)


def train_and_draw(config: RunConfig, folder: Path, out: Door, is_quiet: bool) -> None:
    """Run the rounds that are left, draw the report, print the scores."""
    _train(config, folder, out, is_quiet)
    try:
        _draw(folder)
    finally:
        answer(folder, out.as_json)


def checked_config(overrides: Sequence[str]) -> RunConfig:
    """The configuration, checked also against the names of its data set; of site folders with their plan."""
    from fedmce.cli.compose import load_config
    from fedmce.config.agreement import check_against

    config = load_config(overrides)
    from fedmce.data import dataset_of
    from fedmce.folders.plan import planned

    config = planned(config)
    check_against(config, dataset_of(config))
    return config


def run_folder(config: RunConfig) -> Path:
    """Where the run is written; not made here.

    Raises:
        ConfigError: ``out`` is a file or a folder with content.
    """
    if config.out is not None:
        folder = Path(config.out)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(f"out: given {folder}, which is not empty; needed a new or empty folder")
        return folder
    stem = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{config.name}"
    folder, again = Path("runs", stem), 1
    while folder.exists():  # two runs in one second
        again += 1
        folder = Path("runs", f"{stem}-{again}")
    return folder


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Raise :class:`Terminated` on SIGTERM, so that it closes the record as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _train(config: RunConfig, folder: Path, out: Door, is_quiet: bool) -> None:
    from fedmce.cli.progress import progress

    use_app()
    from simulations import engines

    with progress(config.rounds, is_quiet=is_quiet, stream=sys.stderr) as show:

        def on_event(row: dict[str, Any]) -> None:
            if row["event"] == "round":
                out.rounds_done = row["round"]
            show(row)

        engines.run(config, folder, on_event)


def _draw(folder: Path) -> None:
    from fedmce.report import draw

    draw(folder)


def answer(folder: Path, as_json: bool) -> None:
    """Print the scores of a finished run."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    if as_json:
        places = {"run": str(folder), "report": str(folder / "report.html")}
        print_json({"schema": "fedmce.run/1", "version": __version__, **places, "result": result})
        return
    from fedmce.cli.summary import print_summary

    print_summary(folder, result)
