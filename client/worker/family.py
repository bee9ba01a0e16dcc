"""Processes that descend from this one, and how they end: asked first, then not."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

import psutil

MARK = "FEDMCE_WORKER"  # in the environment of a trainer and of all that it starts: the socket of its worker
PATIENCE_S = 5.0
PASSES, PASS_S = 40, 0.25


def end(process: subprocess.Popen[bytes], patience_s: float = PATIENCE_S) -> None:
    """End a child that leads a process group: SIGTERM, some patience, then SIGKILL for all that descend from it."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # the group may outlive its leader
    process.wait()
    sweep(None)


def sweep(keep: int | None) -> int:
    """Kill every descendant of this process but ``keep``, however it detached itself; how many there were.

    This process adopts orphans (:func:`client.worker.limits.adopt_orphans`), so whatever a training started is found
    by descent. A family that grows while it is killed is stopped first.
    """
    seen: set[int] = set()
    for _ in range(PASSES):
        found = [p for p in psutil.Process().children(recursive=True) if p.pid != keep and _runs(p)]
        if not found:
            break
        seen |= {p.pid for p in found}
        _kill(found)
    return len(seen)


def kill_marked(socket: str) -> int:
    """Kill every process that a worker of this socket left behind; how many there were."""
    found = marked(socket)
    _kill(found)
    return len(found)


def marked(socket: str) -> list[psutil.Process]:
    """Processes that carry the mark of this socket."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == socket:
                found.append(process)
    return found


def memory_of(pid: int) -> tuple[int, int]:
    """Resident bytes of a process and its descendants, and how many descendants there are."""
    try:
        process = psutil.Process(pid)
        family = process.children(recursive=True)
    except psutil.Error:
        return 0, 0
    total = 0
    for member in (process, *family):
        with contextlib.suppress(psutil.Error):
            total += member.memory_info().rss
    return total, len(family)


def kill_from_outside(pid: int) -> None:
    """Kill a process that no longer answers, with all that descends from it."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        process.suspend()  # so that it starts no further ones
        _kill([*process.children(recursive=True), process])


def _runs(process: psutil.Process) -> bool:
    """Whether it is not dead yet; one that is, and is ours to bury, is buried."""
    try:
        if process.status() != psutil.STATUS_ZOMBIE:
            return True
        if process.ppid() == os.getpid():
            process.wait(0)
    except psutil.Error:
        pass
    return False


def _kill(processes: list[psutil.Process]) -> None:
    for act in (psutil.Process.suspend, psutil.Process.kill):
        for process in processes:
            with contextlib.suppress(psutil.Error):
                act(process)
    until = time.monotonic() + PASS_S
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.wait(max(until - time.monotonic(), 0.0))
