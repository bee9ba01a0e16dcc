"""Figures G1 and G2, and how often an honest small site is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from fedmce.aggregation import NormHistory
from server.gate import Accepted, Note, Refused, RoundGate, Sent, Verdict
from tests.faults.made_replies import asked, honest, model
from tests.faults.table_2_1 import KINDS, Outcome, outcomes, play, table

SET_ASIDE = {
    1: "nonfinite",
    2: "nonfinite",
    3: "shape",
    4: "shape",
    5: "shape",
    6: "dtype",
    7: "dtype",
    8: "dtype",
    9: "dtype",
    10: "key_set",
    11: "unknown_component",
    12: "unknown_component",
    13: "count_range",
    14: "count_range",
    15: "count_range",
    16: "count_above_profile",
    17: "count_type",
    18: "count_type",
    19: "count_type",
    20: "count_type",
    21: "count_type",
    22: "key_set",
    23: "layout",
    24: "duplicate",
    25: "wrong_round",
    26: "unknown_node",
    27: "site_error",
    28: "magnitude",
    29: "magnitude",
    34: "shape",
    35: "dtype",
    36: "header",
    37: "header",
}
USED = {30: "ordinary", 31: "metric dropped", 32: "metric dropped", 33: "metric dropped", 42: "mean over holders"}
KEPT = {38, 39, 40, 41}


@pytest.mark.parametrize("first", [False, True], ids=["last", "first"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.number} {kind.name}")
def test_U60_no_kind_of_bad_reply_ends_or_poisons_the_round(kind: object, first: bool) -> None:
    found = play(kind, first)  # type: ignore[arg-type]
    number = found.kind.number
    if number in KEPT:
        assert found.what == "model kept"
    elif number in USED:
        assert (found.what, found.reason) == ("used", USED[number])
    else:
        assert (found.what, found.reason) == ("set aside", SET_ASIDE[number])


def test_the_table_counts_what_ends_and_what_poisons() -> None:
    assert len(KINDS) == 42
    assert [kind.number for kind in KINDS] == list(range(1, 43))
    found = outcomes()
    assert "G1, kinds that end the run: 0 of 42" in table(found)
    worse = [*found[:-2], Outcome(KINDS[-2], "END"), Outcome(KINDS[-1], "POISON")]
    assert "G1, kinds that end the run: 1 of 42" in table(worse)
    assert "G2, kinds that poison the model or buy weight: 1 of 42" in table(worse)


# --- honest small sites ---------------------------------------------------------------------------

PARTS = ("encoder.a", "encoder.b", "encoder.rare", "fusion")
ROUNDS, BATCH, EPOCHS = 1000, 16, 2


class Federation:
    """Sites of 10 to 60 rows whose updates are made by numpy: a common direction and the noise of their batches.

    A step of SGD adds the gradient of some rows, whose noise falls with the root of their number; steps grow with rows,
    their size falls along a cosine, sites differ in scale, and one has a bad day now and then. ``rare`` is held by two.
    """

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng(seed)
        self.rows = {f"s{n:02d}": int(self.draw.integers(10, 61)) for n in range(int(self.draw.integers(4, 13)))}
        self.scale = {site: math.exp(0.5 * self.draw.normal()) for site in self.rows}
        sizes = {name: int(self.draw.integers(2, 40)) for name in PARTS}
        self.base = model(sizes)
        self.history = NormHistory()

    def played(self, rounds: int) -> Iterator[dict[str, Verdict]]:
        for number in range(1, rounds + 1):
            sent = [self.asked(site, place, number) for place, site in enumerate(self.rows)]
            judged = RoundGate(sent, refuse_copies=True)
            rate = 0.55 + 0.45 * math.cos(math.pi * number / rounds)
            for one in sent:
                judged.judge(honest(one, int(self.draw.integers(2**32)), self.length(one, rate), steps=self.steps(one)))
            verdicts = judged.verdicts()
            norms = {s: v.norms for s, v in verdicts.items() if isinstance(v, Accepted)}
            fresh = {p: {s: n[p] for s, n in norms.items() if p in n} for p in PARTS}
            self.history = self.history.updated(fresh)
            yield verdicts

    def asked(self, site: str, place: int, number: int) -> Sent:
        held = self.base if place < 2 else {k: v for k, v in self.base.items() if not k.startswith("encoder.rare/")}
        rows = self.rows[site]
        most = EPOCHS * math.ceil(rows / BATCH)
        limits = self.history.refusal_limits()
        return asked(site, place + 2, held, rows, number, most_steps=most, norm_limits=limits)

    def steps(self, sent: Sent) -> int:
        return EPOCHS * math.ceil(self.rows[sent.expected.site] / BATCH)

    def length(self, sent: Sent, rate: float) -> float:
        steps, rows = self.steps(sent), self.rows[sent.expected.site]
        noise = abs(self.draw.normal()) * math.sqrt(steps / min(BATCH, rows))
        bad_day = self.draw.choice([1.0, 3.0], p=[0.98, 0.02])
        return 0.05 * rate * (steps + 4 * noise) * bad_day * self.scale[sent.expected.site]


def counted(verdicts: dict[str, Verdict]) -> tuple[int, int, list[Refused | Note]]:
    """Replies, replies that were refused in whole or in part, and why."""
    why: list[Refused | Note] = []
    for verdict in verdicts.values():
        why += [verdict] if isinstance(verdict, Refused) else verdict.notes
    bad = sum(isinstance(v, Refused) or bool(v.notes) for v in verdicts.values())
    return len(verdicts), bad, why


@pytest.mark.slow
def test_honest_small_sites_are_refused_in_less_than_one_of_a_hundred_cases() -> None:
    """1,000 rounds of 20 federations."""
    replies = refused = 0
    for seed in range(20):
        for verdicts in Federation(seed).played(ROUNDS // 20):
            more, bad, _ = counted(verdicts)
            replies, refused = replies + more, refused + bad
    print(f"{refused} of {replies} honest replies refused in {ROUNDS} rounds")
    assert replies > 5000
    assert refused <= 0.01 * replies


def test_an_honest_small_federation_is_hardly_ever_refused() -> None:
    found = [counted(verdicts) for verdicts in Federation(3).played(30)]
    assert (replies := sum(count for count, _, _ in found)) >= 120
    assert sum(refused for _, refused, _ in found) <= 0.01 * replies
    assert {why.reason for _, _, notes in found for why in notes} <= {"norm"}


def test_the_history_of_norms_is_in_force_in_that_federation() -> None:
    """The count above would be 0 for a gate that has no limit."""
    federation = Federation(3)
    list(federation.played(10))
    assert set(federation.history.refusal_limits()) == set(PARTS)
    sent = federation.asked("s00", 0, 11)
    verdict = RoundGate([sent]).judge(honest(sent, 1, 100.0))[1]
    assert isinstance(verdict, Accepted)
    assert set(verdict.set_aside.values()) == {"norm"}
    assert set(verdict.set_aside) == set(PARTS)
