"""The 42 bad replies of reliability.md 2.1 through the gate and the mean: who ends the run, who poisons it, who is set aside.

``python -m tests.faults.table_2_1`` prints the table, with what the aggregators of flwr 1.41 do to the same replies
(measured there), and the figures G1 and G2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array, Error

from fedmce.aggregation import QualityState
from fedmce.flower_compat import ArrayRecord, Message, array_record
from fedmce.models import component_of
from server.aggregate import aggregate
from server.gate import Accepted, Refused, RoundGate, Sent
from server.insight import Insight
from server.state import GlobalState
from tests.faults import holders
from tests.faults.made_replies import answer, asked, message, records
from tests.server.faults import Trap, saved

SITES = ("s1", "s2", "s3", "s4", "bad")
GOOD, BAD, COUNT = (1.1, 1.2, 1.3, 1.4), 5.0, 10
START = {"fusion/w": np.zeros((2, 3), np.float32), "fusion/b": np.zeros(3, np.float32)}
Reply = dict[str, Any]
Change = Callable[[Reply], Any]


@dataclass(frozen=True)
class Kind:
    """One row of the table.

    Attributes:
        number: of the row.
        name: what is bad.
        stock: what FedAvg of flwr 1.41 does (reliability.md 2.1).
        change: makes the bad reply of the honest one; None where the whole round is special.
    """

    number: int
    name: str
    stock: str
    change: Change | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of it: ``set aside`` with a reason, ``used``, ``model kept``, ``POISON``, ``END``."""

    kind: Kind
    what: str
    reason: str = ""

    @property
    def ends(self) -> bool:
        """An exception left the round."""
        return self.what == "END"

    @property
    def poisons(self) -> bool:
        """The model is not the mean of the good replies, and nobody was told."""
        return self.what == "POISON"


def values(number: float) -> dict[str, np.ndarray[Any, Any]]:
    """The model with one number everywhere."""
    return {key: np.full(value.shape, number, np.float32) for key, value in START.items()}


def put(key: str, value: Any) -> Change:
    """Another array under a key."""
    return lambda reply: reply["update"].__setitem__(key, Array(np.asarray(value)))


def raw(key: str, data: bytes, shape: tuple[int, ...] = (2, 3), stype: str = "numpy.ndarray") -> Change:
    """Other bytes under a key."""
    return lambda reply: reply["update"].__setitem__(key, Array("float32", shape, stype, data))


def count(value: Any) -> Change:
    """Another count, past the checks of Flower's records."""
    return lambda reply: reply["report"].__dict__["_data"].__setitem__("rows.fusion", value)


def metric(name: str, value: Any) -> Change:
    """A metric beside the others."""
    return lambda reply: reply["report"].__dict__["_data"].__setitem__(name, value)


def one(number: float) -> np.ndarray[Any, Any]:
    """The weights with one odd entry."""
    found = np.full((2, 3), BAD, np.float32)
    found[1, 2] = number
    return found


