"""A reply taken apart, and every way to break it with the reason that the gate must give.

``FAULTS`` condemn the reply, ``CLAIM_FAULTS`` cost the claims alone, ``METRIC_FAULTS`` the metrics alone.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array

from fedmce.flower_compat import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

KEY = "fusion/"  # all sites have it


class Parts:
    """A reply's records as plain dicts, to be broken and put together again."""

    def __init__(self, honest: Message) -> None:
        self.update: dict[str, Array] = dict(honest.content["update"])
        self.report: dict[str, Any] = dict(honest.content["report"])
        self.stamp: dict[str, Any] = dict(honest.content["stamp"])
        self.left_out: set[str] = set()
        self.extra: dict[str, Any] = {}

    @property
    def key(self) -> str:
        """A parameter with several axes."""
        return next(k for k, a in sorted(self.update.items()) if k.startswith(KEY) and len(a.shape) > 1)

    @property
    def value(self) -> np.ndarray[Any, Any]:
        return self.update[self.key].numpy()

    def set(self, value: np.ndarray[Any, Any]) -> None:
        self.update[self.key] = Array(value)

    def poke(self, number: float) -> None:
        """Put ``number`` into one entry, not the first."""
        value = self.value.copy()
        value.flat[-1] = number
        self.set(value)

    def count(self) -> str:
        return "rows.fusion"

    def raw(self, data: bytes, dtype: str = "float32", shape: tuple[int, ...] | None = None) -> None:
        """Other bytes under the key, whatever they are."""
        self.update[self.key] = Array(dtype, shape or self.update[self.key].shape, "numpy.ndarray", data)

    def header(self, text: str, version: bytes = b"\x01\x00") -> None:
        """The right values behind a header of one's own."""
        body = text.encode("latin1")
        size = len(body).to_bytes(2 if version == b"\x01\x00" else 4, "little")
        self.raw(b"\x93NUMPY" + version + size + body + self.value.tobytes())

    def reply_to(self, sent: Message) -> Message:
        # Past the checks of Flower's records: a hostile site does not run them.
        report = MetricRecord()
        report.__dict__["_data"] = self.report
        records: dict[str, Any] = {
            "update": ArrayRecord(self.update),
            "report": report,
            "stamp": ConfigRecord(self.stamp),
        }
        kept = {name: record for name, record in (records | self.extra).items() if name not in self.left_out}
        return Message(RecordDict(kept), reply_to=sent)


@dataclass(frozen=True)
class Fault:
    name: str
    reason: str
    do: Callable[[Parts], Any]


def lying(value: np.ndarray[Any, Any], dtype: str, shape: tuple[int, ...]) -> Array:
    """An array whose header does not fit its bytes."""
    return Array(dtype, shape, "numpy.ndarray", Array(value).data)


def saved(value: np.ndarray[Any, Any], pickle: bool = False) -> bytes:
    """What numpy's own writer makes of an array."""
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=pickle)
    return stream.getvalue()


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


