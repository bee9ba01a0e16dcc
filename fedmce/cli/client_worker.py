"""Body of ``fedmce client worker``."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import asdict
from pathlib import Path

import typer

from fedmce._paths import use_app
from fedmce.errors import RunError


def worker(
    socket: Path, memory_gib: float | None, idle_s: float | None, wait_s: float, with_parent: bool, status: bool
) -> None:
    """Keep a site's training warm in the foreground, or say how the worker on that socket is.

    Raises:
        StateError: the socket's folder is open to others, or another worker listens.
        RunError: with ``status``: no worker answers.
    """
    use_app()
    if status:
        from client.worker.health import worker_health

        found = worker_health(socket)
        typer.echo(json.dumps(asdict(found), sort_keys=True))
        if found.state != "serving":
            raise RunError(
                f"worker {socket}: {found.state} ({found.detail}); the next message starts one if it is absent"
            )
        return
    from client.worker.front import Front
    from client.worker.limits import die_with_parent

    if with_parent:
        die_with_parent(os.getppid(), signal.SIGTERM)
    Front(socket, memory_gib, idle_s).serve(wait_s)