W = "fusion/w"
KINDS = [
    Kind(1, "NaN in one value", "POISON", put(W, one(math.nan))),
    Kind(2, "infinity in one value", "POISON", put(W, one(math.inf))),
    Kind(3, "shape (4, 3)", "END", put(W, np.ones((4, 3), np.float32))),
    Kind(4, "shape (1, 3): broadcasts", "POISON", put(W, np.ones((1, 3), np.float32))),
    Kind(5, "shape (): scalar", "POISON", put(W, np.float32(5))),
    Kind(6, "float64", "ok", put(W, np.full((2, 3), BAD))),
    Kind(7, "int64", "POISON", put(W, np.full((2, 3), 7))),
    Kind(8, "complex64", "END", put(W, np.ones((2, 3), np.complex64))),
    Kind(9, "dtype str", "END", put(W, np.full((2, 3), "x"))),
    Kind(10, "missing key", "END", lambda reply: reply["update"].pop(W)),
    Kind(11, "extra key", "END", put("fusion/extra", np.ones(3, np.float32))),
    Kind(
        12,
        "other key set",
        "END",
        lambda reply: reply.update(update=array_record({f"other/{key}": v for key, v in values(BAD).items()})),
    ),
    Kind(13, "count 0", "ok", count(0)),
    Kind(14, "count -5", "POISON", count(-5)),
    Kind(15, "count so that the sum is 0", "END", count(-4 * COUNT)),
    Kind(16, "count 1e18", "BOUGHT", count(10**18)),
    Kind(17, "count NaN", "POISON", count(math.nan)),
    Kind(18, "count infinite", "POISON", count(math.inf)),
    Kind(19, "count as list", "END", count([COUNT])),
    Kind(20, "count as text", "refused at the client", count("10")),
    Kind(21, "no count", "END", lambda reply: reply["report"].__dict__["_data"].pop("rows.fusion")),
    Kind(22, "empty ArrayRecord", "END", lambda reply: reply.update(update=ArrayRecord())),
    Kind(23, "two ArrayRecords", "END", lambda reply: reply.update(second=reply["update"])),
    Kind(24, "same node twice", "BOUGHT"),
    Kind(25, "reply of an earlier round", "POISON"),
    Kind(26, "node never asked", "POISON"),
    Kind(27, "error reply", "side"),
    Kind(28, "1e30 everywhere", "POISON", put(W, np.full((2, 3), 1e30, np.float32))),
    Kind(29, "3e38", "POISON", put(W, np.full((2, 3), 3e38, np.float32))),
    Kind(30, "-0.0 and subnormal", "counted", put(W, np.float32([[-0.0, 1e-45, 1], [1, 1, 1]]))),
    Kind(31, "metric NaN", "metrics NaN", metric("loss.task", math.nan)),
    Kind(32, "extra metric key", "END", metric("mood", 1.0)),
    Kind(33, "metric list where a number is due", "END", metric("loss.task", [1.0, 2.0])),
    Kind(34, "header says (3, 2), data (2, 3)", "data used", raw(W, saved(values(BAD)[W]), (3, 2))),
    Kind(
        35, "pickled objects", "END", raw(W, saved(np.array([Trap("canary")] * 6, object).reshape(2, 3), pickle=True))
    ),
    Kind(36, "unknown stype", "END", raw(W, saved(values(BAD)[W]), stype="pickle")),
    Kind(37, "truncated bytes", "END", raw(W, saved(values(BAD)[W])[:-5])),
    Kind(38, "no replies, or only errors", "model kept"),
    Kind(39, "all counts 0", "END"),
    Kind(40, "the only reply is NaN", "POISON"),
    Kind(41, "one reply only, two needed", "accepted alone"),
    Kind(42, "sites {a}, {a, b} and {b}", "END"),
]


class Scene:
    """Five sites, four of them good, asked once."""

    def __init__(self, start: dict[str, Any] | None = None, held: dict[str, list[str]] | None = None) -> None:
        self.start = START if start is None else start
        self.sent: dict[str, Sent] = {}
        for number, site in enumerate(SITES):
            mine = {k: v for k, v in self.start.items() if held is None or component_of(k) in held[site]}
            most = {component_of(key): COUNT for key in mine}
            known = frozenset(self.start)
            self.sent[site] = asked(site, number + 2, mine, COUNT, known=known, most_rows=most)
        self.told = holders.config(aggregation__weighting="samples")

    def reply(self, site: str, number: float, change: Change | None = None) -> Message:
        """The site's reply with one number everywhere, changed."""
        sent = self.sent[site]
        update = {key: np.full(value.shape, number, np.float32) for key, value in sent.expected.sent.items()}
        found: Reply = dict(records(sent, update))
        if change is not None:
            change(found)
        return answer(sent, found)

    def good(self) -> list[Message]:
        """The four good replies."""
        return [self.reply(site, number) for site, number in zip(SITES, GOOD, strict=False)]

    def play(self, replies: Iterable[Message]) -> tuple[dict[str, Any], RoundGate]:
        """Judge and average; the model after the round, which is the one before it if the round is void."""
        judged = RoundGate(list(self.sent.values()), refuse_copies=True)
        for reply in replies:
            judged.judge(reply)
        state = GlobalState(0, dict(self.start))
        accepted = {s: v for s, v in sorted(judged.verdicts().items()) if isinstance(v, Accepted)}
        if len(accepted) < 2:
            return state.model, judged
        components = tuple(sorted({component_of(key) for key in self.start}))
        roster = holders.roster(dict.fromkeys(SITES, COUNT), components)
        nothing = Insight({}, {}, {}, {}, {}, QualityState())
        return aggregate(state, accepted, roster, self.told, nothing).state.model, judged


def play(kind: Kind, first: bool = False) -> Outcome:
    """One row: the bad reply after the good ones, or before them."""
    try:
        return _special(kind, first) if kind.change is None else _changed(kind, first)
    except Exception as error:
        return Outcome(kind, "END", type(error).__name__)


