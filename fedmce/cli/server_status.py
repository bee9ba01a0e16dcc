"""Bodies of ``fedmce server status`` and ``readmit``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from fedmce._paths import use_app
from fedmce.cli.door import print_json
from fedmce.errors import ConfigError
from fedmce.kits.roster import Roster, read_roster
from fedmce.kits.server_folder import read_plan, read_server
from fedmce.record import read_record


def status(folder: Path, *, as_json: bool) -> None:
    """Say how far the run of a server folder is and how each site stands, from what is on the disk."""
    use_app()
    from simulations.deployment.server_process import ServerProcess
    from simulations.processes import runs

    server, _ = read_server(folder)
    run = server.path / "run"
    pid = ServerProcess(run).pid
    rows = read_record(run) if (run / "record.jsonl").exists() else []
    told: dict[str, Any] = {"process": pid if pid is not None and runs(pid) else None}
    told |= {"rounds": read_plan(server).rounds, "round": max((r["round"] for r in _rounds(rows)), default=0)}
    told["sites"] = {site: _site(site, rows, read_roster(server)) for site in sorted(read_roster(server).sites)}
    if as_json:
        print_json(told)
        return
    typer.echo(f"server    {'runs, process ' + str(pid) if told['process'] else 'does not run'}")
    typer.echo(f"run       round {told['round']} of {told['rounds']} in {run}")
    width = max(map(len, told["sites"]))
    for site, about in told["sites"].items():
        last = f"round {about['round']}: {about['last']}" if about["round"] else "never asked"
        typer.echo(f"{site:<{width}}  {about['standing']:<24}  {last}{_remedy(site, about['standing'])}")


def readmit(folder: Path, site: str) -> None:
    """Leave word for the round loop that a site is to be asked again, with the key that its node has now.

    Raises:
        ConfigError: no such site, or it has no key that counts.
    """
    use_app()
    from server.operator_word import leave_word

    server, _ = read_server(folder)
    roster = read_roster(server)
    roster.check_known(site)
    if not roster.active(site):
        raise ConfigError(
            f"site {site}: all its keys are revoked; needed one that counts. have it make one (fedmce client keygen), then "
            f"fedmce server register FILE --site {site}, and readmit it again"
        )
    run = server.path / "run"
    run.mkdir(mode=0o700, exist_ok=True)
    leave_word(run, "readmit", site)
    typer.echo(f"{site} is asked again from the next round that begins; its strikes are forgotten")


def _rounds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["event"] == "round"]


def _site(site: str, rows: list[dict[str, Any]], roster: Roster) -> dict[str, Any]:
    """Standing after the last round, and the newest verdict."""
    rounds = _rounds(rows)
    found = {"standing": _standing(site, rounds[-1] if rounds else {}, roster), "round": 0, "last": ""}
    for row in reversed(rounds):
        if site in row["sites"]:
            about = row["sites"][site]
            return found | {"round": row["round"], "last": " ".join(filter(None, (about["verdict"], about["detail"])))}
    return found


def _standing(site: str, row: dict[str, Any], roster: Roster) -> str:
    if not roster.active(site):
        return "no key that counts"
    if site in row.get("expelled", ()):
        return "expelled"
    if site in row.get("suspect", ()):
        return "silent"
    if (until := row.get("benched", {}).get(site)) is not None:
        return f"benched to round {until}"
    return "good" if site in row.get("asked", ()) else "not there"


def _remedy(site: str, standing: str) -> str:
    return f"; to ask it again: fedmce server readmit {site}" if standing == "expelled" else ""
