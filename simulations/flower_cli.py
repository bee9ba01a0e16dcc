"""Flower's command line as this program uses it: a home of its own, JSON answers, and the state of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmce.errors import RunError
from fedmce.flower_compat import SWITCHES
from simulations.processes import MARK, program

CONNECTION = "fedmce"
POLL = "FLWR_SUPEREXEC_TASK_POLL_INTERVAL"
ANSWER_S = 120.0


@dataclass(frozen=True)
class RunState:
    """What Flower says of a run; ``status`` as in `flwr list`."""

    status: str
    details: str

    @property
    def is_over(self) -> bool:
        """It will not go on."""
        return self.status.startswith("finished")

    @property
    def is_completed(self) -> bool:
        """It ended without an error that Flower knows of."""
        return self.status == "finished:completed"


def home_environment(home: Path, address: str, authority: Path | None = None) -> dict[str, str]:
    """Environment for Flower's programs: a home with one connection, no side effects, our mark.

    Args:
        home: gets ``config.toml``; Flower keeps unpacked apps there.
        address: of the SuperLink.
        authority: certificate of its authority; None: plain HTTP.
    """
    trust = f'root-certificates = "{authority.resolve()}"' if authority is not None else "insecure = true"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\naddress = "{address}"\n{trust}\n',
        encoding="utf-8",
    )
    scripts = str(Path(sys.executable).parent)  # Flower finds its own programs through PATH
    return (
        dict(os.environ)
        | SWITCHES
        | {
            "FLWR_HOME": str(home),
            MARK: str(home),
            "PATH": scripts + os.pathsep + os.environ.get("PATH", ""),
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": "1",
            # How often an executor asks for work: a second, by itself, on the way of every message.
            POLL: "0.25",
            # Flower's simulation would join any Ray cluster that it finds on this machine, dead ones too, and wait.
            "RAY_ADDRESS": "local",
        }
    )


def flwr(arguments: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Run a `flwr` command and parse its JSON; an error inside is an error although it exits 0.

    Raises:
        RunError: Flower says no, or nothing that can be read.
    """
    command = [program("flwr"), *arguments, "--format", "json"]
    try:
        done = subprocess.run(
            command, env=dict(environment), capture_output=True, text=True, timeout=ANSWER_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise RunError(f"flwr {arguments[0]}: no answer within {ANSWER_S:.0f} s") from error
    try:
        answer = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise RunError(
            f"flwr {arguments[0]}: exit {done.returncode}, no JSON; {(done.stderr or done.stdout)[-400:]}"
        ) from error
    if not isinstance(answer, dict) or not answer.get("success"):
        raise RunError(
            f"flwr {arguments[0]}: {answer.get('error-message', answer) if isinstance(answer, dict) else answer}"
        )
    return answer


def run_state(run_id: str, environment: Mapping[str, str]) -> RunState:
    """What Flower says of a run."""
    listed = flwr(["list", CONNECTION, "--run-id", run_id], environment)["runs"][0]
    return RunState(str(listed["status"]), str(listed.get("status-details") or ""))


def stop_other_runs(run_id: str, environment: Mapping[str, str]) -> list[str]:
    """End what Flower still takes for running beside one run; their ids.

    A run whose process died goes on for Flower for up to a minute. As long a site waits for those parts of a message
    of it that were never sent, and hears nothing else.

    Raises:
        RunError: Flower says no, or nothing that can be read.
    """
    listed = flwr(["list", CONNECTION, "--limit", "20"], environment)["runs"]
    states = {str(one["run-id"]): RunState(str(one["status"]), "") for one in listed}
    others = [one for one, state in states.items() if one != run_id and not state.is_over]
    for one in others:
        flwr(["stop", one, CONNECTION], environment)
    return others
