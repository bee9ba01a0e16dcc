"""The commands of a federation as processes of a test: a server's, a site's."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from simulations.processes import MARK, Supervised, stop_all
from tests.faults.fault_proxy import FaultProxy

INJECT = Path(__file__).with_name("inject")
KILL_S = 30.0
NAME = "server.fedmce.test"  # of the server, as sites know it


class Program:
    """One of the two commands, kept by the test.

    Args:
        name: of its log.
        command: after ``fedmce``.
        environment: beside this process's.
        folder: gets the log.
        homes: marks of what it starts.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: dict[str, str], folder: Path, homes: Sequence[Path]
    ) -> None:
        self.name, self._homes, self.log_file = name, [str(home.resolve()) for home in homes], folder / f"{name}.log"
        own = {key: value for key, value in os.environ.items() if not key.startswith("FEDMCE_TEST_")}
        paths = [str(INJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
        own |= {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
        self.environment = own | environment
        self.command = list(command)
        self._one: Supervised | None = None

    def start(self, *more: str, **environment: str) -> None:
        """Start it, with further arguments and variables."""
        command = [sys.executable, "-m", "fedmce", *self.command, *more]
        self._one = Supervised(self.name, command, self.environment | environment, self.log_file)
        self._one.start()

    def stop(self) -> int | None:
        """SIGTERM, as a supervisor does; its exit code."""
        if self._one is not None and self._one.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._one.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._one.process.wait(60)
        return self.exit_code

    def kill(self) -> None:
        """SIGKILL for it and all that it started, as when the machine's plug is pulled."""
        end = time.monotonic() + KILL_S
        while alive := self.processes():  # who was just being started too; and a process dies when the kernel has time
            assert time.monotonic() < end, f"{alive} do not die"
            for process in alive:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            time.sleep(0.05)
        if self._one is not None and self._one.process is not None:
            self._one.process.wait(KILL_S)

    def restart(self) -> None:
        """Start again what was stopped or killed."""
        self.start()

    def end(self) -> None:
        """Nothing of it runs any more, whatever it was doing."""
        if self._one is not None:
            self._one.stop()
        for home in self._homes:
            stop_all(None, home)

    def processes(self, word: str = "") -> list[psutil.Process]:
        """What runs of it: the command, its descendants and what bears its mark; with ``word`` in the command line."""
        found = dict[int, psutil.Process]()
        if self._one is not None and self._one.process is not None and self._one.is_alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                own = psutil.Process(self._one.process.pid)
                found = {p.pid: p for p in (own, *own.children(recursive=True))}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(MARK) in self._homes and process.status() != psutil.STATUS_ZOMBIE:
                    found[process.pid] = process
        return [p for p in found.values() if word in " ".join(_command(p))]

    @property
    def is_alive(self) -> bool:
        return self._one is not None and self._one.is_alive

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._one.exit_code if self._one is not None else None

    @property
    def log(self) -> str:
        """All that it has said."""
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""


class Site(Program):
    """``fedmce client join`` of one site.

    Attributes:
        data: its site folder.
        kit: its kit.
        home: what it keeps: ``log/supernode.log``, ``log/site.log``, the worker's socket.
        proxy: on its way to the server; None without.
    """

    def __init__(self, name: str, folder: Path, project: Path, port: int, proxy: FaultProxy | None) -> None:
        self.data, self.kit, self.home = folder / "sites" / name, project / "kits" / name, folder / "homes" / name
        self.home.mkdir(mode=0o700, parents=True)
        self.names, self.mode, self.way = self.home / "names", self.home / "mode", proxy
        self.resolve("127.0.0.1" if proxy is None else proxy.address[0])
        join = ["client", "join", str(self.kit), "--data", str(self.data), "--home", str(self.home)]
        environment = {"FEDMCE_TEST_NAMES": str(self.names), "FEDMCE_TEST_SITE": str(self.mode)}
        marks = [self.home, self.home / "flower"]
        super().__init__(name, [*join, "--port", str(port)], environment, folder / "log", marks)

    @property
    def proxy(self) -> FaultProxy:
        """On its way to the server."""
        assert self.way is not None, "this federation has no proxies"
        return self.way

    def resolve(self, address: str | None) -> None:
        """Where the server's name leads this site from now on; None: the name is unknown."""
        fresh = self.names.with_suffix(".new")
        fresh.write_text(f"{NAME} {address}\n" if address else "")
        fresh.rename(self.names)

    def misbehave(self, mode: str) -> None:
        """Let the next training do this (tests/faults/inject)."""
        self.mode.write_text(mode)

    @property
    def node_log(self) -> str:
        """What Flower's SuperNode has said."""
        path = self.home / "log" / "supernode.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
