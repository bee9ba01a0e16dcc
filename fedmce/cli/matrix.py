"""``fedmce matrix``: trained models under any mechanism on test rows."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from fedmce import __version__
from fedmce.cli.compose import load_config
from fedmce.cli.door import Door, print_json
from fedmce.cli.groups import groups
from fedmce.config.agreement import check_against
from fedmce.config.explain import config_error
from fedmce.config.folders import FoldersConfig
from fedmce.config.missingness import MissingnessConfig
from fedmce.config.nearest import unknown
from fedmce.config.schema import RunConfig
from fedmce.errors import ConfigError, DataError

OWN = "own"
KEYLESS = ("natural", OWN)  # keys for all columns pass these by
DEFAULT = ("natural", OWN)
ENDINGS = (".csv", ".html")
USES = ("off", "full", "mean")


@dataclass(frozen=True)
class Column:
    """One column as typed: its label, the choice that it names, and the keys that are set for it."""

    label: str
    choice: str
    sets: tuple[str, ...]


def matrix(
    runs: Sequence[Path],
    under: Sequence[str],
    sets: Sequence[str],
    out: Path | None,
    data_dir: Path | None,
    use_completion: str,
    door: Door,
) -> None:
    """Score every run under every mechanism, print the tables and write what was asked for.

    Args:
        runs: folders of finished runs.
        under: ``NAME`` or ``LABEL=NAME``; a choice of the group missingness or protocol, or ``own``.
        sets: ``LABEL.key=value`` of the mechanism of one column, or ``key=value`` of all but natural and own.
        out: ``.csv`` or ``.html`` file.
        data_dir: folder that holds one folder per data set; default that of each run.
        use_completion: ``off``, ``full`` or ``mean``.
        door: says whether the answer is JSON.

    Raises:
        ConfigError: an unknown name or key, or an ending that is not known.
        DataError: a folder without a common model, or a file that cannot be written.
    """
    asked = columns(under or DEFAULT, sets)
    if out is not None and out.suffix.lower() not in ENDINGS:
        raise ConfigError(f"--out: given {out}; needed a file that ends in {' or '.join(ENDINGS)}")
    if use_completion not in USES:
        raise ConfigError(f"--use-completion: {unknown('use', use_completion, USES)}")
    from fedmce.matrix import Scored, TrainedRun, lines, open_run, score_under, tree

    rows: list[tuple[TrainedRun, list[Scored]]] = []
    for folder in runs:
        run = open_run(folder, data_dir, use_completion)
        mechanisms = {column.label: section(column, run.config) for column in asked}
        for label, mechanism in mechanisms.items():
            try:
                check_against(run.config.model_copy(update={"missingness": mechanism}), run.dataset)
            except ConfigError as error:
                raise ConfigError(f"--under {label}, {folder}: {error}") from None
        rows.append((run, [score_under(run, label, mechanism) for label, mechanism in mechanisms.items()]))
    found = tree(rows)
    if out is not None and out.suffix.lower() == ".csv":
        _write(out, lines(rows))
    elif out is not None:
        from fedmce.report import draw_matrix

        draw_matrix(found, out)
    if door.as_json:
        print_json(found | {"version": __version__})
        return
    from fedmce.cli.matrix_tables import print_matrix

    print_matrix(found)
    if out is not None:
        typer.echo(out)


def columns(under: Sequence[str], sets: Sequence[str]) -> list[Column]:
    """The columns as typed, each name looked up.

    Raises:
        ConfigError: every problem in one message.
    """
    choices = _choices()
    labels: dict[str, str] = {}
    problems = []
    for text in under:
        label, equals, choice = text.rpartition("=")
        label = label if equals else choice
        if choice not in choices:
            problems.append(f"--under {text}: {unknown('mechanism or protocol', choice, choices)}")
        elif not re.fullmatch(r"[A-Za-z0-9_-]+", label):
            problems.append(f"--under {text}: given the label {label!r}; needed letters, digits, '_' and '-'")
        elif label in labels:
            problems.append(f"--under {text}: {label} given twice. give each column a label: --under LABEL={choice}")
        labels.setdefault(label, choice)
    chosen: dict[str, list[str]] = {label: [] for label in labels}
    with_keys = [label for label, choice in labels.items() if choice not in KEYLESS]
    for text in sets:
        label, dot, rest = text.partition(".")
        named = [label] if dot and label in labels else with_keys
        for name in named:
            chosen[name].append(rest if dot and label in (*labels, "missingness") else text)
        if not set(named) & set(with_keys):
            problems.append(f"--set {text}: {' and '.join(named or labels)} take no keys. name a mechanism that does")
    if problems:
        raise config_error(problems, "matrix")
    return [Column(label, choice, tuple(chosen[label])) for label, choice in labels.items()]


def section(column: Column, config: RunConfig) -> MissingnessConfig:
    """The mechanism of a column for a run's data set, with the data set's own default rates.

    Raises:
        ConfigError: a key or value that the mechanism does not take.
    """
    if column.choice == OWN:
        return config.missingness
    group = "missingness" if column.choice in groups()["missingness"] else "protocol"
    overrides = [f"dataset={config.dataset.name}", f"{group}={column.choice}"]
    # Own data: which modalities and classes there are stands in the folders alone.
    if isinstance(config.dataset, FoldersConfig) and config.dataset.path is not None:
        overrides.append(f"dataset.path={json.dumps(config.dataset.path)}")
    try:
        return load_config([*overrides, *(f"missingness.{text}" for text in column.sets)]).missingness
    except ConfigError as error:
        raise ConfigError(f"--under {column.label}, data set {config.dataset.name}: {error}") from None


def _choices() -> list[str]:
    known = groups()
    return [OWN, *known["missingness"], *(name for name in known.get("protocol", ()) if name != "none")]


def _write(path: Path, lines: list[list[str]]) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error}); needed a file in a folder that exists") from None


def complete(incomplete: str) -> list[str]:
    """Completions of ``--under`` at the shell."""
    return [name for name in _choices() if name.startswith(incomplete)]
