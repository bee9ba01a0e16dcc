"""A made site behind a real site worker: its folder, its messages, and what is told to misbehave."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from client.app import app
from client.worker.health import WorkerHealth, worker_health
from client.worker.stop import end_worker
from fedmce.config.schema import RunConfig
from fedmce.flower_compat import ConfigRecord, Context, Message, RecordDict, array_record, identity
from fedmce.folders.exporting import export_sites
from fedmce.models import MultimodalNet, private_keys, state_of
from fedmce.networks import spec_for
from fedmce.wire import MODEL, ORDER, STATISTICS, Order, digest
from tests.server.made import CLASSES, MODALITIES, made_config, made_dataset

INJECT = Path(__file__).with_name("inject")  # a sitecustomize that bends client.rounds in the trainer
MODE = "FEDMCE_TEST_SITE"
NODE = 2**63 + 11


def plan(**changes: Any) -> RunConfig:
    """The made federation as a plan that travels: no rows, no paths."""
    modalities = [
        {"name": m.name, "kind": m.kind, "shape": m.shape, "units": m.units, "pooled_axes": m.pooled_axes}
        for m in MODALITIES
    ]
    dataset = {"name": "folders", "path": None, "modalities": modalities, "classes": CLASSES, "metric": "accuracy"}
    natural = {"name": "natural"}
    return made_config(**{"dataset": dataset, "missingness": natural, "sites": ("ash",), "rounds": 3} | changes)


@dataclass
class Site:
    """One deployed site.

    Attributes:
        root: a short path, since a socket's may not be long.
        config: of the run.
        node: Flower's ``node_config``.
    """

    root: Path
    config: RunConfig
    node: dict[str, Any]
    context: Context = field(init=False)

    def __post_init__(self) -> None:
        self.context = self.fresh_context()

    @property
    def socket(self) -> Path:
        return self.root / "home" / "worker.sock"

    @property
    def log(self) -> str:
        file = self.root / "home" / "log" / "site.log"
        return file.read_text() if file.exists() else ""

    def misbehave(self, mode: str) -> None:
        """Let the next round do this in the trainer (tests/faults/inject)."""
        (self.root / "mode").write_text(mode)

    def fresh_context(self) -> Context:
        """As after a restart of the SuperNode: its state is gone."""
        return Context(7, NODE, dict(self.node), RecordDict(), {})

    def ask(self, message: Message) -> Message:
        return app(message, self.context)

    def health(self) -> WorkerHealth:
        return worker_health(self.socket)

    def profile(self, budget_s: float = 60.0) -> Message:
        order = Order(round=0, train=False, site="", config=self.config.to_json(), budget_s=budget_s)
        return _message(RecordDict({ORDER: ConfigRecord(order.to_record())}), "query.profile")

    def train(self, number: int = 1, budget_s: float | None = 60.0, **changes: Any) -> Message:
        data = made_dataset()
        spec = spec_for(data, self.config)
        names = tuple(m.name for m in MODALITIES)
        net = MultimodalNet(spec, seed=number)
        kept = private_keys(net, self.config.aggregation.private)
        part = {key: value for key, value in state_of(net).items() if key not in kept}
        scales = {
            f"{m.name}/{what}": make(m.statistics_shape, "f4") for m in MODALITIES for what, make in SCALES.items()
        }
        fields = {"round": number, "train": True, "site": "ash", "config": self.config.to_json(), "modalities": names}
        fields |= {"base": digest(part), "all_rows": 96, "all_rows_by_modality": (70, 70, 80), "budget_s": budget_s}
        records = {
            MODEL: array_record(part),
            STATISTICS: array_record(scales),
            ORDER: ConfigRecord(Order(**fields | changes).to_record()),
        }
        return _message(RecordDict(records), "train")


SCALES = {"mean": np.zeros, "std": np.ones}


def _message(content: RecordDict, kind: str) -> Message:
    with identity(7):
        message = Message(content, NODE, kind, ttl=3600.0)
    message.metadata.__dict__["_message_id"] = f"m{time.monotonic_ns()}"
    return message


@contextmanager
def site(root: Path, *, worker: bool = True, home: bool = True, **changes: Any) -> Iterator[Site]:
    """A site in its own folder; its worker and all that it started are gone at the end."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (root / "data").exists():
        export_sites(root / "data", made_dataset(), ("ash",))
    (root / "home").mkdir(mode=0o700, exist_ok=True)
    node: dict[str, Any] = {"site": "ash", "folder": str(root / "data" / "ash")}
    node |= {"home": str(root / "home")} if home else {}
    node |= {"worker": str(root / "home" / "worker.sock")} if worker else {}
    node |= changes.pop("node", {})
    before = {key: os.environ.get(key) for key in (MODE, "PYTHONPATH", "OMP_NUM_THREADS")}
    os.environ |= {MODE: str(root / "mode"), "PYTHONPATH": str(INJECT), "OMP_NUM_THREADS": "1"}
    made = Site(root, plan(**changes), node)
    try:
        yield made
    finally:
        for key, value in before.items():
            os.environ.pop(key, None) if value is None else os.environ.update({key: value})
        end_worker(made.socket, patience_s=0.0)


def said(reply: Message) -> tuple[int, str]:
    """Code and text of an error reply."""
    return reply.error.code, reply.error.reason


def soon(law: Any, within_s: float = 15.0) -> bool:
    """Whether something becomes true."""
    end = time.monotonic() + within_s
    while not law():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def gone(*pids: int | None) -> bool:
    """Whether none of these processes runs; whom nobody has asked after yet is dead all the same."""
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            continue
    return True
