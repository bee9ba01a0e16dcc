"""A whole federation between real processes on one machine, and the same run in one process to compare with.

Every step is the command that a person would type; this file only types them, waits, and compares.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmce.cli.provision import DEPLOYED
from fedmce.errors import RunError
from fedmce.record import read_record
from simulations.deployment.stage import Stage
from simulations.ports import free_ports
from simulations.processes import Supervised

TOLERANCE = 1e-6
SITES = ("us_f3", "gb_m3", "scotland_m7")  # of av_digits: three of its six speakers


@dataclass(frozen=True)
class Demo:
    """What to run.

    Attributes:
        out: new folder for everything.
        rounds: of training.
        with_proxy: put nginx in front, as between real sites; without it sites speak to Flower's own port.
        overrides: of the plan.
        limit_s: longest wait for the end.
    """

    out: Path
    rounds: int = 3
    with_proxy: bool = True
    overrides: tuple[str, ...] = ()
    limit_s: float = 1800.0


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        deployed: run folder of the federation of processes.
        simulated: run folder of the same plan in one process.
        largest_difference: over all scores of the two results.
        round_s: seconds of each deployed round.
        train_s: of these, seconds that the slowest site trained and evaluated.
    """

    deployed: Path
    simulated: Path
    largest_difference: float
    round_s: tuple[float, ...]
    train_s: tuple[float, ...]


def run_demo(demo: Demo, say: Callable[[str], None]) -> Outcome:
    """Export, provision, start proxy, server and sites, wait for the result, run the same in one process, compare.

    Raises:
        RunError: a step failed, or the two results differ; the message says where to look.
        NetworkError: nginx is not installed.
    """
    stage = Stage(demo.out, say)
    demo.out.mkdir(parents=True, exist_ok=True)
    folders, project = demo.out / "sites", demo.out / "project"
    superlink = free_ports(4 + 2 * len(SITES))
    port, of_sites = superlink + 3, superlink + 4
    server = f"localhost:{port if demo.with_proxy else superlink}"
    stage.type("site", "export", str(folders), "--masked", "dataset=av_digits", f"sites=[{','.join(SITES)}]")
    plan = ["dataset=folders", f"dataset.path={folders}", f"rounds={demo.rounds}", f"evaluate_every={demo.rounds}"]
    plan += demo.overrides
    names = sorted(path.name for path in folders.iterdir())
    stage.type("provision", "--sites", ",".join(names), "--out", str(project), "--server", server, *plan)
    try:
        if demo.with_proxy:
            stage.proxy(project, port, superlink)
        upper = stage.start("server", "server", "up", "--dir", str(project), "--port", str(superlink))
        for number, name in enumerate(names):
            join_site(stage, name, project / "kits" / name, folders / name, of_sites + 2 * number)
        stage.wait_for(upper, demo.limit_s)
        say(upper.last_words(4000))
    finally:
        stage.stop()
    deployed = project / "run"
    simulated = demo.out / "simulated"
    stage.type("run", "--quiet", *DEPLOYED, *plan, f"out={simulated}")
    return _compare(deployed, simulated)


def join_site(stage: Stage, name: str, kit: Path, data: Path, port: int) -> Supervised:
    """Start a site on a stage, with a home of its own; it takes the port and the next one."""
    more = ["--home", str(stage.out / "homes" / name), "--port", str(port)]
    return stage.start(name, "client", "join", str(kit), "--data", str(data), *more)


def _compare(deployed: Path, simulated: Path) -> Outcome:
    one, other = (json.loads((folder / "result.json").read_text(encoding="utf-8")) for folder in (deployed, simulated))
    largest = max((abs(a - b) for a, b in _pairs(one["metrics"], other["metrics"], "metrics")), default=0.0)
    if largest > TOLERANCE:
        raise RunError(
            f"the results differ by {largest:.3g}; needed at most {TOLERANCE:g}. compare {deployed / 'result.json'} with "
            f"{simulated / 'result.json'}"
        )
    rounds = [row for row in read_record(deployed) if row["event"] == "round"]
    slowest = [
        max((site["train_s"] + site["evaluate_s"] for site in row["sites"].values()), default=0.0) for row in rounds
    ]
    return Outcome(deployed, simulated, largest, tuple(row["timing"]["total_s"] for row in rounds), tuple(slowest))


def _pairs(one: Any, other: Any, where: str) -> list[tuple[float, float]]:
    """Numbers at the same place of two trees.

    Raises:
        RunError: one tree has a number where the other has none.
    """
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [pair for key in one for pair in _pairs(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return [(float(one), float(other))]
    if one == other:
        return []
    raise RunError(f"{where}: {one!r} in the deployed result, {other!r} in the simulated one")