FAULTS = [
    Fault("nan", "nonfinite", lambda p: p.poke(math.nan)),
    Fault("plus infinity", "nonfinite", lambda p: p.poke(math.inf)),
    Fault("minus infinity", "nonfinite", lambda p: p.poke(-math.inf)),
    Fault("huge value", "magnitude", lambda p: p.poke(-1.01e4)),
    Fault("transposed", "shape", lambda p: p.set(p.value.T.copy())),
    Fault("flattened", "shape", lambda p: p.set(p.value.reshape(-1))),
    Fault("one row for all", "shape", lambda p: p.set(p.value[:1].copy())),
    Fault("shape lies", "shape", lambda p: p.update.update({p.key: lying(p.value[:1], "float32", p.value.shape)})),
    Fault("float64", "dtype", lambda p: p.set(p.value.astype(np.float64))),
    Fault("float16", "dtype", lambda p: p.set(p.value.astype(np.float16))),
    Fault("complex", "dtype", lambda p: p.set(p.value.astype(np.complex64))),
    Fault(
        "dtype lies", "dtype", lambda p: p.update.update({p.key: lying(p.value.astype("f8"), "float32", p.value.shape)})
    ),
    Fault(
        "other endian",
        "dtype",
        lambda p: p.update.update({p.key: lying(p.value.astype(">f4"), "float32", p.value.shape)}),
    ),
    Fault("other serialisation", "header", lambda p: setattr(p.update[p.key], "stype", "pickle")),
    Fault("bytes cut off", "header", lambda p: setattr(p.update[p.key], "data", p.update[p.key].data[:-3])),
    Fault("no bytes", "header", lambda p: setattr(p.update[p.key], "data", b"")),
    Fault("missing key", "key_set", lambda p: p.update.pop(p.key)),
    Fault("bytes too many", "header", lambda p: p.raw(p.update[p.key].data + b"\0" * 5)),
    Fault("fortran order", "header", lambda p: p.raw(saved(np.asfortranarray(p.value)))),
    Fault("integers", "dtype", lambda p: p.set(np.full(p.value.shape, 7))),
    Fault("truth values", "dtype", lambda p: p.set(np.ones(p.value.shape, bool))),
    Fault("texts", "dtype", lambda p: p.set(np.full(p.value.shape, "x"))),
    Fault("integers that lie", "dtype", lambda p: p.raw(saved(np.ones(p.value.shape, np.int32)))),
    Fault("structured", "header", lambda p: p.raw(saved(np.zeros(p.value.shape, [("a", "<f4")])))),
    Fault("pickle", "dtype", lambda p: p.raw(saved(np.array([Trap("canary")], object), pickle=True))),
    Fault("scalar", "shape", lambda p: p.set(np.array(1.0, np.float32))),
    Fault("shape turned in the record", "shape", lambda p: p.raw(p.update[p.key].data, shape=p.value.shape[::-1])),
    Fault("shape turned in the header", "shape", lambda p: p.raw(saved(p.value.reshape(p.value.shape[::-1])))),
    Fault("npy version 3", "header", lambda p: p.header(NPY.format(p.value.shape), b"\x03\x00")),
    Fault("long header", "header", lambda p: p.header(NPY.format(p.value.shape) + " " * 5000)),
    Fault("nested header", "header", lambda p: p.header("(" * 4000)),
    Fault("code as header", "header", lambda p: p.header("__import__('os').abort()")),
    Fault("large and infinite", "magnitude", lambda p: p.poke(1e30)),
    Fault("largest float", "magnitude", lambda p: p.poke(float(np.finfo(np.float32).max))),
    Fault(
        "twenty times the size", "too_large", lambda p: p.raw(b"\0" * 20 * sum(len(a.data) for a in p.update.values()))
    ),
    Fault("very long list", "too_large", lambda p: p.report.update({"loss.x": [0.5] * 200_000})),
    Fault("very long name", "too_large", lambda p: p.report.update({"x" * 10**6: 1})),
    Fault("empty update", "key_set", lambda p: p.update.clear()),
    Fault("unknown key", "unknown_component", lambda p: p.update.update({"fusion/extra": p.update[p.key]})),
    Fault("unknown component", "unknown_component", lambda p: p.update.update({"encoder.xray/w": p.update[p.key]})),
    Fault("negative count", "count_range", lambda p: p.report.update({p.count(): -1})),
    Fault("float count", "count_type", lambda p: p.report.update({p.count(): 3.0})),
    Fault("nan count", "count_type", lambda p: p.report.update({p.count(): math.nan})),
    Fault("bool count", "count_type", lambda p: p.report.update({p.count(): True})),
    Fault("list count", "count_type", lambda p: p.report.update({p.count(): [3]})),
    Fault("missing count", "count_type", lambda p: p.report.pop(p.count())),
    Fault("count of a stranger", "count_type", lambda p: p.report.update({"rows.encoder.xray": 1})),
    Fault("infinite count", "count_type", lambda p: p.report.update({p.count(): math.inf})),
    Fault("very large count", "count_above_profile", lambda p: p.report.update({p.count(): 2**70})),
    Fault("no steps", "steps", lambda p: p.report.update(steps=0)),
    Fault("too many steps", "steps", lambda p: p.report.update(steps=10**9)),
    Fault("steps with a fraction", "steps", lambda p: p.report.update(steps=1.0)),
    Fault("missing steps", "steps", lambda p: p.report.pop("steps")),
    Fault("count above profile", "count_above_profile", lambda p: p.report.update({p.count(): 10**6})),
    Fault("later schema", "schema", lambda p: p.stamp.update(schema="fedmce.wire/10")),
    Fault("schema as number", "schema", lambda p: p.stamp.update(schema=1)),
    Fault("wrong schema", "schema", lambda p: p.stamp.update(schema="fedmce.wire/0")),
    Fault("wrong site", "wrong_site", lambda p: p.stamp.update(site="elsewhere")),
    Fault("wrong round", "wrong_round", lambda p: p.stamp.update(round=p.stamp["round"] - 1)),
    Fault("stale base", "stale_base", lambda p: p.stamp.update(base="0" * 32)),
    Fault("wrong configuration", "wrong_config", lambda p: p.stamp.update(config_sha256="0" * 64)),
    Fault("empty stamp", "schema", lambda p: p.stamp.clear()),
    Fault("missing update", "layout", lambda p: p.left_out.add("update")),
    Fault("missing report", "layout", lambda p: p.left_out.add("report")),
    Fault("missing stamp", "layout", lambda p: p.left_out.add("stamp")),
    Fault("extra record", "layout", lambda p: p.extra.update(gift=ConfigRecord({"x": 1}))),
    Fault("record of another kind", "layout", lambda p: p.extra.update(update=MetricRecord({"x": 1}))),
    Fault("two updates", "layout", lambda p: p.extra.update(second=ArrayRecord(p.update))),
    Fault("nothing", "layout", lambda p: p.left_out.update(("update", "report", "stamp"))),
]

