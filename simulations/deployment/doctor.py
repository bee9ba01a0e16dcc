"""``fedmce doctor``: everything that keeps a server or a site from working, each with what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fedmce import __version__
from fedmce.errors import DataError, FedMCEError
from fedmce.flower_compat import SWITCHES
from fedmce.folders.check import check_folder
from fedmce.folders.demands import Demands
from fedmce.folders.layout import SiteFile
from fedmce.kits.address import Address
from fedmce.kits.environment import flower_environment
from fedmce.kits.problem import Problem
from fedmce.kits.roster import read_roster
from fedmce.kits.server_check import server_problems
from fedmce.kits.server_folder import ServerFolder, read_server
from fedmce.kits.verify import examine_kit
from fedmce.record import read_record
from server.heartbeat import HEARTBEAT
from simulations.deployment.client_join import SOCKET
from simulations.deployment.reach import outside_problems, reach_problems
from simulations.deployment.server_process import SILENT_S

FLOWER, HEALTH_S, LEAST_FREE_GB = "1.41", 3.0, 2.0
Result = Literal["ok", "warning", "fault", "not running"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        check: what was looked at.
        result: what came of it.
        detail: what was found.
        fix: what to do; empty if nothing is to be done.
        exit_code: that a fault of this kind has.
    """

    check: str
    result: Result
    detail: str
    fix: str = ""
    exit_code: int = 4


def machine_findings(home: Path) -> Iterator[Finding]:
    """Versions, switches of Flower, free disk.

    Args:
        home: folder that runs will be written to.
    """
    yield Finding("fedmce", "ok", f"{__version__}, Python {platform.python_version()}")
    for name in ("flwr", "torch", "grpcio"):
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Finding(name, "fault", "not installed", "Install fedmce with its dependencies.", 1)
            continue
        if name == "flwr" and not found.startswith(FLOWER + "."):
            yield Finding(name, "fault", f"{found}; needed {FLOWER}", f"pip install 'flwr[simulation]=={FLOWER}.*'", 1)
        else:
            yield Finding(name, "ok", found)
    told = {name: value for name, value in flower_environment().items() if SWITCHES.get(name) != value}
    telemetry = os.environ.get("FLWR_TELEMETRY_ENABLED", "0")
    if telemetry != "0":
        yield Finding("telemetry", "warning", f"FLWR_TELEMETRY_ENABLED={telemetry}", "unset it: fedmce switches it off")
    else:
        yield Finding("telemetry", "ok", "off: fedmce switches Flower's off in all that it starts")
    if told:
        yield Finding(
            "environment", "warning", ", ".join(f"{k}={v}" for k, v in told.items()), "Unset what you did not mean."
        )
    there = next(path for path in (home, *home.resolve().parents) if path.exists())
    free = shutil.disk_usage(there).free / 1e9
    short = free < LEAST_FREE_GB
    fix = f"Free some; a run wants {LEAST_FREE_GB:g} GB." if short else ""
    yield Finding("disk", "fault" if short else "ok", f"{free:.1f} GB free at {there}", fix, 5)


def server_findings(path: Path, port: int) -> Iterator[Finding]:
    """The operator's side: files, certificate, processes, sites, rounds.

    Args:
        path: folder that `fedmce provision` made.
        port: of the SuperLink on loopback.
    """
    problems = server_problems(path)
    yield from _of_problems(problems, "server folder", f"{path}: files, keys, certificate, plan")
    try:
        folder, _ = read_server(path)
        roster = read_roster(folder)
    except FedMCEError:
        return
    without = sorted(site for site in roster.sites if not roster.active(site))
    if without:
        fix = "Ask them for their public keys: fedmce client keygen, then fedmce server register SITE.pub"
        yield Finding("keys of sites", "warning", f"none for {', '.join(without)}", fix)
    else:
        yield Finding("keys of sites", "ok", f"{len(roster.active())} for {len(roster.sites)} sites")
    yield _health("SuperLink", f"127.0.0.1:{port + 1}", "fedmce server up")
    yield _health("executor", f"127.0.0.1:{port + 2}", "fedmce server up")
    yield from _run_findings(folder)


