"""Bodies of ``fedmce client keygen`` and ``inspect``."""

from __future__ import annotations

from pathlib import Path

import typer

from fedmce.errors import IdentityError
from fedmce.kits.keys import PRIVATE, PUBLIC, make_node_key
from fedmce.kits.verify import Kit, examine_kit


def keygen(folder: Path) -> None:
    """Make a key pair and say what to send where."""
    public = make_node_key(folder)
    typer.echo(f"{folder / PRIVATE}  stays on this machine; whoever has a copy is this site")
    typer.echo(f"{folder / PUBLIC}  goes to the operator, by any way")
    typer.echo(f"{public.fingerprint}  read this out to the operator by telephone")


def inspect(folder: Path, fingerprint: str | None, data: Path | None, node_key: Path | None) -> None:
    """Print what a kit says, then everything that is wrong with it.

    Raises:
        IdentityError: something is.
        DataError: the site folder has no readable ``site.yaml``.
    """
    site = None
    if data is not None:
        from fedmce.folders.layout import SiteFile

        site = SiteFile.read(data).site
    kit, problems = examine_kit(folder, fingerprint, site=site, node_key=node_key)
    if kit is not None:
        _show(kit, is_pinned=fingerprint is not None)
    for problem in problems:
        if problem.is_warning:
            typer.echo(f"warning: {problem}")
    faults = [problem for problem in problems if not problem.is_warning]
    if faults:
        lines = "".join(f"\n  {problem.case} {problem}" for problem in faults)
        raise IdentityError(f"kit {folder}: {len(faults)} problem{'s' * (len(faults) > 1)}{lines}")
    typer.echo("ok: every file is as the project signed it")


def _show(kit: Kit, *, is_pinned: bool) -> None:
    file, plan, floors = kit.file, kit.plan, kit.file.floors
    compared = "as told" if is_pinned else "NOT COMPARED: ask the operator by telephone, then give --fingerprint"
    rows = f", at most {file.max_rows} rows count" if file.max_rows else ""
    noise = "none" if floors.site_noise == "none" else f"{floors.site_noise}, sd {floors.noise_sd}"
    typer.echo(f"site      {file.site}{rows}")
    typer.echo(f"server    {file.server}")
    typer.echo(f"project   {file.project}  ({compared})")
    typer.echo(f"valid     {file.made:%Y-%m-%d} to {file.not_after:%Y-%m-%d}")
    typer.echo(f"plan      {plan.method} on {plan.dataset.name}, {plan.rounds} rounds; digest {file.plan_digest[:12]}")
    typer.echo(
        f"floors    {floors.min_rows} rows ({floors.min_rows_dense} where dense), {floors.min_steps} steps, counts from "
        f"{floors.k_min} in steps of {floors.count_step}, noise {noise}, {floors.min_asked} sites asked"
    )
    typer.echo(f"code      fedmce {file.fedmce}, digest {file.app_digest[:12]}")
    typer.echo(f"node key  {file.node_key or 'made at the site, not yet registered'}")
