"""The front of a site worker: takes messages from ClientApps, has the trainer answer them, watches it."""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from client.worker.family import kill_marked, memory_of
from client.worker.limits import adopt_orphans
from client.worker.place import Lock, private_folder
from client.worker.process import Process, TrainerError
from client.worker.service import serving
from fedmce import __version__
from fedmce.errors import StateError

LOOK_S = 0.5
HELD = "another worker listens on {path} (pid {pid}); needed a socket of its own. stop that one"


@dataclass(eq=False)
class Job:
    """One message that a ClientApp waits for the reply to."""

    packed: bytes
    until: float
    over: threading.Event = field(default_factory=threading.Event)  # nobody waits any more
    done: threading.Event = field(default_factory=threading.Event)
    reply: bytes = b""
    failure: str = ""

    def end(self, reply: bytes = b"", failure: str = "") -> None:
        """Let the waiting ClientApp go on."""
        self.reply, self.failure = reply, failure
        self.done.set()


class Front:
    """A site worker on one socket.

    Args:
        path: of the socket; its folder is for the owner alone.
        memory_gib: most memory that a training may take; None = no limit.
        idle_s: ends by itself after so long without a message; None = stays.
    """

    def __init__(self, path: Path, memory_gib: float | None = None, idle_s: float | None = None) -> None:
        self._path, self._memory_gib, self._idle_s = path.absolute(), memory_gib, idle_s
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._stopping = False
        self._job: Job | None = None
        self._process: Process | None = None
        self._began = self._last = time.monotonic()
        self._messages = self._starts = 0
        self._lock = Lock(self._path)

    def serve(self, wait_s: float = 0.0) -> None:
        """Answer until SIGTERM, SIGINT or too long a rest; must run in the main thread.

        Args:
            wait_s: how long to wait for another worker on this socket to end.

        Raises:
            StateError: the folder is open to others, or somebody else listens.
        """
        private_folder(self._path)
        if not self._lock.take(wait_s):
            raise StateError(HELD.format(path=self._path, pid=self._lock.holder()))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        adopt_orphans()
        try:
            kill_marked(str(self._path))  # of a front that was killed
            with serving(self._path, {"Answer": self._answer, "Status": self._status}, self._let_go):
                self._start()
                while not self._stopping:
                    self._next()
        finally:
            if self._process is not None:
                self._process.end()
            self._lock.drop()

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True
        self._jobs.put(None)  # wakes the loop

    def _let_go(self) -> None:
        """Answer for messages that nobody has begun with."""
        with contextlib.suppress(queue.Empty):
            while True:
                if (job := self._jobs.get_nowait()) is not None:
                    job.end(failure="timeout")

    def _answer(self, packed: bytes, context: grpc.ServicerContext) -> bytes:
        """One message; in a thread of gRPC's."""
        left = context.time_remaining()
        job = Job(packed, time.monotonic() + left if left is not None else math.inf)
        context.add_callback(job.over.set)  # the ClientApp was killed, or waits no longer
        self._jobs.put(job)
        while not job.done.wait(LOOK_S):
            if self._stopping and job is not self._job:
                job.end(failure="timeout")
        if job.failure:
            context.abort(grpc.StatusCode.ABORTED, job.failure)
        return job.reply

    def _status(self, nothing: bytes, context: grpc.ServicerContext) -> bytes:
        process = self._process
        now = time.monotonic()
        found: dict[str, Any] = {
            "version": __version__,
            "pid": os.getpid(),
            "trainer_pid": process.pid if process is not None else None,
            "is_warm": process is not None and process.is_warm,
            "is_busy": self._job is not None,
            "messages": self._messages,
            "starts": self._starts,
            "uptime_s": round(now - self._began, 1),
            "idle_s": round(now - self._last, 1),
            "rss_bytes": memory_of(os.getpid())[0],
        }
        return json.dumps(found).encode()

    def _next(self) -> None:
        """Wait for a message and have it answered; look after the trainer meanwhile."""
        try:
            job = self._jobs.get(timeout=LOOK_S)
        except queue.Empty:
            self._rest()
            return
        if job is None or job.over.is_set():
            if job is not None:
                job.end(failure="timeout")
            return
        self._job = job
        try:
            self._work(job)
        finally:
            self._job = None
            self._last = time.monotonic()
            job.end(job.reply, job.failure or ("" if job.reply else "crashed"))

    def _work(self, job: Job) -> None:
        self._messages += 1
        for is_last in (False, True):
            if self._process is None or not self._process.look():
                self._start()
            assert self._process is not None
            try:
                job.end(self._process.ask(job.packed, job.until, lambda: self._stopping or job.over.is_set()))
                self._process.sweep()
                return
            except TrainerError as failed:
                if failed.code == "crashed" and not failed.has_begun and not is_last:
                    self._start()  # it ended after the message before
                    continue
                job.end(failure=str(failed))  # first, since ending takes its time
                self._start(again=not self._stopping)
                return

    def _rest(self) -> None:
        if self._process is not None and not self._process.look() and self._process.is_warm:
            self._start()  # spent or killed while it had nothing to do; one that cannot even start waits for a message
        idle = self._idle_s is not None and time.monotonic() - self._last > self._idle_s
        if idle or not self._path.exists():  # without its socket nobody can reach it any more
            self._stopping = True

    def _start(self, again: bool = True) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None
        if again:
            self._starts += 1
            self._process = Process(self._path, self._memory_gib)
