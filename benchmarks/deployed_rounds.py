"""``python -m benchmarks.deployed_rounds --sites 3 --rounds 10 --empty``: what a round between real processes costs.

Starts a federation on loopback as `fedmce deploy-demo` does (proxy, TLS, registered keys, site workers) with a tiny model,
and prints seconds per round, their parts and memory per process. With ``--empty`` also Flower's own empty round.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from benchmarks.deployed.flower_empty import flower_rounds
from benchmarks.deployed.parts import BESIDE, PARTS, replies_left, rounds_of, spread
from benchmarks.deployed.sites import PLAN, write_sites
from benchmarks.deployed.watcher import Watcher
from fedmce._paths import use_app


def measure(out: Path, sites: int, rounds: int) -> dict[str, Any]:
    """Run a federation; figures of its rounds and processes."""
    use_app()
    from simulations.deployment.demo import join_site
    from simulations.deployment.stage import Stage
    from simulations.ports import free_ports

    stage = Stage(out, lambda line: print(line, file=sys.stderr))
    folders, project = out / "sites", out / "project"
    names = write_sites(folders, sites)
    superlink = free_ports(4 + 2 * sites)
    port, of_sites = superlink + 3, superlink + 4
    plan = ["dataset=folders", f"dataset.path={folders}", f"rounds={rounds}", f"evaluate_every={rounds}", *PLAN]
    server = f"localhost:{port}"
    stage.type("provision", "--sites", ",".join(names), "--out", str(project), "--server", server, *plan)
    homes = {name: out / "homes" / name for name in names}
    try:
        with Watcher(homes) as watcher:
            stage.proxy(project, port, superlink)
            upper = stage.start("server", "server", "up", "--dir", str(project), "--port", str(superlink), "--quiet")
            for number, name in enumerate(names):
                join_site(stage, name, project / "kits" / name, folders / name, of_sites + 2 * number)
            stage.wait_for(upper, 3600.0 + 120.0 * rounds)
    finally:
        stage.stop()
    left = {name: replies_left(home / "ledger.jsonl", watcher.left[name]) for name, home in homes.items()}
    found = rounds_of(project / "run", left)
    return {
        "sites": sites,
        "rounds": [asdict(one) for one in found],
        "round_s": spread([one.seconds for one in found]),
        "parts_s": {part: spread([one.parts[part] for one in found]) for part in (*PARTS, *BESIDE)},
        "memory": watcher.memory(),
        "memory_total_mb": round(watcher.total_bytes / 1e6, 1),
    }


def compared(found: dict[str, Any], empty: Sequence[float]) -> dict[str, Any]:
    """Both rounds beside each other; the first of each pays for what is warm later and is left out."""
    ours = [one["seconds"] for one in found["rounds"]][1:]
    work = [one["parts"]["train"] + one["parts"]["evaluate"] for one in found["rounds"]][1:]
    flower = spread(empty[1:])
    median = spread(ours)["median"]
    return {
        "flower_empty_s": flower,
        "flower_rounds_s": list(empty),
        "fedmce_s": spread(ours),
        "ratio": median / flower["median"],
        "more_than_flower_and_training_s": spread([s - w for s, w in zip(ours, work, strict=True)])["median"]
        - flower["median"],
    }


def table(found: dict[str, Any]) -> str:
    """The figures for a person."""
    lines = [f"{found['sites']} sites, {len(found['rounds'])} rounds", "", _row("seconds", "median", "p90", "max")]
    lines.append(_spread_row("a round", found["round_s"]))
    lines += [_spread_row(f"  {PARTS[part]}", found["parts_s"][part]) for part in PARTS]
    lines += [_spread_row(f"beside: {BESIDE[part]}", found["parts_s"][part]) for part in BESIDE]
    lines += ["", _row("largest resident memory", "MB each", "at once", "")]
    lines += [
        _row(f"  {role}", f"{what['peak_mb']:.0f}", str(what["processes"]), "")
        for role, what in found["memory"].items()
    ]
    lines.append(_row("  all at one moment (shared pages counted in each)", f"{found['memory_total_mb']:.0f}", "", ""))
    if "flower" in found:
        flower = found["flower"]
        lines += ["", _spread_row("Flower's own empty round", flower["flower_empty_s"])]
        lines.append(_spread_row("a round here, without the first", flower["fedmce_s"]))
        lines.append(f"ratio {flower['ratio']:.2f}; beyond Flower's and the site's own work:")
        lines[-1] += f" {flower['more_than_flower_and_training_s']:.2f} s"
    return "\n".join(lines)


def _spread_row(name: str, of: dict[str, float]) -> str:
    return _row(name, *(f"{of[key]:.2f}" for key in ("median", "p90", "max")))


def _row(name: str, *cells: str) -> str:
    return f"{name:<84}" + "".join(f"{cell:>9}" for cell in cells)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deployed_rounds", description=__doc__)
    parser.add_argument("--sites", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--empty", action="store_true", help="also measure Flower's own empty round")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args(arguments)
    if given.sites < 2 or given.rounds < 2:
        parser.error("sites and rounds: needed at least 2 of each")
    machine = {"cores": os.cpu_count(), "load": [round(load, 2) for load in psutil.getloadavg()]}
    with tempfile.TemporaryDirectory(prefix="deployed-") as folder:
        found = measure(Path(folder) / "fedmce", given.sites, given.rounds)
        if given.empty:
            found["flower"] = compared(found, flower_rounds(Path(folder) / "flower", given.sites, given.rounds))
    found["machine"] = machine | {"load_after": [round(load, 2) for load in psutil.getloadavg()]}
    print(table(found))
    print(f"{machine['cores']} cores; load before {machine['load']}, after {found['machine']['load_after']}")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
