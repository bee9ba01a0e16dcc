"""Programs that a test starts, and what is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

TAG = "FEDMCE_TEST_TAG"


def tagged(tag: str) -> list[psutil.Process]:
    """Every process that inherited the tag, however it detached itself."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(TAG) == tag:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return [process for process in found if process.pid != os.getpid()]


def environment_of(process: psutil.Process) -> Mapping[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


@contextmanager
def new_tag() -> Iterator[str]:
    """A tag for one test; whatever still carries it at the end is killed, so that no failure leaves anything."""
    tag = uuid.uuid4().hex
    try:
        yield tag
    finally:
        for process in tagged(tag):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue


def _hear_signals() -> None:
    """A shell starts background jobs with Ctrl-C ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def fedmce(arguments: list[str], cwd: Path, tag: str) -> subprocess.Popen[str]:
    """Start the command line in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "fedmce", *arguments],
        cwd=cwd,
        env=os.environ | {TAG: tag, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_hear_signals,
    )


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[str], seconds: float) -> None:
    """Wait for a condition while the process lives."""
    end = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def rounds_in(folder: Path) -> int:
    """Rounds in the record as it is on disk now."""
    path = folder / "record.jsonl"
    return path.read_text(encoding="utf-8").count('"event":"round"') if path.exists() else 0


def nothing_left(tag: str, seconds: float = 2.0) -> bool:
    """Whether all that carries the tag is gone, at once or within ``seconds``."""
    end = time.monotonic() + seconds
    while tagged(tag) and time.monotonic() < end:
        time.sleep(0.1)
    return not tagged(tag)
