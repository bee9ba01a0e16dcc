"""The front's hold on its trainer: start it, ask it, know at once when it is gone, end it."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from client.worker.family import MARK, end, memory_of, sweep
from client.worker.frames import LENGTH, Inbox
from client.worker.limits import GIB
from client.worker.place import app_path
from client.worker.trainer import NO_MEMORY, READY, TELL_STACK
from fedmce.site_errors import SiteCode

LOOK_S, WATCH_EVERY_S = 0.1, 1.0
MOST_DESCENDANTS = 256  # of one training; more are taken for a fork bomb


class TrainerError(Exception):
    """No reply will come.

    Args:
        code: of the closed list.
        by_signal: that ended the trainer; 0 = none.
        has_begun: the trainer had the message; else another one may be asked.
    """

    def __init__(self, code: SiteCode, by_signal: int = 0, has_begun: bool = True) -> None:
        super().__init__(f"{code} {by_signal}".removesuffix(" 0"))
        self.code, self.by_signal, self.has_begun = code, by_signal, has_begun


class Process:
    """A running trainer.

    Args:
        path: of the worker's socket, by which everything that belongs to it is named.
        memory_gib: most memory that a training may take; None = no limit.
    """

    def __init__(self, path: Path, memory_gib: float | None) -> None:
        self._path, self._memory_gib, self._inbox = path, memory_gib, Inbox()
        self.is_warm, self._is_ready, self._watched = False, False, 0.0
        self._temporary = path.with_name(path.name + ".tmp")
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir(mode=0o700)
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "client.worker.trainer", str(theirs.fileno()), str(os.getpid())]
            # Started from the front's main thread: the kernel takes the thread, not the process, for the parent whose
            # death it reports.
            self._process = subprocess.Popen(
                [*command, str(memory_gib or 0)],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=_environment(path, self._temporary),
            )
        ours.setblocking(False)
        self._pipe = ours

    @property
    def pid(self) -> int:
        """Of the trainer."""
        return self._process.pid

    def look(self) -> bool:
        """Whether it lives; also notes that it has become ready."""
        if not self._is_ready:
            self._inbox.read(self._pipe)
            self._hear()
        return self._process.poll() is None

    def ask(self, packed: bytes, until: float, is_over: Callable[[], bool]) -> bytes:
        """The packed reply to a packed message.

        Args:
            packed: message and context.
            until: moment of the monotonic clock.
            is_over: True once nobody waits for the reply.

        Raises:
            TrainerError: ``timeout``, also where nobody waits; ``crashed``; ``out_of_memory``.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_READ)
            self._hear()
            while not self._is_ready:
                self._turn(selector, until, is_over, has_begun=False)
                self._hear()
            self._is_ready = False  # for the next message it says so again
            out = [memoryview(LENGTH.pack(len(packed))), memoryview(packed)]
            while True:
                selector.modify(self._pipe, selectors.EVENT_READ | (selectors.EVENT_WRITE if out else 0))
                if self._turn(selector, until, is_over, has_begun=True):
                    out = self._write(out)
                if (found := self._inbox.take()) is not None:
                    return found

    def end(self) -> None:
        """End it, and all that it started."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, TELL_STACK)
        end(self._process)
        self._pipe.close()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def sweep(self) -> int:
        """Kill what a training left running; how many there were."""
        return sweep(self._process.pid)

    def _hear(self) -> None:
        if (found := self._inbox.take()) is not None:
            self._is_ready = self.is_warm = found == READY

    def _turn(
        self, selector: selectors.BaseSelector, until: float, is_over: Callable[[], bool], has_begun: bool
    ) -> bool:
        """Wait a little and read what is there; whether there is room to write. Raises as :meth:`ask` does."""
        left = until - time.monotonic()
        if left <= 0 or is_over():
            raise TrainerError("timeout", has_begun=has_begun)
        found = selector.select(min(left, LOOK_S))
        for _, events in found:
            if events & selectors.EVENT_READ and not self._inbox.read(self._pipe):
                raise self._gone(has_begun)
        if not found and self._process.poll() is not None:  # dead, and what it said has been read
            raise self._gone(has_begun)
        self._watch()
        return any(events & selectors.EVENT_WRITE for _, events in found)

    def _write(self, out: list[memoryview]) -> list[memoryview]:
        try:
            rest = out[0][self._pipe.send(out[0]) :]
        except (BlockingIOError, ConnectionError):
            return out  # a closed end shows when it is read
        return [rest, *out[1:]] if rest else out[1:]

    def _watch(self) -> None:
        """See to it that it takes no more than it may."""
        if time.monotonic() - self._watched < WATCH_EVERY_S:
            return
        self._watched = time.monotonic()
        resident, descendants = memory_of(self._process.pid)
        if self._memory_gib is not None and resident > self._memory_gib * GIB:
            raise TrainerError("out_of_memory")
        if descendants > MOST_DESCENDANTS:
            raise TrainerError("crashed")

    def _gone(self, has_begun: bool) -> TrainerError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        code = self._process.poll()
        if code == NO_MEMORY:
            return TrainerError("out_of_memory", has_begun=has_begun)
        return TrainerError("crashed", -code if code is not None and code < 0 else 0, has_begun)


def _environment(path: Path, temporary: Path) -> dict[str, str]:
    # One compile thread: a pool of compilers would live on between messages, where nothing may.
    own = {MARK: str(path), "TMPDIR": str(temporary), "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    return os.environ | app_path() | own
