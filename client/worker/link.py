"""A ClientApp's side of the site worker: start it where nobody listens, hand over the message, always answer.

This process is the last watchdog: the front ends a training that takes too long; a front that does not answer is
killed from here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc

from client.door import error_reply
from client.site_log import log_file, log_line
from client.worker.health import OPTIONS, SERVICE, STARTING_S, WorkerHealth, worker_health
from client.worker.place import Lock, app_path
from client.worker.stop import STOP_S, end_worker
from fedmce import __version__
from fedmce.flower_compat import Context, Message, pack, unpack
from fedmce.site_errors import SITE_CODES, SiteCode, SiteError
from fedmce.wire import ORDER, budget

IDLE_S = 3600.0  # a worker that nobody supervises ends after so long without a message
LOG_BYTES = 1_000_000
ASK_S, LOOK_S = 2.0, 0.1

_started: list[subprocess.Popen[bytes]] = []  # by this process; kept so that none stays a zombie


class NoReplyError(Exception):
    """The worker failed on this message; the next one finds a fresh worker."""

    def __init__(self, code: SiteCode, by_signal: int, why: str) -> None:
        super().__init__(why)
        self.code, self.by_signal = code, by_signal


def answer_by_worker(message: Message, context: Context) -> Message:
    """The worker's reply, or an error reply within the time that the message allows.

    Args:
        message: with an order.
        context: its ``node_config`` names ``worker`` (the socket) and maybe ``memory-gib``; its state is replaced.
    """
    until = time.monotonic() + _seconds(message)
    link = Link(Path(str(context.node_config["worker"])), context)
    try:
        reply, after = unpack(link.ask(pack(message, context), until))
    except NoReplyError as failed:
        log_line(log_file(context), logging.ERROR, f"node {context.node_id}: {failed.code}: {failed}")
        return error_reply(message, failed.code, failed.by_signal)
    context.state = after.state
    return reply


def _seconds(message: Message) -> float:
    """From receipt, by this machine's own clock: the clocks of two machines differ."""
    asked = message.content.config_records[ORDER].get("budget_s")
    longest = budget(message.metadata.ttl)
    return min(float(asked), longest) if isinstance(asked, int | float) else longest


class Link:
    """One ClientApp's way to a site worker.

    Args:
        path: of the socket.
        context: of the node.
    """

    def __init__(self, path: Path, context: Context) -> None:
        self._path, self._node = path.absolute(), context.node_config
        self._log = log_file(context)

    def ask(self, packed: bytes, until: float) -> bytes:
        """The packed reply to a packed message.

        Args:
            packed: message and context.
            until: moment of the monotonic clock.

        Raises:
            NoReplyError: ``timeout``, ``crashed`` or ``out_of_memory``.
            SiteError: no worker can be started here.
        """
        self._ensure(until)
        try:
            with self._channel() as channel:
                call = channel.unary_unary(f"/{SERVICE}/Answer")
                reply: bytes = call(packed, timeout=max(until - time.monotonic(), 0.01))
                return reply
        except grpc.RpcError as error:
            raise self._failed(error) from None

    def _failed(self, error: grpc.RpcError) -> NoReplyError:
        code, details = error.code(), str(error.details())
        if code == grpc.StatusCode.ABORTED:
            name, _, number = details.partition(" ")
            known: SiteCode = name if name in SITE_CODES else "crashed"
            return NoReplyError(known, int(number) if number.isdecimal() else 0, f"the trainer: {details}")
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            if worker_health(self._path, ASK_S).state != "serving":
                self._kill("it did not answer in time, nor when it was asked whether it is there")
            return NoReplyError("timeout", 0, "the training took longer than the message allows")
        self._kill("its connection broke")  # also what a killed front left behind
        return NoReplyError("crashed", 0, f"the worker's front is gone ({code})")

    def _ensure(self, until: float) -> None:
        """Somebody listens, and it is this version of the program; waits for a start, however long the budget allows.

        Raises:
            NoReplyError: ``timeout``.
            SiteError: the worker ends as soon as it is started.
        """
        process: subprocess.Popen[bytes] | None = None
        held_since: float | None = None
        while time.monotonic() < until:
            found = worker_health(self._path, ASK_S)
            if found.state == "serving":
                if found.version == __version__:
                    return
                self._replace(found)
            elif Lock(self._path).holder() is None:
                if process is not None and process.poll() is not None:
                    raise SiteError(
                        "internal", f"worker {self._path}: ends with {process.poll()} at once; see worker.log"
                    )
                process, held_since = process or self._start(), None
            else:
                held_since = held_since or time.monotonic()
                if time.monotonic() - held_since > STARTING_S:
                    self._kill("it holds the lock and does not answer")
            time.sleep(LOOK_S)
        raise NoReplyError("timeout", 0, "no worker was there in time")

    def _start(self) -> subprocess.Popen[bytes]:
        """A worker that outlives this process, which Flower ends after its message."""
        command = [sys.executable, "-m", "client.worker", "--socket", str(self._path), "--idle-s", str(IDLE_S)]
        if limit := self._node.get("memory-gib"):
            command += ["--memory-gib", str(limit)]
        with self._output() as output:
            process = subprocess.Popen(
                command,
                env=os.environ | app_path(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
            )
        _started[:] = [one for one in _started if one.poll() is None] + [process]
        return process

    @contextlib.contextmanager
    def _output(self) -> Iterator[int]:
        if self._log is None:
            yield subprocess.DEVNULL
            return
        self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._log.with_name("worker.log")
        if file.exists() and file.stat().st_size > LOG_BYTES:
            file.replace(file.with_name("worker.log.1"))
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _replace(self, found: WorkerHealth) -> None:
        """End a worker of another version; after an update of the program the old one still runs."""
        log_line(
            self._log, logging.WARNING, f"worker {found.pid}: version {found.version}; here {__version__}: replaced"
        )
        self._kill("its version", patience_s=STOP_S)

    def _kill(self, why: str, patience_s: float = 0.0) -> None:
        """End whoever holds the socket: asked first if there is patience."""
        if (killed := end_worker(self._path, patience_s)) is not None:
            log_line(self._log, logging.ERROR, f"worker {killed}: killed: {why}")

    @contextlib.contextmanager
    def _channel(self) -> Iterator[grpc.Channel]:
        channel = grpc.insecure_channel(f"unix:{self._path}", options=OPTIONS)
        try:
            yield channel
        finally:
            channel.close()
