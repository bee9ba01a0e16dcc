"""What a site worker saves: a message in a process of its own that imports torch, and one that a warm worker answers.

Flower starts a process per message, so each figure is that of a fresh Python process from its start to its end; what
Flower's own part of that process costs comes on top of both.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.row import Figure

SITE, REPEATS = "us-f3", 5
MOST_S, MOST_WARM_S, LEAST_GAIN = 30.0, 3.0, 2.0
PROGRAM = (
    "import sys; from client.app import app; from fedmce.flower_compat import unpack; "
    "message, context = unpack(open(sys.argv[1], 'rb').read()); reply = app(message, context); "
    "sys.exit(reply.has_error())"
)


def messages(root: Path, overrides: tuple[str, ...] = ()) -> tuple[Any, dict[str, Any]]:
    """An order to train, and the node of a site folder of ``av_digits`` under ``root``."""
    from fedmce.cli.compose import load_config
    from fedmce.data import dataset_of
    from fedmce.flower_compat import ConfigRecord, Message, RecordDict, array_record, identity
    from fedmce.folders.dataset import folders_dataset
    from fedmce.folders.exporting import export_sites
    from fedmce.models import MultimodalNet, state_of
    from fedmce.networks import spec_for
    from fedmce.wire import Order, digest

    export_sites(root / "data", dataset_of(load_config(["dataset=av_digits"])), ["us_f3"])
    wanted = ["dataset=folders", f"dataset.path={root / 'data'}", "missingness=natural", *overrides]
    config = load_config(wanted)
    data = folders_dataset(config.dataset)  # type: ignore[arg-type]
    names = tuple(m.name for m in data.modalities)
    part = state_of(MultimodalNet(spec_for(data, config), seed=1))
    rows = int((data.sites[SITE].split == "train").sum())
    order = Order(1, True, SITE, config.to_json(), names, digest(part), rows, (rows,) * len(names), budget_s=600.0)
    scales = {
        f"{m.name}/{what}": _full(m.statistics_shape, what == "std")
        for m in data.modalities
        for what in ("mean", "std")
    }
    records: dict[str, Any] = {
        "model": array_record(part),
        "statistics": array_record(scales),
        "order": ConfigRecord(order.to_record()),  # type: ignore[arg-type]
    }
    with identity(1):
        message = Message(RecordDict(records), 2, "train", ttl=3600.0)
    (root / "home").mkdir(mode=0o700)
    return message, {"site": SITE, "folder": str(root / "data" / SITE), "home": str(root / "home")}


def _full(shape: tuple[int, ...], value: bool) -> Any:
    import numpy as np

    return np.full(shape, float(value), np.float32)


def _process_s(file: Path) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", PROGRAM, str(file)], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return time.perf_counter() - began


def worker_gain() -> list[Figure]:
    """Seconds of a message without and with the warm worker."""
    from client.worker.stop import end_worker
    from fedmce.flower_compat import Context, RecordDict, pack

    with tempfile.TemporaryDirectory(prefix="fw") as folder:
        root = Path(folder)
        root.chmod(0o700)
        message, node = messages(root)
        for name, more in (("cold", {}), ("warm", {"worker": str(root / "home" / "worker.sock")})):
            (root / name).write_bytes(pack(message, Context(1, 2, node | more, RecordDict(), {})))
        cold = [_process_s(root / "cold") for _ in range(REPEATS)]
        try:
            first = _process_s(root / "warm")  # starts the worker
            warm = [_process_s(root / "warm") for _ in range(REPEATS)]
        finally:
            end_worker(root / "home" / "worker.sock")
    gain = statistics.median(cold) / statistics.median(warm)
    return [
        Figure("site worker, a message in a cold process", statistics.median(cold), "s", MOST_S),
        Figure("site worker, the message that starts the worker", first, "s", MOST_S),
        Figure("site worker, a message that the warm worker answers", statistics.median(warm), "s", MOST_WARM_S),
        Figure("site worker, gain", gain, "", LEAST_GAIN, at_least=True),
    ]
