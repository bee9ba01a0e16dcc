"""The commands of ``fedmce``; each imports what it needs when it runs, so that ``--help`` stays quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedmce import __version__
from fedmce.cli.audit_app import audit_app
from fedmce.cli.client_app import client_app
from fedmce.cli.door import door
from fedmce.cli.privacy_app import leak_probe, ledger
from fedmce.cli.server_app import server_app
from fedmce.cli.site_app import site_app


def _complete(incomplete: str) -> list[str]:
    from fedmce.cli.groups import complete

    return complete(incomplete)


def _complete_study(incomplete: str) -> list[str]:
    from fedmce.cli.groups import complete
    from fedmce.cli.study_file import known_studies

    offers = [f"study={name}" for name in known_studies()]
    return [offer for offer in offers if offer.startswith(incomplete)] + complete(incomplete)


def _complete_under(incomplete: str) -> list[str]:
    from fedmce.cli.matrix import complete

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
app.add_typer(site_app, name="site")
app.add_typer(config_app, name="config")
app.add_typer(server_app, name="server")
app.add_typer(client_app, name="client")
app.command("leak-probe")(leak_probe)
client_app.command("ledger")(ledger)
app.add_typer(audit_app, name="audit")


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
    accept_rollback: Annotated[
        bool, typer.Option("--accept-rollback", help="With resume=RUN: pass over a damaged newest round.")
    ] = False,
) -> None:
    """Train and evaluate a federation, write its run folder, print the scores; resume=RUN goes on with one."""
    with door(as_json) as out:
        from fedmce.cli.resume import is_resume, resume

        if is_resume(overrides or []) or accept_rollback:
            resume(overrides or [], out, is_quiet=quiet, accept_rollback=accept_rollback)
            return
        from fedmce.cli.run import run as run_once

        run_once(overrides or [], out, is_quiet=quiet)


@app.command()
def study(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            help="study=NAME or study=FILE.yaml, then keys of the study (seeds=[0,1]) and overrides of all runs.",
            show_default=False,
            autocompletion=_complete_study,
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time; default one per core, or per GPU.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder; default runs/study-NAME. An unfinished one goes on.")
    ] = None,
    ray: Annotated[str | None, typer.Option("--ray", help="Address of a Ray cluster that does the runs.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run, write nothing.")] = False,
    no_run: Annotated[bool, typer.Option("--no-run", help="Run nothing; tables and page of what is there.")] = False,
    any_code: Annotated[
        bool, typer.Option("--any-code", help="Keep finished runs although the code has changed since.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; the result is still printed.")] = False,
) -> None:
    """Compare methods over settings and seeds: run what is missing, write tables, statistics and a page."""
    with door() as leave:
        from fedmce.cli.study import Options
        from fedmce.cli.study import study as run_study

        options = Options(workers, out, ray, dry_run, quiet, no_run, any_code)
        run_study(arguments or [], options, leave)


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
def matrix(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs.", show_default=False)],
    under: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME or LABEL=NAME: a choice of missingness or protocol, or own (the run's); repeat for more columns. "
            "Default natural and own.",
            autocompletion=_complete_under,
            show_default=False,
        ),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="LABEL.key=value of one column's mechanism, or key=value of all but natural and own.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Also write .csv or .html.")] = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Data sets; default that of each run.")] = None,
    use_completion: Annotated[
        str, typer.Option(help="Completed tokens for what a row lacks: off, full or mean.")
    ] = "off",
    as_json: Annotated[bool, typer.Option("--json", help="Print the matrix as one JSON object.")] = False,
) -> None:
    """Score trained models under any missingness mechanism on test rows."""
    with door(as_json) as answer:
        from fedmce.cli.matrix import matrix as score_all

        score_all(runs, under or [], sets or [], out, data_dir, use_completion, answer)


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


@app.command()
def provision(
    sites: Annotated[str, typer.Option(help="Names of the sites, with commas: north,south.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="New or empty folder.", show_default=False)],
    overrides: OVERRIDES = None,
    server: Annotated[str, typer.Option(help="HOST:PORT at which sites reach the server.")] = "localhost:9443",
    san: Annotated[
        list[str] | None,
        typer.Option("--san", help="A further host name or address of the server; repeat.", show_default=False),
    ] = None,
    days: Annotated[int, typer.Option(help="Life of certificates and kits.")] = 365,
    keys: Annotated[
        str, typer.Option(help="here: make the sites' node keys now, in the kits; site: each site makes its own.")
    ] = "here",
    keep: Annotated[bool, typer.Option("--keep", help="Also keep keys that are made here, in project/nodes.")] = False,
    max_rows: Annotated[
        list[str] | None, typer.Option(help="SITE=N: more rows of the site never count; repeat.", show_default=False)
    ] = None,
    i_know: Annotated[bool, typer.Option("--i-know", help="Allow a plan that tells counts of single rows.")] = False,
) -> None:
    """Make what a federation between sites needs: certificates, keys, a kit per site, the plan."""
    with door():
        from fedmce.cli.provision import provision_project

        more = overrides or []
        provision_project(out, sites, server, san or [], days, keys, max_rows or [], more, keep=keep, i_know=i_know)


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


@app.command("deploy-demo")
def deploy_demo(
    out: Annotated[Path, typer.Option("--out", help="New folder for everything that the demo makes.")] = Path(
        "runs/deploy-demo"
    ),
    overrides: OVERRIDES = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of training.")] = 3,
    no_proxy: Annotated[bool, typer.Option("--no-proxy", help="Without nginx; not as between real sites.")] = False,
) -> None:
    """A federation of real processes on this machine, with TLS, keys and proxy, compared with a simulation."""
    with door():
        from fedmce.cli.deploy_demo import deploy_demo as run

        run(out, rounds, overrides or [], with_proxy=not no_proxy)


@app.command()
def doctor(
    folder: Annotated[Path | None, typer.Option("--dir", help="Server folder.", show_default=False)] = None,
    kit: Annotated[Path | None, typer.Option("--kit", help="Unpacked kit of a site.", show_default=False)] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Site folder.", show_default=False)] = None,
    home: Annotated[Path | None, typer.Option("--home", help="Home of a site.", show_default=False)] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65533, help="As for `server up` (8000) or `client join` (9094).", show_default=False),
    ] = None,
    outside: Annotated[
        str | None, typer.Option("--outside", help="HOST:PORT to be tried as a stranger.", show_default=False)
    ] = None,
    authority: Annotated[
        Path | None, typer.Option("--ca", help="Certificate to trust outside.", show_default=False)
    ] = None,
    fingerprint: Annotated[
        str | None, typer.Option(help="Of the project, as told by telephone.", show_default=False)
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="Node key, if not node.key in the kit.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as one JSON object.")] = False,
) -> None:
    """Look at versions, certificates, clock, ports, disk, keys and health; say how to fix what is wrong."""
    with door(as_json):
        from fedmce.cli.doctor import doctor as look

        look(folder, kit, data, home, port, outside, authority, fingerprint, key, as_json=as_json)