def _changed(kind: Kind, first: bool) -> Outcome:
    scene = Scene()
    bad, good = scene.reply("bad", BAD, kind.change), scene.good()
    model, judged = scene.play([bad, *good] if first else [*good, bad])
    verdict = judged.verdicts()["bad"]
    without, _ = scene.play(good)
    if isinstance(verdict, Refused):
        return Outcome(kind, "set aside" if _same(model, without) else "POISON", verdict.reason)
    told = ", ".join(sorted({note.reason for note in verdict.notes}))
    if verdict.set_aside:
        return Outcome(kind, "set aside" if _same(model, without) else "POISON", told)
    dropped = _plain(scene, kind)
    honest, _ = scene.play([*good, dropped])
    return Outcome(kind, "used" if _same(model, honest) else "POISON", f"{told} dropped" if told else "ordinary")


def _plain(scene: Scene, kind: Kind) -> Message:
    """The reply with the same arrays and an untouched report."""
    reply = dict(scene.reply("bad", BAD, kind.change).content)
    plain = dict(scene.reply("bad", BAD).content)
    return answer(scene.sent["bad"], plain | {"update": reply["update"]})


def _special(kind: Kind, first: bool) -> Outcome:
    if kind.number == 42:
        return _holders(kind)
    scene = Scene()
    good = scene.good()
    without, _ = scene.play(good)
    if kind.number in (24, 25, 26, 27):
        bad = _stray(kind.number, scene)
        before = first and kind.number != 24  # which of two is the second is a matter of order
        model, judged = scene.play([bad, *good] if before else [*good, bad])
        reasons = [stray.refused.reason for stray in judged.strays] or [_refused(judged, "bad").reason]
        return Outcome(kind, "set aside" if _same(model, without) else "POISON", reasons[0])
    replies: dict[int, list[Message]] = {
        38: [Message(Error(code=2, reason=""), reply_to=sent.message) for sent in scene.sent.values()],
        39: [scene.reply(site, number, count(0)) for site, number in zip(SITES, GOOD, strict=False)],
        40: [scene.reply("bad", BAD, put(W, one(math.nan)))],
        41: good[:1],
    }
    kept, judged = scene.play(replies[kind.number])
    told = {note.reason for v in judged.verdicts().values() if isinstance(v, Accepted) for note in v.notes}
    said = {38: "site_error", 39: ", ".join(sorted(told)), 40: "nonfinite", 41: "too few replies"}[kind.number]
    return Outcome(kind, "model kept" if _same(kept, scene.start) else "POISON", said)


def _stray(number: int, scene: Scene) -> Message:
    if number == 24:
        return scene.reply("s1", BAD)
    bad = scene.reply("bad", BAD)
    if number == 27:
        return Message(Error(code=2, reason="patient 4711"), reply_to=scene.sent["bad"].message)
    if number == 25:
        return answer(Sent(message(6, 0), scene.sent["bad"].expected), dict(bad.content))
    return answer(Sent(message(99), scene.sent["bad"].expected), dict(bad.content))


def _holders(kind: Kind) -> Outcome:
    """Every component is the mean over those who hold it."""
    start = {f"{name}/w": np.zeros(2, np.float32) for name in ("encoder.a", "encoder.b")}
    held = {"s1": ["encoder.a"], "s2": ["encoder.a", "encoder.b"], "s3": ["encoder.b"], "s4": ["encoder.b"]}
    scene = Scene(start, held | {"bad": ["encoder.a"]})
    model, judged = scene.play(scene.good())
    by_hand = {"encoder.a/w": np.mean(GOOD[:2]), "encoder.b/w": np.mean(GOOD[1:])}
    fits = all(np.allclose(model[key], mean, rtol=1e-7) for key, mean in by_hand.items())
    used = all(isinstance(judged.verdicts()[site], Accepted) for site in SITES[:4])
    return Outcome(kind, "used" if fits and used else "POISON", "mean over holders")


def _refused(judged: RoundGate, site: str) -> Refused:
    verdict = judged.verdicts()[site]
    assert isinstance(verdict, Refused)
    return verdict


def _same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(a[key].tobytes() == b[key].tobytes() for key in a)


def outcomes(first: bool = False) -> list[Outcome]:
    """All rows."""
    return [play(kind, first) for kind in KINDS]


def table(found: list[Outcome]) -> str:
    """Markdown, and the figures G1 and G2 under it."""
    lines = ["| # | bad reply | FedAvg of flwr 1.41 | FedMCE | reason |", "|---|---|---|---|---|"]
    lines += [f"| {o.kind.number} | {o.kind.name} | {o.kind.stock} | {o.what} | {o.reason} |" for o in found]
    ends, poisons = sum(o.ends for o in found), sum(o.poisons for o in found)
    lines += ["", f"G1, kinds that end the run: {ends} of {len(found)} (goal 0; FedAvg 18)"]
    lines += [f"G2, kinds that poison the model or buy weight: {poisons} of {len(found)} (goal 0; FedAvg 15)"]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(outcomes()))
