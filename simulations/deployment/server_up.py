"""``fedmce server up``: SuperLink, executor and run of one federation, kept up until the run has ended.

Flower never resumes a run: whatever ends it, the server's process, the SuperLink or both, a new Flower run goes on
from the state folder that the last one left. Five such restarts without a further round end it.
"""

from __future__ import annotations

import errno
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fedmce._paths import app_root
from fedmce.config.load import config_from_tree
from fedmce.config.privacy_rules import privacy_warnings
from fedmce.config.schema import RunConfig
from fedmce.durable import FULL
from fedmce.errors import ConfigError, DataError, FedMCEError, NetworkError, RunError, StateError, StoppedError
from fedmce.kits.problem import refuse
from fedmce.kits.roster import read_roster
from fedmce.kits.server_check import server_problems
from fedmce.kits.server_folder import ServerFolder, read_plan, read_server
from fedmce.record import RecordFollower, read_record
from server.committed.lock import Lock
from server.committed.room import Room
from server.settings import write_config
from simulations.deployment.registration import Registration
from simulations.deployment.server_process import ServerProcess
from simulations.flower_cli import CONNECTION, flwr, home_environment, run_state, stop_other_runs
from simulations.ports import check_port_is_free
from simulations.processes import Supervised, kill_all, program, stop_all

READY_S, LOOK_S = 90.0, 1.0
STATUS_EVERY_S, STATUS_ALIVE_EVERY_S = 15.0, 60.0  # asking Flower takes two seconds of CPU, while a heartbeat is free
RESTARTS = 5  # without a further committed round
ROOM_BYTES = 8 * 2**20  # on the disk, for Flower's database and logs to go on with
HOST = "localhost"  # SuperLink and executor; sites come through the proxy
# How a run that ended by itself leaves the supervisor: a restart would end in the same way.
KINDS: dict[int, type[FedMCEError]] = {2: ConfigError, 3: DataError, 4: NetworkError, 5: StateError, 6: StoppedError}

Observer = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Ports:
    """Ports of loopback that a server takes.

    Attributes:
        superlink: Flower's one port for sites (behind the proxy), operator and executor.
        superlink_health: gRPC health service.
        executor_health: gRPC health service.
    """

    superlink: int = 8000
    superlink_health: int = 8001
    executor_health: int = 8002


