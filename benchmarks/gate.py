"""What the update gate costs: CPU time of a large reply, and small replies per second of CPU.

Replies are made by hand and judged as a round would judge them: envelope, stamp, names, headers, counts, values,
length of the change, comparison with the other sites' updates.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.repeats import seconds
from benchmarks.row import Figure

LARGE_ROWS, WIDTH = 98_500, 64  # 25.2 MB
SMALL_PARTS, SMALL_ROWS, REPLIES = 4, 72, 500  # 8 arrays, 9.4 kB
REPEATS, LARGE_MS, SMALL_PER_S = 20, 30.0, 1500.0
CONFIG, BASE = "c" * 64, "b" * 32


def _model(parts: int, rows: int, width: int) -> dict[str, Any]:
    draw = np.random.default_rng(1)
    shapes = {"w": (rows, width), "b": (width,)}
    return {
        f"encoder.{n}/{key}": draw.normal(size=shape).astype(np.float32)
        for n in range(parts)
        for key, shape in shapes.items()
    }


def _asked(node: int, base: Mapping[str, Any]) -> Any:
    from flwr.app import Metadata
    from flwr.app.message.message import make_message

    from fedmce.flower_compat import RecordDict
    from server.gate import Expectation, Sent

    metadata = Metadata(
        run_id=1,
        message_id=f"m{node}",
        src_node_id=1,
        dst_node_id=node,
        reply_to_message_id="",
        group_id="1",
        created_at=1.0,
        ttl=3600.0,
        message_type="train",
    )
    expected = Expectation(
        site=f"site{node:05d}",
        round=1,
        base=BASE,
        config_sha256=CONFIG,
        train=True,
        shapes={key: value.shape for key, value in base.items()},
        known=frozenset(base),
        most_rows={key.partition("/")[0]: 40 for key in base},
        contributions=None,
        measured=None,
        magnitude_limit=1e4,
        modalities=2,
        most_scored={"accuracy": 10},
        sent=base,
        most_steps=10,
        norm_limits={key.partition("/")[0]: 1e3 for key in base},
    )
    return Sent(make_message(metadata=metadata, content=RecordDict({})), expected)


def _reply(sent: Any, seed: int) -> Any:
    from fedmce.flower_compat import ConfigRecord, Message, MetricRecord, RecordDict, array_record
    from fedmce.wire import stamp

    draw = np.random.default_rng(seed)
    update = {
        key: value + draw.normal(scale=1e-3, size=value.shape).astype(np.float32)
        for key, value in sent.expected.sent.items()
    }
    report = {f"rows.{component}": 40 for component in sent.expected.most_rows} | {"steps": 4}
    told = stamp(sent.expected.site, 1, BASE, CONFIG, "0")
    records: dict[str, Any] = {
        "update": array_record(update),
        "report": MetricRecord(report | {"train_s": 1.0, "loss.task": 0.5}),
        "stamp": ConfigRecord(told),
    }
    return Message(RecordDict(records), reply_to=sent.message)


def _judging(sent: list[Any], replies: list[Any]) -> None:
    from server.gate import Accepted, RoundGate

    judged = RoundGate(sent, refuse_copies=True)
    for reply in replies:
        assert isinstance(judged.judge(reply)[1], Accepted)


def gate_cost() -> list[Figure]:
    """G3 and L02 of the fault specification: a reply of 25 MB, and replies of 10 kB."""
    found = []
    for name, parts, rows, width, count in (
        ("gate, CPU of a reply of 25 MB", 1, LARGE_ROWS, WIDTH, 1),
        ("gate, replies of 10 kB per second of CPU", SMALL_PARTS, SMALL_ROWS, 8, REPLIES),
    ):
        base = _model(parts, rows, width)
        sent = [_asked(node + 2, base) for node in range(count)]
        replies = [_reply(one, seed) for seed, one in enumerate(sent)]
        _judging(sent, replies)
        took = statistics.median(seconds(lambda s=sent, r=replies: _judging(s, r)) for _ in range(REPEATS))
        if count == 1:
            found.append(Figure(name, 1000 * took, "ms", LARGE_MS))
        else:
            found.append(Figure(name, count / took, "1/s", SMALL_PER_S, at_least=True))
    return found
