"""Every broken reply is set aside by name, and the model is what it would be without that site."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, Error

from fedmce.flower_compat import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from fedmce.models import component_of, modality_of
from server.gate import Accepted, Refused
from tests.server.made import Federation, same_bits

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
    Fault("other serialisation", "dtype", lambda p: setattr(p.update[p.key], "stype", "pickle")),
    Fault("bytes cut off", "internal", lambda p: setattr(p.update[p.key], "data", p.update[p.key].data[:-3])),
    Fault("no bytes", "internal", lambda p: setattr(p.update[p.key], "data", b"")),
    Fault("missing key", "key_set", lambda p: p.update.pop(p.key)),
    Fault("missing component", "key_set", lambda p: [p.update.pop(k) for k in list(p.update) if k.startswith(KEY)]),
    Fault("empty update", "key_set", lambda p: p.update.clear()),
    Fault("unknown key", "unknown_component", lambda p: p.update.update({"fusion/extra": p.update[p.key]})),
    Fault("unknown component", "unknown_component", lambda p: p.update.update({"encoder.xray/w": p.update[p.key]})),
    Fault("negative count", "count", lambda p: p.report.update({p.count(): -1})),
    Fault("float count", "count", lambda p: p.report.update({p.count(): 3.0})),
    Fault("nan count", "count", lambda p: p.report.update({p.count(): math.nan})),
    Fault("bool count", "count", lambda p: p.report.update({p.count(): True})),
    Fault("list count", "count", lambda p: p.report.update({p.count(): [3]})),
    Fault("missing count", "count", lambda p: p.report.pop(p.count())),
    Fault("count of a stranger", "count", lambda p: p.report.update({"rows.encoder.xray": 1})),
    Fault("count above profile", "count_above_profile", lambda p: p.report.update({p.count(): 10**6})),
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
    Fault("rows beside the profile", "claim", lambda p: first(p, "value.rows", 10**6)),
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
]
VALUE_COLUMNS = [f"value.{name}" for name in ("pattern", "subset", "total", "square", "rows")]


def first(parts: Parts, column: str, number: float) -> None:
    parts.report[column] = [number, *parts.report[column][1:]]


@pytest.fixture(scope="module")
def honest(federation: Federation) -> dict[str, Message]:
    """The sites' own replies to round 1, and what they were sent."""
    return federation.train_replies()


@pytest.fixture(scope="module")
def without(federation: Federation, honest: dict[str, Message]) -> dict[str, dict[str, Any]]:
    """The committed model where one site answered with an error, per site."""
    found = {}
    for site, sent in zip(federation.sites, federation.strategy._sent, strict=True):
        error = Message(Error(code=2, reason="the disk is full"), reply_to=sent.message)
        federation.rewind()
        found[site] = federation.commit((honest | {site: error}).values()).model
        verdict = federation.strategy.outcome.verdicts[site]
        assert verdict == Refused("site_error", "code 2: the disk is full")
    return found


def reply_of(federation: Federation, honest: dict[str, Message], site: str, fault: Fault) -> Message:
    parts = Parts(honest[site])
    parts.update = {k: Array(a.dtype, a.shape, a.stype, a.data) for k, a in parts.update.items()}
    fault.do(parts)
    return parts.reply_to(federation.strategy._sent[federation.sites.index(site)].message)


def test_honest_replies_are_all_accepted(federation: Federation, honest: dict[str, Message]) -> None:
    federation.rewind()
    rebuilt = {site: reply_of(federation, honest, site, Fault("", "", lambda p: None)) for site in honest}
    model = federation.commit(rebuilt.values()).model
    assert all(isinstance(v, Accepted) for v in federation.strategy.outcome.verdicts.values())
    federation.rewind()
    assert same_bits(model, federation.commit(honest.values()).model)


