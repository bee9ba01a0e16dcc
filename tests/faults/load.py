"""Many sites and many rounds in one process: L01 and L04, the figures G19 and G20.

``python -m tests.faults.load sites 1000`` and ``python -m tests.faults.load soak 1000`` print what was measured as
JSON; each in a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from client.app import app as real_app
from fedmce.flower_compat import ConfigRecord, Context, Message, MetricRecord, RecordDict, array_record, arrays_of
from fedmce.models import component_of
from fedmce.wire import MODEL, ORDER, REPORT, STAMP, UPDATE, Order, stamp, text_sha256
from tests.faults import scripted
from tests.faults.scripted import Act, play
from tests.server.made import everything_everywhere, made_config, made_dataset, made_site, use

FAULTY = 0.2  # share of replies in the soak
SPOILT = range(20, 301, 60)  # rounds
WIDTH = 152  # makes a model of 1 MB


class Echo:
    """Sites that answer at once: the profile of the first for all, and the received model, moved a little."""

    def __init__(self, sites: list[str]) -> None:
        self._sites, self._profile, self.sent = sites, RecordDict(), 0

    def __call__(self, message: Message, context: Context) -> Message:
        order = Order.from_record(message.content.config_records[ORDER])
        site = self._sites[int(context.node_config["partition-id"])]
        told = ConfigRecord(stamp(site, order.round, order.base, text_sha256(order.config), "0"))
        if order.round == 0 and not self._profile:
            self._profile = real_app(message, context).content
        if order.round == 0:
            return Message(RecordDict({**self._profile, STAMP: told}), reply_to=message)
        base = arrays_of(message.content.array_records[MODEL])
        draw = np.random.default_rng(context.node_id)
        update = {key: value + np.float32(1e-3 * draw.normal()) for key, value in base.items()}
        self.sent += sum(value.nbytes for value in update.values())
        report: dict[str, Any] = {f"rows.{component_of(key)}": 10 for key in base} | {"steps": 1, "train_s": 0.0}
        records = {REPORT: MetricRecord(report | {"loss.task": 1.0}), STAMP: told}
        return Message(RecordDict({**records, UPDATE: array_record(update)}), reply_to=message)


def sites_held(count: int, folder: Path) -> dict[str, Any]:
    """One round of so many sites with updates of 1 MB: seconds of CPU, peak of memory, accepted replies."""
    names = [f"s{number:04d}" for number in range(count)]
    spent = list[float]()
    with pytest.MonkeyPatch.context() as patch:
        dataset = use(patch, made_dataset(*(made_site(name) for name in names)))
        echo = Echo(names)
        patch.setattr(scripted, "client_app", echo)
        model = {"model__width": WIDTH, "model__fusion_hidden": WIDTH}
        config = made_config("fedavg_owner", missingness=everything_everywhere(), rounds=1, **model)
        began = time.process_time()
        played = play(config, dataset, folder, prepare=lambda grid: grid.hooks.update({1: lambda _: mark(spent)}))
        if played.error is not None:
            raise played.error
    (row,) = played.rounds
    accepted = sum(site["verdict"] == "accepted" for site in row["sites"].values())
    return {
        "sites": count,
        "accepted": accepted,
        "reply_mb": echo.sent / max(accepted, 1) / 1e6,
        "seconds": time.process_time() - spent[0],
        "profile_s": spent[0] - began,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def mark(times: list[float]) -> None:
    """Note the time of the first call."""
    times.append(time.process_time())


def misbehaving(site: str, number: int, kind: str) -> Act:
    """What a site does in the soak: in one of five rounds it is silent, late, fails or is slow; five times it sends NaN.

    With a sixth refused update it would be expelled for good, and soon nobody would be left.
    """
    if kind != "train":
        return Act()
    if number in SPOILT:
        return Act(change=_spoilt)
    draw = np.random.default_rng([number, *site.encode()])
    if draw.random() > FAULTY:
        return Act()
    acts = [Act(after_s=None), Act(after_s=1e4), Act(error=2), Act(error=5), Act(after_s=30.0)]
    return acts[int(draw.integers(len(acts)))]


def _spoilt(reply: Message) -> Message:
    if reply.has_content() and UPDATE in reply.content.array_records:
        arrays = arrays_of(reply.content.array_records[UPDATE])
        reply.content[UPDATE] = array_record({key: np.full_like(value, np.nan) for key, value in arrays.items()})
    return reply


def soak(rounds: int, folder: Path) -> dict[str, Any]:
    """So many rounds of sites of which a fifth misbehaves: what the process holds after a fifth and at the end."""
    process, held = psutil.Process(), dict[int, dict[str, int]]()
    temporary = Path(tempfile.gettempdir())
    # The last but some, since a round in which everybody is benched asks nobody.
    looks = (max(rounds // 5, 1), rounds // 2, rounds - max(rounds // 50, 1))

    def look() -> None:
        held[looks[len(held)]] = {
            "rss_kb": process.memory_info().rss // 1024,
            "files": process.num_fds(),
            "threads": threading.active_count(),
            "children": len(process.children(recursive=True)),
            "temporary": sum(len(files) for *_, files in os.walk(temporary)),
        }

    def script(site: str, number: int, kind: str) -> Act:
        if len(held) < len(looks) and number >= looks[len(held)]:
            look()
        return misbehaving(site, number, kind)

    with pytest.MonkeyPatch.context() as patch:
        dataset = use(patch, made_dataset())
        manners = {"exchange__accept_min": 1, "exchange__deadline_s": 100.0, "exchange__void_limit": 50}
        config = made_config(rounds=rounds, evaluate_every=rounds, **manners)
        played = play(config, dataset, folder, script)
        if played.error is not None:
            raise played.error
    verdicts = [site["verdict"] for row in played.rounds for site in row["sites"].values()]
    return {
        "rounds": len(played.rounds),
        "void": sum(row["void"] for row in played.rounds),
        "replies": len(verdicts),
        "set_aside": sum(verdict != "accepted" for verdict in verdicts),
        "held": held,
        "growth": held[looks[-1]]["rss_kb"] / held[looks[0]]["rss_kb"] - 1,
        "seconds": time.process_time(),
    }


def measured(what: str, count: int, timeout_s: float = 1800.0) -> dict[str, Any]:
    """The same in a process of its own with a folder of its own for temporary files."""
    with tempfile.TemporaryDirectory(prefix="fedmce-load-") as folder:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": folder, "MALLOC_ARENA_MAX": "2"}
        command = [sys.executable, "-m", "tests.faults.load", what, str(count)]
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    if done.returncode:
        raise RuntimeError(f"{what} of {count}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as run_folder:
        print(json.dumps({"sites": sites_held, "soak": soak}[sys.argv[1]](int(sys.argv[2]), Path(run_folder))))
