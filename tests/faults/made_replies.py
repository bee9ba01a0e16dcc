"""Messages, expectations and honest replies made by hand, without a model, a site or any training."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flwr.app import Metadata
from flwr.app.message.message import make_message

from fedmce.flower_compat import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict, array_record
from fedmce.models import component_of
from fedmce.wire import stamp
from server.gate import Expectation, Sent

Arrays = dict[str, np.ndarray[Any, np.dtype[np.float32]]]
RUN, CONFIG, BASE = 7, "c" * 64, "b" * 32
_IDS = itertools.count(1)


def message(node: int, round_number: int = 1) -> Message:
    """One from the server to a node, pushed."""
    told = Metadata(
        run_id=RUN,
        message_id=f"sent-{next(_IDS)}",
        src_node_id=1,
        dst_node_id=node,
        reply_to_message_id="",
        group_id=str(round_number),
        created_at=1.0,
        ttl=3600.0,
        message_type="train",
    )
    return make_message(metadata=told, content=RecordDict({}))


def asked(site: str, node: int, base: Arrays, rows: int = 40, round_number: int = 1, **changes: Any) -> Sent:
    """A message to a site that holds the components of ``base``, and what it should bring back."""
    told: dict[str, Any] = {
        "site": site,
        "round": round_number,
        "base": BASE,
        "config_sha256": CONFIG,
        "train": True,
        "shapes": {key: value.shape for key, value in base.items()},
        "known": frozenset(base),
        "most_rows": {component_of(key): rows for key in base},
        "contributions": None,
        "measured": None,
        "magnitude_limit": 1e4,
        "modalities": 2,
        "most_scored": {"accuracy": 10},
        "sent": base,
        "most_steps": 10,
    }
    return Sent(message(node, round_number), Expectation(**(told | changes)))


def records(sent: Sent, update: Mapping[str, Any], **report: Any) -> dict[str, Any]:
    """Records of an honest reply; ``report`` overrides its numbers, dots as ``__``."""
    expected = sent.expected
    numbers: dict[str, Any] = {f"rows.{component}": rows for component, rows in expected.most_rows.items()}
    numbers |= {"steps": 1, "train_s": 0.5, "loss.task": 1.0}
    numbers |= {key.replace("__", "."): value for key, value in report.items()}
    found: dict[str, Any] = {
        "report": MetricRecord(numbers),
        "stamp": ConfigRecord(stamp(expected.site, expected.round, expected.base, expected.config_sha256, "0")),
    }
    arrays = update if isinstance(update, ArrayRecord) else array_record(update)
    return found | {"update": arrays}


def answer(sent: Sent, content: Mapping[str, Any]) -> Message:
    """A reply with these records."""
    return Message(RecordDict(dict(content)), reply_to=sent.message)


def moved(base: Arrays, seed: int, norm: float = 1.0) -> Arrays:
    """Every component moved by a random change of this length."""
    draw = np.random.default_rng(seed)
    found: Arrays = {}
    for component in sorted({component_of(key) for key in base}):
        keys = [key for key in base if component_of(key) == component]
        steps = {key: draw.normal(size=base[key].shape) for key in keys}
        length = np.sqrt(sum(float(np.square(step).sum()) for step in steps.values()))
        found |= {key: (base[key] + steps[key] * (norm / length)).astype(np.float32) for key in keys}
    return found


def honest(sent: Sent, seed: int = 0, norm: float = 1.0, **report: Any) -> Message:
    """An honest reply."""
    return answer(sent, records(sent, moved(dict(sent.expected.sent), seed, norm), **report))


def model(sizes: Mapping[str, int] | Sequence[str], width: int = 8) -> Arrays:
    """Small components, ``<name>/w`` (rows, width) and ``<name>/b``."""
    rows = sizes if isinstance(sizes, Mapping) else dict.fromkeys(sizes, width)
    draw = np.random.default_rng(3)
    found: Arrays = {}
    for name, count in rows.items():
        found[f"{name}/w"] = draw.normal(size=(count, width)).astype(np.float32)
        found[f"{name}/b"] = draw.normal(size=width).astype(np.float32)
    return found
