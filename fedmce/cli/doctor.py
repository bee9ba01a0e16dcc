"""Body of ``fedmce doctor``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from fedmce import __version__
from fedmce._paths import use_app
from fedmce.cli.door import print_json
from fedmce.errors import ConfigError
from fedmce.kits.address import read_address

SIGNS = {"ok": "ok", "warning": "warning", "fault": "FAULT", "not running": "not running"}


def doctor(
    folder: Path | None,
    kit: Path | None,
    data: Path | None,
    home: Path | None,
    port: int | None,
    outside: str | None,
    authority: Path | None,
    fingerprint: str | None,
    key: Path | None,
    *,
    as_json: bool,
) -> None:
    """Look at everything that was named, print what was found, exit with the code of the first fault.

    Raises:
        ConfigError: ``--outside`` without a certificate to trust.
    """
    use_app()
    from simulations.deployment import doctor as checks

    parts: list[Iterator[Any]] = [checks.machine_findings(folder or home or Path())]
    if folder is not None:
        parts.append(checks.server_findings(folder, port or 8000))
    if kit is not None:
        parts.append(checks.site_findings(kit, data, home, port or 9094, fingerprint, key))
    if outside is not None:
        trusted = authority or (kit / "ca.crt" if kit else folder / "ca.crt" if folder else None)
        if trusted is None:
            raise ConfigError("outside: nothing to trust; needed --ca, --kit or --dir for the authority's certificate")
        parts.append(checks.outside_findings(read_address(outside.removeprefix("https://").rstrip("/")), trusted))
    findings = list(chain(*parts))
    if as_json:
        rows = [vars(finding) for finding in findings]
        print_json({"schema": "fedmce.doctor/1", "version": __version__, "findings": rows})
    else:
        _table(findings)
    faults = [finding for finding in findings if finding.result == "fault"]
    if faults:
        raise typer.Exit(faults[0].exit_code)


def _table(findings: list[Any]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("what was found")
    colours = {"ok": "green", "warning": "yellow", "fault": "bold red", "not running": "dim"}
    for finding in findings:
        text = finding.detail + (f"\n-> {finding.fix}" if finding.fix else "")
        table.add_row(finding.check, f"[{colours[finding.result]}]{SIGNS[finding.result]}[/]", text)
    Console(highlight=False).print(table)
