"""Commands of a federation on one machine, typed by a program: run to their end or kept beside, and all gone at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fedmce.errors import NetworkError, RunError
from fedmce.kits.server_folder import read_server
from simulations.deployment.recipes import Proxy, proxy_configuration
from simulations.processes import MARK, Supervised, stop_all

LOOK_S = 0.5


@dataclass
class Stage:
    """One folder, and the processes that were started in it.

    Attributes:
        out: folder for everything; logs go to ``log/``.
        say: takes lines for whoever watches.
        started: in the order of starting.
    """

    out: Path
    say: Callable[[str], None]
    started: list[Supervised] = field(default_factory=list)

    @property
    def mark(self) -> str:
        """That every process of the stage carries."""
        return str(self.out.resolve())

    def type(self, *arguments: str) -> None:
        """Run ``fedmce`` to its end.

        Raises:
            RunError: it did not exit with 0; its last words are in the message.
        """
        self.say("$ fedmce " + " ".join(arguments))
        done = subprocess.run([*_fedmce(), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            words = (done.stderr or done.stdout).strip()[-800:]
            raise RunError(f"fedmce {arguments[0]}: exit {done.returncode}; {words}")

    def start(self, name: str, *arguments: str) -> Supervised:
        """Start ``fedmce`` and let it run."""
        self.say("$ fedmce " + " ".join(arguments) + " &")
        more = {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
        return self.supervise(name, [*_fedmce(), *arguments], more)

    def supervise(self, name: str, command: Sequence[str], more: dict[str, str] | None = None) -> Supervised:
        """Start any program and let it run.

        Args:
            name: of its log.
            command: program and arguments.
            more: environment beside this process's.
        """
        log = self.out / "log"
        log.mkdir(exist_ok=True, parents=True)
        one = Supervised(name, command, dict(os.environ) | {MARK: self.mark} | (more or {}), log / f"{name}.log")
        one.start()
        self.started.append(one)
        return one

    def proxy(self, project: Path, port: int, superlink: int, connections: int = 64) -> Supervised:
        """The proxy of the recipe in front of a SuperLink.

        Args:
            project: the server's folder.
            port: of loopback, for sites.
            superlink: port of the SuperLink.
            connections: at a time from one address; all sites of a stage share one.

        Raises:
            NetworkError: nginx is not installed, or does not start.
        """
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if nginx is None:
            raise NetworkError(
                "nginx: not installed; needed as the proxy. install it (Debian: nginx-light), or --no-proxy"
            )
        folder, file = read_server(project)
        work = (self.out / "proxy").resolve()
        work.mkdir()
        configuration = work / "nginx.conf"
        told = Proxy(f"127.0.0.1:{port}", superlink, work, connections)
        configuration.write_text(proxy_configuration(folder, file.names, told), encoding="utf-8")
        self.say(f"$ nginx -c {configuration} &")
        command = [nginx, "-c", str(configuration), "-p", str(work), "-g", "daemon off; master_process off;"]
        one = self.supervise("nginx", command)
        time.sleep(LOOK_S)
        if not one.is_alive:
            raise NetworkError(f"nginx ended with {one.exit_code}: {one.last_words(400).strip()}")
        return one

    def wait_for(self, one: Supervised, limit_s: float) -> None:
        """Until a command ends by itself.

        Raises:
            RunError: it or another one failed, or it took too long.
        """
        end = time.monotonic() + limit_s
        while one.is_alive:
            for other in self.started:
                if other is not one and not other.is_alive and other.exit_code:
                    raise RunError(self._ended(other, 600))
            if time.monotonic() > end:
                raise RunError(f"the federation did not end within {limit_s:.0f} s; see {one.log}")
            time.sleep(LOOK_S)
        if one.exit_code:
            raise RunError(self._ended(one, 800))

    def stop(self) -> None:
        """End every process of the stage, and what these left behind."""
        for one in reversed(self.started):
            one.stop()
        stop_all(None, self.mark)

    def _ended(self, one: Supervised, characters: int) -> str:
        return f"{one.name} ended with {one.exit_code}: {one.last_words(characters).strip()} (log: {one.log})"


def _fedmce() -> list[str]:
    return [sys.executable, "-m", "fedmce"]