@dataclass
class ServerRun:
    """One federation on this machine.

    Args:
        folder: what `fedmce provision` made.
        ports: of loopback.
        observer: gets every row of the record.
        say: takes lines for the operator.
    """

    folder: ServerFolder
    ports: Ports
    observer: Observer
    say: Callable[[str], None]
    restarts: int = 0
    _committed: int = field(default=0, repr=False)
    _last_end: dict[str, Any] | None = field(default=None, repr=False)
    _newest_end: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def run_folder(self) -> Path:
        """Record, state and result."""
        return self.folder.path / "run"

    @cached_property
    def _process(self) -> ServerProcess:
        return ServerProcess(self.run_folder)

    @cached_property
    def _rows(self) -> RecordFollower:
        return RecordFollower(self.run_folder)

    @cached_property
    def _room(self) -> Room:
        return Room(self.folder.path, self._say_full)

    def _say_full(self, told: dict[str, Any]) -> None:
        free = f"{told['free_bytes'] / 2**20:.1f} MiB free" if told["free_bytes"] else "nothing free, or too many files"
        needed = f"{told['needed_bytes'] / 2**20:.1f} MiB needed"
        self.say(f"the disk of {self.folder.path} is full ({free}; {needed}); going on when there is room")

    @property
    def address(self) -> str:
        """Of the SuperLink."""
        return f"{HOST}:{self.ports.superlink}"

    def up(self) -> Path:
        """Run the federation to its end; the run folder.

        Raises:
            FedMCEError: files are wrong, a port is taken, or the run ended with a reason that a restart cannot mend.
            HeldError: another server works on the folder, or on its run.
            StoppedError: too many restarts without a further round.
        """
        refuse(server_problems(self.folder.path), f"server folder {self.folder.path}")
        if (self.run_folder / "result.json").is_file():
            self.say(f"the run has finished already; its result is in {self.run_folder}")
            return self.run_folder
        config = self._config()
        for port in (self.ports.superlink, self.ports.superlink_health, self.ports.executor_health):
            check_port_is_free("127.0.0.1", port, "--port")
        held = Lock(self.folder.path)  # before anything of another server on this folder is taken for left over
        try:
            self._room.await_free(ROOM_BYTES)
            self._prepare(config)
            with self._flower() as (environment, programs):
                sites = ", ".join(config.sites or ())
                self.say(f"the server is up at {self.address} and takes in {sites}; logs: {self.folder.path / 'log'}")
                self._run_to_the_end(config, environment, programs)
        finally:
            held.release()
        return self.run_folder

    def _config(self) -> RunConfig:
        """The plan as the configuration of the run.

        Raises:
            ConfigError: a plan that cannot be run between real sites.
        """
        plan = read_plan(self.folder)
        tree = plan.model_dump(mode="json") | {
            "out": str(self.run_folder.resolve()),
            "sites": plan.sites or sorted(read_roster(self.folder).sites),
        }
        tree["engine"]["name"] = "deployed"
        return config_from_tree(tree, f"plan {self.folder.plan}")

    def _prepare(self, config: RunConfig) -> None:
        self.run_folder.mkdir(mode=0o700, exist_ok=True)
        write_config(config, self.run_folder)
        for warning in privacy_warnings(config):
            self.say(f"warning: {warning}")

    @contextmanager
    def _flower(self) -> Iterator[tuple[dict[str, str], tuple[Supervised, Supervised]]]:
        """SuperLink and executor; whatever they started is gone on the way out."""
        home = self.folder.path / "flower"
        logs = self.folder.path / "log"
        logs.mkdir(mode=0o700, exist_ok=True)
        environment = home_environment(home.resolve(), self.address, self.folder.authority)
        ca, secret = str(self.folder.authority), ["--superexec-auth-secret-file", str(self.folder.secret)]
        # The executor is a process of its own: only so does the SuperLink ask it for the secret (5.3).
        superlink = [program("flower-superlink"), "--host", "127.0.0.1", "--port", str(self.ports.superlink)]
        superlink += ["--ssl-ca-certfile", ca, "--ssl-certfile", str(self.folder.certificate)]
        superlink += [
            "--ssl-keyfile",
            str(self.folder.key),
            "--enable-supernode-auth",
            "--isolation",
            "process",
            *secret,
        ]
        superlink += ["--database", str(self.folder.path / "superlink.db"), "--disable-runtime-dependency-installation"]
        superlink += ["--health-server-address", f"127.0.0.1:{self.ports.superlink_health}"]
        executor = [
            program("flower-superexec"),
            "--runtime-api-address",
            self.address,
            "--root-certificates",
            ca,
            *secret,
        ]
        executor += ["--health-server-address", f"127.0.0.1:{self.ports.executor_health}"]
        programs = (
            Supervised("SuperLink", superlink, environment, logs / "superlink.log", backoff_s=1.0),
            Supervised("executor", executor, environment, logs / "executor.log", backoff_s=2.0),
        )
        stop_all(None, str(home.resolve()))  # what a killed supervisor left behind would hold ports and state
        try:
            programs[0].start()
            self._await_ready(programs[0])
            programs[1].start()  # not before: it would wait half a minute after a call that failed
            yield environment, programs
        finally:
            try:
                for one in reversed(programs):
                    one.stop()
                stop_all(None, str(home.resolve()))
            except BaseException:  # told again to stop: at once
                kill_all(str(home.resolve()))
                raise

    def _await_ready(self, superlink: Supervised) -> None:
        end = time.monotonic() + READY_S
        context = ssl.create_default_context(cafile=str(self.folder.authority))
        while time.monotonic() < end:
            if not superlink.is_alive:
                raise NetworkError(
                    f"Flower's SuperLink ended with {superlink.exit_code} while starting; needed a server at {self.address}. "
                    f"its last words: {superlink.last_words(300).strip()} (log: {superlink.log})"
                )
            try:
                with urllib.request.urlopen(f"https://{self.address}/health", timeout=2, context=context) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        raise NetworkError(
            f"Flower's SuperLink did not answer at {self.address} within {READY_S:.0f} s; see {superlink.log}"
        )

    def _run_to_the_end(
        self, config: RunConfig, environment: dict[str, str], programs: tuple[Supervised, Supervised]
    ) -> None:
        self._committed = self._rounds_done()
        registration = Registration(self.folder, self.run_folder, self.say)
        while True:
            try:
                how = self._once(environment, programs, registration)
            except OSError as error:
                if error.errno not in FULL:
                    raise
                self._room.wait_after(error)
                self._room.await_free(ROOM_BYTES)
                how, was_full = "the disk is full", True
            except RunError:
                if self._room.await_free(ROOM_BYTES):
                    raise
                how, was_full = "the disk was full", True
            else:
                if how == "finished":
                    return
                # Flower's database is on it as well: with a full disk no run goes far, and none is to blame.
                was_full = not self._room.await_free(ROOM_BYTES)
            done = self._rounds_done()
            if done > self._committed:
                self.restarts = 0
            elif not was_full:
                self.restarts += 1
            self._committed = done
            if self.restarts >= RESTARTS:
                raise StoppedError(
                    f"{self.restarts} restarts without a further round ({how}); {done} of {config.rounds} rounds are committed "
                    f"in {self.run_folder}. see {self.folder.path / 'log'}, mend it, and run `fedmce server up` again"
                )
            self.say(f"the run ended ({how}); going on after round {done}")
            self._revive(*programs)

    def _once(
        self, environment: dict[str, str], programs: tuple[Supervised, Supervised], registration: Registration
    ) -> str:
        """One run of Flower's on the state that the last one left; how it ended, as :meth:`_watch` says it."""
        registration.bring(environment)
        self._process.end()
        self._drain()
        self._last_end = self._newest_end  # of an earlier run
        run_id = self._submit(environment)
        with suppress(RunError):  # without it sites are slow once, no more
            stop_other_runs(run_id, environment)
        return self._watch(run_id, environment, programs, registration)

    def _revive(self, superlink: Supervised, executor: Supervised) -> None:
        """Both again where they ended: whoever killed the server's process may have killed them too."""
        if not superlink.is_alive:
            superlink.start()
            executor.stop()
        self._await_ready(superlink)
        if not executor.is_alive:
            executor.start()

    def _submit(self, environment: dict[str, str]) -> str:
        path, out = (self.run_folder / "config.yaml").resolve(), self.run_folder.resolve()
        settings = f"config-path={json.dumps(str(path))} out={json.dumps(str(out))}"
        end = time.monotonic() + READY_S
        while True:
            try:
                arguments = ["run", str(app_root()), CONNECTION, "--run-config", settings]
                return str(flwr(arguments, environment)["run-id"])
            except RunError as error:
                if self._room.is_low(ROOM_BYTES):  # Flower's database is on it: no further try goes better
                    raise OSError(errno.ENOSPC, str(error), str(self.folder.path)) from error
                if time.monotonic() > end:
                    raise
                time.sleep(2.0)

    def _watch(
        self,
        run_id: str,
        environment: dict[str, str],
        programs: tuple[Supervised, Supervised],
        registration: Registration,
    ) -> str:
        """Until the run is over in some way; ``finished``, or what happened."""
        looked = time.monotonic()
        while True:
            end = self._drain()
            if end is not None and end["status"] == "finished" and (self.run_folder / "result.json").is_file():
                return "finished"
            if end is not None:
                if kind := KINDS.get(end.get("exit_code") or 1):
                    raise kind(end["reason"].partition(": ")[2] or end["reason"])
                return f"{end['status']}: {end['reason']}"
            for one in programs:
                if not one.is_alive and one.keep():
                    self.say(f"{one.name} had ended; started again")
                    if one is programs[0]:
                        # Flower's executor waits for half a minute after a call that failed: a new one asks at once.
                        programs[1].stop()
                        return f"{one.name} ended"
            if (why := self._process.what_became_of_it()) is not None:
                return why
            registration.follow(environment)
            if time.monotonic() - looked >= (STATUS_EVERY_S if self._process.pid is None else STATUS_ALIVE_EVERY_S):
                looked = time.monotonic()
                try:
                    state = run_state(run_id, environment)
                except RunError:
                    continue  # the SuperLink is starting again
                if state.is_over and self._drain() is None:
                    return f"Flower lists it as {state.status}"
            time.sleep(LOOK_S)

    def _drain(self) -> dict[str, Any] | None:
        """Hand new rows on; the last row if it says that the run ended."""
        for row in self._rows.new():
            self.observer(row)
            self._newest_end = row if row["event"] == "end" else None
        return self._newest_end if self._newest_end != self._last_end else None

    def _rounds_done(self) -> int:
        if not (self.run_folder / "record.jsonl").exists():
            return 0
        return max((row["round"] for row in read_record(self.run_folder) if row["event"] == "round"), default=0)


def open_server(folder: Path, ports: Ports, observer: Observer, say: Callable[[str], None]) -> ServerRun:
    """The federation of a server folder."""
    found, _ = read_server(folder)
    return ServerRun(found, ports, observer, say)
