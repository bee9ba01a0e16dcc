"""A whole federation between real processes on one machine, and the same run in one process to compare with.

Every step is the command that a person would type; this file only types them, waits, and compares.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmce.cli.provision import DEPLOYED
from fedmce.errors import NetworkError, RunError
from fedmce.kits.server_folder import read_server
from fedmce.record import read_record
from simulations.deployment.recipes import Proxy, proxy_configuration
from simulations.processes import Supervised, free_port, free_port_block, stop_all

TOLERANCE = 1e-6
SITES = ("us_f3", "gb_m3", "scotland_m7")  # of av_digits: three of its six speakers
ONLINE_S = 120.0


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
    demo.out.mkdir(parents=True, exist_ok=True)
    folders, project = demo.out / "sites", demo.out / "project"
    port, superlink = free_port(), free_port_block(3)
    server = f"localhost:{port if demo.with_proxy else superlink}"
    _type(say, "site", "export", str(folders), "--masked", "dataset=av_digits", f"sites=[{','.join(SITES)}]")
    plan = ["dataset=folders", f"dataset.path={folders}", f"rounds={demo.rounds}", f"evaluate_every={demo.rounds}"]
    plan += demo.overrides
    names = sorted(path.name for path in folders.iterdir())
    _type(say, "provision", "--sites", ",".join(names), "--out", str(project), "--server", server, *plan)
    started: list[Supervised] = []
    mark = str(demo.out.resolve())
    try:
        if demo.with_proxy:
            started.append(_proxy(demo.out, project, port, superlink, say))
        command = ["server", "up", "--dir", str(project), "--port", str(superlink)]
        upper = _start(demo.out, mark, "server", command, say)
        started.append(upper)
        for name in names:
            join = ["client", "join", str(project / "kits" / name), "--data", str(folders / name)]
            join += ["--home", str(demo.out / "homes" / name), "--port", str(free_port_block(2))]
            started.append(_start(demo.out, mark, name, join, say))
        _await(upper, started, demo.limit_s, say)
    finally:
        for one in reversed(started):
            one.stop()
        stop_all(None, mark)
    deployed = project / "run"
    simulated = demo.out / "simulated"
    _type(say, "run", "--quiet", *DEPLOYED, *plan, f"out={simulated}")
    return _compare(deployed, simulated)


def _fedmce() -> list[str]:
    return [sys.executable, "-m", "fedmce"]


def _type(say: Callable[[str], None], *arguments: str) -> None:
    say("$ fedmce " + " ".join(arguments))
    done = subprocess.run([*_fedmce(), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RunError(f"fedmce {arguments[0]}: exit {done.returncode}; {(done.stderr or done.stdout).strip()[-800:]}")


def _start(out: Path, mark: str, name: str, command: Sequence[str], say: Callable[[str], None]) -> Supervised:
    say("$ fedmce " + " ".join(command) + " &")
    log = out / "log"
    log.mkdir(exist_ok=True)
    environment = dict(os.environ) | {"FEDMCE_ENGINE_HOME": mark, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
    one = Supervised(name, [*_fedmce(), *command], environment, log / f"{name}.log")
    one.start()
    return one


def _proxy(out: Path, project: Path, port: int, superlink: int, say: Callable[[str], None]) -> Supervised:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if nginx is None:
        raise NetworkError("nginx: not installed; needed as the proxy. install it (Debian: nginx-light), or --no-proxy")
    folder, file = read_server(project)
    work = (out / "proxy").resolve()
    work.mkdir()
    configuration = work / "nginx.conf"
    text = proxy_configuration(folder, file.names, Proxy(f"127.0.0.1:{port}", superlink, work, connections=64))
    configuration.write_text(text, encoding="utf-8")
    say(f"$ nginx -c {configuration} &")
    command = [nginx, "-c", str(configuration), "-p", str(work), "-g", "daemon off; master_process off;"]
    one = Supervised("nginx", command, dict(os.environ), work / "nginx.log")
    one.start()
    time.sleep(0.5)
    if not one.is_alive:
        raise NetworkError(f"nginx ended with {one.exit_code}: {one.last_words(400).strip()}")
    return one


def _await(server: Supervised, started: Sequence[Supervised], limit_s: float, say: Callable[[str], None]) -> None:
    """Until the server's command ends by itself."""
    end = time.monotonic() + limit_s
    while server.is_alive:
        for one in started:
            if not one.is_alive and one is not server and one.exit_code:
                raise RunError(f"{one.name} ended with {one.exit_code}: {one.last_words(600).strip()} (log: {one.log})")
        if time.monotonic() > end:
            raise RunError(f"the federation did not end within {limit_s:.0f} s; see {server.log}")
        time.sleep(0.5)
    if server.exit_code:
        raise RunError(f"server ended with {server.exit_code}: {server.last_words(800).strip()} (log: {server.log})")
    say(server.last_words(4000))


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
