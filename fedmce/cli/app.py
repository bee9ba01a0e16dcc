"""The commands of ``fedmce``; each imports what it needs when it runs, so that ``--help`` stays quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedmce import __version__
from fedmce.cli.door import door


def _complete(incomplete: str) -> list[str]:
    from fedmce.cli.groups import complete

    return complete(incomplete)


OVERRIDES = Annotated[
    list[str] | None,
    typer.Argument(
        help="key=value or group=choice, such as dataset=sound_mnist rounds=30; see `fedmce config ls`.",
        show_default=False,
        autocompletion=_complete,
    ),
]

app = typer.Typer(
    help="Federated learning for sites whose data miss modalities.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Data sets: list, download.", no_args_is_help=True, rich_markup_mode=None)
config_app = typer.Typer(
    help="Configuration: show, validate, list choices.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(data_app, name="data")
app.add_typer(config_app, name="config")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fedmce {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Federated learning for sites whose data miss modalities."""


@app.command()
def run(
    overrides: OVERRIDES = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; the result is still printed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Train and evaluate a federation, write its run folder, print the scores."""
    with door(as_json) as out:
        from fedmce.cli.run import run as run_once

        run_once(overrides or [], out, is_quiet=quiet)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", help="Also write one page that compares the runs: .html file or folder.")
    ] = None,
) -> None:
    """Draw figures and report.html again from the records alone."""
    with door():
        from fedmce.cli.reports import draw_all

        draw_all(runs, out)


@app.command()
def predict(
    model: Annotated[Path, typer.Option("--model", help="Run folder with model.safetensors and model.json.")],
    source: Annotated[Path, typer.Option("--input", help=".npz, or .csv for tabular modalities.")],
    output: Annotated[Path | None, typer.Option("--output", help="CSV file; default stdout.")] = None,
    use_completion: Annotated[
        str | None,
        typer.Option(help="Completed tokens for what a row lacks: off, full or mean; default as trained."),
    ] = None,
) -> None:
    """Predict for samples that hold any subset of the modalities."""
    with door():
        from fedmce.predict import predict_file

        predict_file(model, source, output, use_completion)


@data_app.command("ls")
def data_ls(
    data_dir: Annotated[Path, typer.Option("--data-dir", help="Folder that holds one folder per data set.")] = Path(
        "data"
    ),
) -> None:
    """List the data sets and whether their files are there."""
    with door():
        from fedmce.cli.data import list_datasets

        list_datasets(data_dir)


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="Data set, see `fedmce data ls`.", show_default=False)],
    data_dir: Annotated[Path, typer.Option("--data-dir", help="Folder that holds one folder per data set.")] = Path(
        "data"
    ),
) -> None:
    """Download a data set from its owners, checksums compared."""
    with door():
        from fedmce.cli.data import fetch_dataset

        fetch_dataset(name, data_dir)


@config_app.command("show")
def config_show(overrides: OVERRIDES = None) -> None:
    """Print the resolved configuration as YAML."""
    with door():
        from fedmce.cli.show import show

        show(overrides or [])


@config_app.command("validate")
def config_validate(overrides: OVERRIDES = None) -> None:
    """Check a configuration without running it; exit code 2 if it is wrong."""
    with door():
        from fedmce.cli.show import validate

        validate(overrides or [])


@config_app.command("ls")
def config_ls() -> None:
    """List the config groups and their choices."""
    with door():
        from fedmce.cli.show import list_groups

        list_groups()