def _run_findings(folder: ServerFolder) -> Iterator[Finding]:
    run = folder.path / "run"
    if not (run / "record.jsonl").exists():
        yield Finding("run", "not running", "no round yet", "fedmce server up")
        return
    rows = read_record(run)
    done = max((row["round"] for row in rows if row["event"] == "round"), default=0)
    started = [row for row in rows if row["event"] == "start"]
    of = f" of {started[-1]['rounds']}" if started else ""
    if (run / "result.json").exists():
        yield Finding("run", "ok", f"finished after round {done}")
        return
    beat = run / HEARTBEAT
    if not beat.exists():
        yield Finding("run", "not running", f"{done}{of} rounds committed", "fedmce server up goes on from there")
        return
    age = time.time() - beat.stat().st_mtime
    late = age > SILENT_S
    fix = "`fedmce server up` starts it again by itself; if it does not, see log/ in the server folder." if late else ""
    detail = f"round {done}{of} committed, heartbeat {age:.0f} s ago"
    yield Finding("run", "fault" if late else "ok", detail, fix, 6)


def site_findings(
    kit: Path, data: Path | None, home: Path | None, port: int, fingerprint: str | None, node_key: Path | None
) -> Iterator[Finding]:
    """The site's side: kit, data, the way to the server, clock, processes."""
    site = None
    if data is not None:
        try:
            site = SiteFile.read(data).site
        except DataError as error:
            yield Finding("site folder", "fault", str(error), f"fedmce site check {data}", 3)
    found, problems = examine_kit(kit, fingerprint, site=site, node_key=node_key)
    yield from _of_problems(problems, "kit", f"{kit}: signed, whole, in time")
    if found is None:
        return
    if fingerprint is None:
        fix = "Ask the operator for the fingerprint by telephone and give it with --fingerprint."
        yield Finding("kit's origin", "warning", "the project's fingerprint was not compared", fix)
    if data is not None and site is not None:
        report = check_folder(data, demands=Demands.of_run(found.plan, found.file.site))
        faults = len(report.errors)
        result: Result = "fault" if faults else "ok"
        fix = f"fedmce site check {data} --kit {kit}" if faults else ""
        yield Finding("site folder", result, f"{faults} faults, {len(report.warnings)} warnings", fix, 3)
    yield from _of_problems(
        reach_problems(found.file.address, found.authority), "server", f"{found.file.server}: TLS, certificate, clock"
    )
    yield _health("SuperNode", f"127.0.0.1:{port + 1}", "fedmce client join")
    if home is not None:
        yield _health("site worker", f"unix:{home.resolve() / SOCKET}", "starts with the first message")


def outside_findings(address: Address, authority: Path) -> Iterator[Finding]:
    """What anybody on the network can call: nothing but the twelve calls of sites."""
    problems = reach_problems(address, authority)
    yield from _of_problems(problems, "proxy", f"{address}: TLS, certificate, clock")
    if not problems:
        yield from _of_problems(
            outside_problems(address, authority), "calls from outside", "operator's and executor's calls are 404"
        )


def _of_problems(problems: list[Problem], check: str, fine: str) -> Iterator[Finding]:
    if not problems:
        yield Finding(check, "ok", fine)
    for problem in problems:
        result: Result = "warning" if problem.is_warning else "fault"
        yield Finding(check, result, f"{problem.case} {problem.where}: {problem.what}", problem.fix, problem.exit_code)


def _health(name: str, address: str, start: str) -> Finding:
    """Flower's and our processes speak the standard gRPC health service, on loopback and without TLS."""
    with grpc.insecure_channel(address) as channel:
        try:
            request = health_pb2.HealthCheckRequest()
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=HEALTH_S, wait_for_ready=False)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                return Finding(name, "not running", f"nobody at {address}", start)
            return Finding(name, "fault", f"{address} answered {error.code().name}", "See its log; start it again.")
    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
    return Finding(name, "ok" if serving else "fault", f"{address} {'serving' if serving else 'not serving'}")