@pytest.mark.parametrize("position", ["first", "middle", "last"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_broken_reply_is_set_aside_by_name_as_if_the_site_had_not_answered(
    federation: Federation, honest: dict[str, Message], without: dict[str, Any], fault: Fault, position: str
) -> None:
    site = federation.sites[{"first": 0, "middle": 1, "last": -1}[position]]
    federation.rewind()
    state = federation.commit((honest | {site: reply_of(federation, honest, site, fault)}).values())
    verdict = federation.strategy.outcome.verdicts[site]
    assert isinstance(verdict, Refused), verdict
    assert verdict.reason == fault.reason, verdict
    assert state.round == 1
    assert same_bits(state.model, without[site])
    others = set(federation.sites) - {site}
    assert all(isinstance(federation.strategy.outcome.verdicts[name], Accepted) for name in others)


def test_leaving_one_site_out_changes_the_model(
    federation: Federation, honest: dict[str, Message], without: dict[str, Any]
) -> None:
    federation.rewind()
    whole = federation.commit(honest.values()).model
    models = [whole, *without.values()]
    assert not any(same_bits(a, b) for i, a in enumerate(models) for b in models[:i])


@pytest.mark.parametrize("change", [{"round": True}, {"round": 1.0}], ids=["true is not round 1", "1.0 is not round 1"])
def test_a_stamp_is_compared_with_its_type(
    federation: Federation, honest: dict[str, Message], change: dict[str, Any]
) -> None:
    federation.rewind()
    reply = reply_of(federation, honest, "ash", Fault("", "", lambda p: p.stamp.update(change)))
    federation.commit((honest | {"ash": reply}).values())
    verdict = federation.strategy.outcome.verdicts["ash"]
    assert isinstance(verdict, Refused)
    assert verdict.reason == "wrong_round"


@pytest.mark.parametrize(("site", "modality"), [("birch", "sound"), ("dale", "image")])
def test_a_component_that_was_not_granted_is_refused(
    federation: Federation, honest: dict[str, Message], without: dict[str, Any], site: str, modality: str
) -> None:
    def add_foreign(parts: Parts) -> None:
        key = next(k for k in sorted(federation.initial.model) if k.startswith(f"head.{modality}/"))
        parts.update[key] = Array(federation.initial.model[key])

    federation.rewind()
    reply = reply_of(federation, honest, site, Fault("", "", add_foreign))
    state = federation.commit((honest | {site: reply}).values())
    assert federation.strategy.outcome.verdicts[site] == Refused(
        "not_granted", f"head.{modality} was not given to this site"
    )
    assert same_bits(state.model, without[site])


@pytest.mark.parametrize("site", ["ash", "birch", "cedar", "dale"])
def test_no_reply_is_late_and_changes_nothing_else(
    federation: Federation, honest: dict[str, Message], without: dict[str, Any], site: str
) -> None:
    federation.rewind()
    state = federation.commit([reply for name, reply in honest.items() if name != site])
    assert federation.strategy.outcome.verdicts[site].reason == "late"
    assert same_bits(state.model, without[site])


def test_a_void_round_counts_and_leaves_the_model(federation: Federation, honest: dict[str, Message]) -> None:
    federation.rewind()
    state = federation.commit([])
    assert federation.strategy.outcome.void
    assert state.round == 1
    assert same_bits(state.model, federation.initial.model)
    assert state.quality == federation.initial.quality


def test_fewer_accepted_replies_than_asked_for_make_a_void_round(
    federation: Federation, honest: dict[str, Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = federation.strategy.config
    stricter = config.model_copy(update={"aggregation": config.aggregation.model_copy(update={"accept_min": 4})})
    monkeypatch.setattr(federation.strategy, "config", stricter)
    federation.rewind()
    assert not same_bits(federation.commit(honest.values()).model, federation.initial.model)
    federation.rewind()
    state = federation.commit(list(honest.values())[:3])
    assert federation.strategy.outcome.void
    assert state.round == 1
    assert same_bits(state.model, federation.initial.model)


def test_after_a_round_with_broken_replies_the_next_one_goes_on(federation: Federation) -> None:
    federation.rewind()
    for number, fault in enumerate(FAULTS[:8], start=1):
        replies = federation.train_replies(number)
        site = federation.sites[number % 4]
        replies[site] = reply_of(federation, replies, site, fault)
        before = federation.strategy.state.model
        state = federation.commit(replies.values(), number)
        assert [s for s, v in federation.strategy.outcome.verdicts.items() if isinstance(v, Refused)] == [site]
        assert state.round == number
        assert not same_bits(state.model, before)


def test_the_components_of_a_reply_are_those_that_the_site_holds(honest: dict[str, Message]) -> None:
    for site, lacks in {"birch": "sound", "dale": "image"}.items():
        modalities = {modality_of(component_of(key)) for key in honest[site].content["update"]}
        assert lacks not in modalities
        assert len(modalities) == 3  # fusion's None among them
