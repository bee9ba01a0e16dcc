"""``fedmce audit``: is the log of a run as it was written?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedmce.cli.door import door

audit_app = typer.Typer(help="Audit log: verify.", no_args_is_help=True, rich_markup_mode=None)


@audit_app.callback()
def _root() -> None:
    """Audit log: verify."""


@audit_app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="audit.jsonl, or the run folder that holds it.", show_default=False)],
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="A site's ledger: heads of the log that the site saw.")
    ] = None,
) -> None:
    """Name the first line that was changed; exit code 5 if there is one."""
    with door():
        from fedmce.cli.audit import verify_file

        verify_file(file, ledger)
