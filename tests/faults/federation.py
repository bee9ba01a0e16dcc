"""A federation of real processes with a tiny model: server, sites, a faulty way between them; always cleaned up.

    with Federation(tmp_path, sites=4, rounds=12, overrides=["exchange.deadline_s=40"]) as f:
        f.await_round(3)
        f.site("ash").kill()
        f.await_that(lambda: f.verdicts("ash").get(5) == "accepted", 120)

Every process is what a person would type (``fedmce server up``, ``fedmce client join``) on what ``fedmce provision``
made, with TLS and registered keys. Sites find the server by a name of the test's own (``inject/fedmce_test_names``),
each at an address of its own where its proxy listens, so that its name, its address and its way can fail alone.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from fedmce.cli.provision import DEPLOYED
from fedmce.folders.exporting import export_sites
from fedmce.record import read_record
from server.committed.kill import VARIABLE
from simulations.ports import free_ports
from simulations.processes import MARK
from tests.faults.fault_proxy import FaultProxy
from tests.faults.programs import NAME, Program, Site, text_of
from tests.server.made import LACKS, MODALITIES, made_dataset, made_site

NAMES = ("ash", "birch", "cedar", "dale", "elm", "fir", "gorse", "hazel")
ROWS = {"train": 48, "validation": 12, "test": 16}
PATIENCE = float(os.environ.get("FEDMCE_TEST_PATIENCE", "1"))  # more than 1 on a machine that is busy otherwise
ROUND_S = 150.0 * PATIENCE  # longest that a test waits for a round, which takes some 8 s on a quiet machine
PLAN = (
    "evaluate_every=1000",
    "seed=5",
    "training.local_epochs=1",
    "training.batch_size=12",
    "training.lr=0.02",
    "model.width=6",
    "model.fusion_hidden=6",
    f"exchange.deadline_s={60 * PATIENCE:g}",
    "exchange.accept_min=1",
    "exchange.poll_s=0.5",
    f"exchange.wait_sites_s={120 * PATIENCE:g}",
    # Made rows, fewer than floors would let out.
    "privacy.k_min=2",
    "privacy.min_rows=8",
    "privacy.min_rows_dense=8",
    "privacy.min_steps=1",
    "privacy.metric_rows=8",
    "privacy.site_noise=none",
    "privacy.min_asked=1",
)


class Federation:
    """The whole of it; as a context it is started on the way in and gone on the way out.

    Args:
        folder: empty; gets everything.
        sites: how many, or their names.
        rounds: of the plan; a federation may be left before its end.
        overrides: of the plan, after those of ``PLAN``.
        proxied: each site through a :class:`FaultProxy`.
        start: names of the sites that start by themselves; None = all.
        kill_at: ``K5@3``: the server's process kills itself there, once (FEDMCE_TEST_KILL).
    """

    def __init__(
        self,
        folder: Path,
        *,
        sites: int | Sequence[str] = 3,
        rounds: int = 10,
        overrides: Sequence[str] = (),
        proxied: bool = True,
        start: Sequence[str] | None = None,
        kill_at: str = "",
    ) -> None:
        names = NAMES[:sites] if isinstance(sites, int) else tuple(sites)
        self.folder, self.project, self.rounds = folder, folder / "project", rounds
        self.run = self.project / "run"
        here = ["127.0.0.1", *own_addresses(len(names))]
        self.superlink = first = free_ports(4 + 2 * len(names), here)
        self._start, self._kill_at = names if start is None else tuple(start), kill_at
        (folder / "log").mkdir(parents=True)
        export_sites(folder / "sites", made_dataset(*(made_site(n, ROWS) for n in names)), names, _shown(names))
        self.plan = ["dataset=folders", f"dataset.path={folder / 'sites'}", f"rounds={rounds}", *PLAN, *overrides]
        port = first + 3 if proxied else first
        provision = ["provision", "--sites", ",".join(names), "--out", str(self.project), "--server", f"{NAME}:{port}"]
        type_in(*provision, *self.plan)
        up = ["server", "up", "--dir", str(self.project), "--port", str(self.superlink)]
        marks = [folder, self.project / "flower"]
        self.server = Program("server", up, {MARK: str(folder.resolve())}, folder / "log", marks)
        self.sites = {}
        for number, name in enumerate(names):
            proxy = self.make_proxy((f"127.0.1.{number + 1}", port)) if proxied else None
            self.sites[name] = Site(name, folder, self.project, first + 4 + 2 * number, proxy)

    def make_proxy(self, listen: tuple[str, int]) -> FaultProxy:
        """A proxy before the SuperLink, not yet open."""
        certificate, key, authority = (self.project / name for name in ("server.crt", "server.key", "ca.crt"))
        return FaultProxy(listen, ("localhost", self.superlink), certificate, key, authority)

    def __enter__(self) -> Self:
        try:
            for site in self.sites.values():
                if site.way is not None:
                    site.way.open()
            self.server.start(**({VARIABLE: self._kill_at} if self._kill_at else {}))
            # A node whose key is not registered yet is refused, and tries again only after a while.
            self.await_that(lambda: self._registered() >= len(self.sites), ROUND_S, "the registration of all keys")
            for name in self._start:
                self.sites[name].start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.end()
        if error is not None:
            error.add_note(self.last_words())

    def _registered(self) -> int:
        try:
            return len(json.loads((self.project / "registered.json").read_text(encoding="utf-8")))
        except (OSError, json.JSONDecodeError):
            return 0

    def site(self, name: str) -> Site:
        """A site by its name."""
        return self.sites[name]

    def end(self) -> None:
        """Nothing of it runs any more."""
        for one in (*self.sites.values(), self.server):
            one.end()
        for site in self.sites.values():
            if site.way is not None:
                site.way.heal()
                site.way.close()

    def rows(self, event: str = "") -> list[dict[str, Any]]:
        """The record so far, or its rows of one event."""
        if not (self.run / "record.jsonl").exists():
            return []
        return [row for row in read_record(self.run) if event in ("", row["event"])]

    def audit(self, kind: str = "") -> list[dict[str, Any]]:
        """Lines of the audit log so far, or those of one kind."""
        path = self.run / "state" / "log" / "audit.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [line for line in found if kind in ("", line["kind"])]

    def round(self, number: int) -> dict[str, Any]:
        """The row of a round that is over; the last one, if it was run again."""
        return [row for row in self.rows("round") if row["round"] == number][-1]

    def verdicts(self, site: str) -> dict[int, str]:
        """Round -> what was said of the site's reply; rounds in which it was not asked are missing."""
        return {row["round"]: row["sites"][site]["verdict"] for row in self.rows("round") if site in row["sites"]}

    def later(self, site: str, number: int) -> list[str]:
        """What was said of the site's replies in rounds after one."""
        return [verdict for n, verdict in self.verdicts(site).items() if n > number]

    def await_back(self, site: str, number: int, within_s: float = ROUND_S) -> None:
        """Wait until a reply of the site is accepted in a round after one."""
        self.await_that(lambda: "accepted" in self.later(site, number), within_s, f"{site} to be back")

    @property
    def done(self) -> int:
        """Rounds that are over."""
        return max((row["round"] for row in self.rows("round")), default=0)

    @property
    def asked(self) -> int:
        """The newest round that was begun."""
        return max((line["round"] for line in self.audit("ask")), default=0)

    def await_round(self, number: int, within_s: float = ROUND_S) -> dict[str, Any]:
        """Wait until a round is over and committed; its row."""
        self.await_that(lambda: number in [line["round"] for line in self.audit("commit")], within_s, f"round {number}")
        return self.round(number)

    def await_asked(self, number: int, within_s: float = ROUND_S) -> None:
        """Wait until the sites were asked for a round."""
        self.await_that(lambda: self.asked >= number, within_s, f"the question of round {number}")

    def await_that(self, law: Callable[[], object], within_s: float = ROUND_S, what: str = "that") -> None:
        """Wait until something is true.

        Raises:
            AssertionError: it was not in time, or the server ended before.
        """
        end = time.monotonic() + within_s
        while not law():
            ended = not self.server.is_alive
            if ended and law():
                return
            assert not ended, f"the server ended with {self.server.exit_code} before {what}\n{self.last_words()}"
            assert time.monotonic() < end, f"{what} did not come within {within_s:g} s\n{self.last_words()}"
            time.sleep(0.1)

    def await_end(self, within_s: float = ROUND_S) -> int:
        """Wait until ``fedmce server up`` ends; its exit code."""
        end = time.monotonic() + within_s
        while self.server.is_alive:
            assert time.monotonic() < end, f"the server did not end within {within_s:g} s\n{self.last_words()}"
            time.sleep(0.1)
        code = self.server.exit_code
        assert code is not None
        return code

    def committed(self, number: int) -> bytes:
        """The committed model of a round; of older rounds only every tenth is kept."""
        return model_of(self.run, number)

    def simulated(self, folder: Path, *overrides: str) -> Path:
        """The same plan on the same folders in one process; the run folder."""
        type_in("run", "--quiet", *DEPLOYED, *self.plan, *overrides, f"out={folder}")
        return folder

    def last_words(self) -> str:
        """The end of every log, for whoever must find out why."""
        said = {one.name: one.log for one in (self.server, *self.sites.values())}
        said |= {f"SuperNode {name}": site.node_log for name, site in self.sites.items()}
        said["SuperLink"] = text_of(self.project / "log" / "superlink.log")
        return "\n".join(f"--- {name}\n{text[-600:].strip()}" for name, text in said.items())


def model_of(run: Path, number: int) -> bytes:
    """The committed model of a round in a run folder."""
    return (run / "state" / "rounds" / f"{number:06d}" / "model.safetensors").read_bytes()


def type_in(*arguments: str) -> str:
    """Run a command of fedmce to its end; what it printed."""
    command = [sys.executable, "-m", "fedmce", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
    assert done.returncode == 0, f"fedmce {arguments[0]}: exit {done.returncode}; {(done.stderr or done.stdout)[-800:]}"
    return done.stdout


def _shown(names: Sequence[str]) -> dict[str, Any]:
    """Birch has no sound and dale no images, as in the made federation."""
    shown = {name: made_site(name, ROWS).available for name in names}
    at = {m.name: number for number, m in enumerate(MODALITIES)}
    for name in names:
        if name in LACKS:
            shown[name] = np.array(shown[name])
            shown[name][:, at[LACKS[name]]] = False
    return shown


def own_addresses(sites: int) -> list[str]:
    """Where sites find the server: one address of loopback each, and some to move to."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        more = ["::1"]
    except OSError:
        more = []
    return more + [f"127.0.1.{number + 1}" for number in range(sites + 16)]
