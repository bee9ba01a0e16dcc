"""Processes that this program starts and answers for: found again by a mark, and gone when it goes."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from fedmce.errors import RunError

MARK = "FEDMCE_ENGINE_HOME"  # in the environment of whatever was started, also of what detached itself
STOP_S = 10.0
PR_SET_PDEATHSIG = 1


def program(name: str) -> str:
    """Path of one of Flower's programs: beside this Python, or on the path.

    Raises:
        RunError: it is not installed.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise RunError(f"{name}: not installed beside {sys.executable}; install flwr[simulation]")
    return found


def stop_all(root: int | None, home: str = "") -> None:
    """End a process, its descendants and every process that carries our mark (Ray detaches some).

    Args:
        root: of a process; None: by the mark alone.
        home: that the mark names; empty: by descent alone.
    """
    found = {p.pid: p for p in _family(root)} | {p.pid: p for p in _marked(home)}
    for process in found.values():
        _quietly(process.terminate)
    _, alive = psutil.wait_procs(list(found.values()), timeout=STOP_S)
    for process in {p.pid: p for p in (*alive, *_marked(home))}.values():
        _quietly(process.kill)
    psutil.wait_procs(alive, timeout=STOP_S)


def kill_all(home: str) -> None:
    """Kill every process that carries our mark, without asking."""
    for process in _marked(home):
        _quietly(process.kill)


def runs(pid: int) -> bool:
    """Whether a process lives; one that has died and that nobody has asked after yet does not.

    A killed process reads as dead as soon as its first thread is, while others still hold its files and locks.
    """
    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    except psutil.NoSuchProcess:
        return False


def _quietly(action: Callable[[], None]) -> None:
    try:
        action()
    except psutil.NoSuchProcess:
        return


def _family(root: int | None) -> list[psutil.Process]:
    if root is None:
        return []
    try:
        process = psutil.Process(root)
        return [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return []


def _marked(home: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and home and process.environ().get(MARK) == home:
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess, OSError):
            continue
    return found


def _die_with_parent() -> None:
    """In the child, before it becomes the program: nothing may go on when its supervisor was killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's & leaves it ignored, for all that comes after


@dataclass
class Supervised:
    """A program that is kept running.

    Attributes:
        name: for messages and the log file.
        command: program and arguments; no secrets, since everybody on the machine can read them.
        environment: of the process.
        log: file that gets its output, appended.
        backoff_s: first pause before a restart; doubled up to ``longest_s``.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    backoff_s: float = 5.0
    longest_s: float = 60.0
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    _next_start: float = field(default=0.0, repr=False)
    _started: float = field(default=0.0, repr=False)

    def start(self) -> None:
        """Start it once."""
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as log:
            self.process = subprocess.Popen(
                list(self.command),
                env=dict(self.environment),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self._started = time.monotonic()

    @property
    def is_alive(self) -> bool:
        """It runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def lives_s(self) -> float:
        """Seconds since its last start."""
        return time.monotonic() - self._started

    @property
    def exit_code(self) -> int | None:
        """Of its last end; None while it runs."""
        return self.process.poll() if self.process is not None else None

    def keep(self) -> bool:
        """Restart it if it ended, after a pause that doubles while it keeps ending; True if it was restarted now."""
        if self.is_alive:
            if time.monotonic() - self._started > 2 * self.longest_s:
                self.restarts = 0  # it held: an end from now on is a new story
            return False
        now = time.monotonic()
        if self._next_start == 0.0:
            self._next_start = now + min(self.backoff_s * 2**self.restarts, self.longest_s)
        if now < self._next_start:
            return False
        self._next_start = 0.0
        self.restarts += 1
        self.start()
        return True

    def stop(self) -> None:
        """End it and its children: politely, then not."""
        if self.process is not None:
            stop_all(self.process.pid)

    def last_words(self, characters: int = 600) -> str:
        """The end of its log."""
        try:
            return self.log.read_bytes()[-characters:].decode("utf-8", "replace")
        except OSError:
            return ""
