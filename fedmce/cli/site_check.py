"""``fedmce site check`` and ``fedmce site seal``."""

from __future__ import annotations

import sys
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from fedmce import __version__
from fedmce.cli.door import Door, print_json
from fedmce.config.folders import PlannedModality
from fedmce.errors import DataError
from fedmce.folders.check import Report, check_folder
from fedmce.folders.counts import Counts
from fedmce.folders.demands import Demands
from fedmce.folders.layout import SITE_FILE, SiteFile
from fedmce.folders.pass_ids import NAMES
from fedmce.folders.plan import PLANNED, Plan
from fedmce.folders.seal import write_seal

PATTERNS = 16  # that a table lists


def check(folder: Path, out: Door, *, like: Path | None, kit: Path | None, picture: Path | None, values: bool) -> None:
    """Check a folder; print its findings and who has what.

    Args:
        folder: of one site.
        out: with ``as_json`` findings and counts become one JSON object.
        like: another site folder, whose task and modalities this one must have.
        kit: of the site: its name, and the plan of its federation.
        picture: PNG file to draw.
        values: read the features too.

    Raises:
        DataError: ``like`` is no site folder.
        IdentityError: ``kit`` cannot be read.
        typer.Exit: the folder has errors.
    """
    report = check_folder(folder, demands=_demands(like, kit), values=values)
    if picture is not None and report.counts is not None:
        from fedmce.report.site_folder import draw_folder

        draw_folder(report.counts, report.site or folder.name, picture)
    if out.as_json:
        print_json(
            {"schema": "fedmce.site/1", "version": __version__, "exit_code": report.exit_code, **report.to_json()}
        )
        if report.errors:
            raise typer.Exit(report.exit_code)
        return
    _print(report)
    if picture is not None:
        typer.echo(f"picture: {picture}" if report.counts else "picture: nothing to draw", err=True)
    if report.errors:
        raise out.leave(
            "error", f"{folder}: {_told(report)}; needed no error. fix them and check again", report.exit_code
        )


def seal(folder: Path, out: Door) -> None:
    """Write ``SHA256SUMS`` of a folder without errors; an older one is replaced.

    Raises:
        DataError: the folder cannot be written, or a name has a line break.
        typer.Exit: the folder has errors.
    """
    report = check_folder(folder)
    wrong = [finding for finding in report.errors if finding.case != "D65"]
    if wrong:
        typer.echo("\n\n".join(finding.text() for finding in wrong))
        message = (
            f"{folder}: {len(wrong)} errors; needed none, since a seal keeps a folder as it is. nothing was written"
        )
        raise out.leave("error", message, DataError.exit_code)
    try:
        path = write_seal(folder, report.used)
    except OSError as error:
        raise DataError(f"{folder}: cannot be sealed ({type(error).__name__}); needed a folder to write to") from None
    typer.echo(f"{path}: {len(report.used)} files")


def _demands(like: Path | None, kit: Path | None) -> Demands:
    if kit is not None:
        from fedmce.kits.problem import refuse
        from fedmce.kits.verify import examine_kit

        found, problems = examine_kit(kit)
        if found is None:
            refuse(problems, str(kit))
        else:
            return Demands.of_run(found.plan, found.file.site)
    return Demands(plan=_plan(like) if like is not None else None)


def _plan(like: Path) -> Plan:
    site = SiteFile.read(like)
    told = (PlannedModality(name=n, **m.model_dump(include=PLANNED)) for n, m in site.modalities.items())
    return Plan(tuple(told), site.task.classes, site.task.metric)


def _print(report: Report) -> None:
    width = None if sys.stdout.isatty() else 200
    console = Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
    if report.findings:
        console.print(report.text() + "\n", soft_wrap=True)
    if counts := report.counts:
        console.print("rows that hold a modality")
        console.print(_availability(counts))
        console.print("rows per combination of modalities")
        console.print(_patterns(counts))
        if counts.classes:
            console.print("rows per class")
            console.print(_classes(counts))
    site = f"site {report.site}: " if report.site else ""
    console.print(f"{site}{_told(report)}", soft_wrap=True)


def _told(report: Report) -> str:
    said = [
        f"{len(found)} {word}{'' if len(found) == 1 else 's'}"
        for found, word in ((report.errors, "error"), (report.warnings, "warning"))
        if found
    ]
    return " and ".join(said) or f"nothing wrong ({SITE_FILE}, table, features)"


def _availability(counts: Counts) -> Table:
    table = _table("modality", "missing")
    for name in counts.modalities:
        held, missing = counts.held[name], counts.missing[name]
        share = "-" if missing is None else f"{missing:.1%}"
        table.add_row(name, *(f"{held[split]:,}" for split in NAMES), share)
    table.add_row("all rows", *(f"{counts.rows[split]:,}" for split in NAMES), "", end_section=True)
    return table


def _patterns(counts: Counts) -> Table:
    table = _table("combination", "share")
    total = sum(counts.rows.values())
    listed = list(counts.patterns.items())
    for name, by in listed[:PATTERNS]:
        table.add_row(name, *(f"{by[split]:,}" for split in NAMES), f"{sum(by.values()) / total:.1%}")
    if rest := [by for _, by in listed[PATTERNS:]]:
        sums = [sum(by[split] for by in rest) for split in NAMES]
        table.add_row(f"{len(rest)} others", *(f"{n:,}" for n in sums), f"{sum(sums) / total:.1%}")
    return table


def _classes(counts: Counts) -> Table:
    table = _table("class")
    for name, by in list(counts.classes.items())[: 2 * PATTERNS]:
        table.add_row(name, *(f"{by[split]:,}" for split in NAMES))
    return table


def _table(first: str, *more: str) -> Table:
    table = Table(header_style="")
    table.add_column(first, no_wrap=True)
    for name in (*NAMES, *more):
        table.add_column(name, justify="right", no_wrap=True)
    return table