CLAIM_FAULTS = [
    Fault("no values", "claim", lambda p: [p.report.pop(k) for k in list(p.report) if k.startswith("value.")]),
    Fault("shorter value column", "claim", lambda p: p.report.update({"value.total": p.report["value.total"][1:]})),
    Fault("value column no list", "claim", lambda p: p.report.update({"value.total": 1.0})),
    Fault("subset left out", "claim", lambda p: p.report.update({k: p.report[k][1:] for k in VALUE_COLUMNS})),
    Fault(
        "subset twice", "claim", lambda p: p.report.update({k: p.report[k] + p.report[k][:1] for k in VALUE_COLUMNS})
    ),
    Fault(
        "pattern that it lacks",
        "claim",
        lambda p: p.report.update({"value.pattern": [2 for _ in p.report["value.pattern"]]}),
    ),
    Fault(
        "codes with fractions",
        "claim",
        lambda p: p.report.update({"value.subset": [c + 0.5 for c in p.report["value.subset"]]}),
    ),
    Fault("negative value sum", "claim", lambda p: first(p, "value.total", -1.0)),
    Fault("more value than rows", "claim", lambda p: first(p, "value.total", 1e3)),
    Fault("nan value sum", "claim", lambda p: first(p, "value.total", math.nan)),
    Fault("infinite squares", "claim", lambda p: first(p, "value.square", math.inf)),
    Fault("no shares", "claim", lambda p: [p.report.pop(k) for k in list(p.report) if k.startswith("share.")]),
    Fault("share of another size", "claim", lambda p: first(p, "share.size", 9)),
    Fault("more share than rows", "claim", lambda p: first(p, "share.total", 1e3)),
    Fault("nan share", "claim", lambda p: first(p, "share.total", math.nan)),
    Fault("infinite share squares", "claim", lambda p: first(p, "share.square", math.inf)),
    Fault("rows of shares beside the profile", "claim", lambda p: first(p, "share.rows", 10**6)),
    Fault("shares without spread", "claim", lambda p: first(p, "share.square", -1.0)),
    Fault("share column of text", "claim", lambda p: p.report.update({"share.total": 1})),
    Fault("rows beside the profile", "claim", lambda p: first(p, "value.rows", 10**6)),
]

METRIC_FAULTS = [
    Fault("negative score sum", "metric", lambda p: first(p, "score.accuracy.total", -1.0)),
    Fault("nan score sum", "metric", lambda p: first(p, "score.accuracy.total", math.nan)),
    Fault("score above its count", "metric", lambda p: first(p, "score.accuracy.total", 1e3)),
    Fault("infinite score count", "metric", lambda p: first(p, "score.accuracy.count", math.inf)),
    Fault("scores of rows it has not", "metric", lambda p: first(p, "score.accuracy.count", 1e6)),
    Fault("score of no subset", "metric", lambda p: first(p, "score.accuracy.subset", 0)),
    Fault("score of an unknown subset", "metric", lambda p: first(p, "score.accuracy.subset", 99)),
    Fault("score without counts", "metric", lambda p: p.report.pop("score.accuracy.count")),
    Fault("shorter score column", "metric", lambda p: p.report.update({"score.accuracy.total": [1.0]})),
    Fault(
        "unknown metric",
        "metric",
        lambda p: p.report.update(
            {f"score.recall:9.{k}": v for k, v in {"subset": [1], "total": [0.0], "count": [1.0]}.items()}
        ),
    ),
    Fault("nan loss", "metric", lambda p: p.report.update({"loss.task": math.nan})),
    Fault("list as loss", "metric", lambda p: p.report.update({"loss.task": [1.0]})),
    Fault("nan seconds", "metric", lambda p: p.report.update(train_s=math.nan)),
    Fault("negative seconds", "metric", lambda p: p.report.update(train_s=-1.0)),
    Fault("endless seconds", "metric", lambda p: p.report.update(train_s=1e308)),
    Fault("a name that was not agreed upon", "metric", lambda p: p.report.update(mood=1.0)),
    Fault("a loss with a line break", "metric", lambda p: p.report.update({"loss.a\nb": 1.0})),
    Fault("too many losses", "metric", lambda p: p.report.update({f"loss.x{n}": 1.0 for n in range(65)})),
]
NPY = "{{'descr': '<f4', 'fortran_order': False, 'shape': {}, }}\n"
VALUE_COLUMNS = [f"value.{name}" for name in ("pattern", "subset", "total", "square", "rows")]


def first(parts: Parts, column: str, number: float) -> None:
    parts.report[column] = [number, *parts.report[column][1:]]
