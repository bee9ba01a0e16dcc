"""Replies of real sites, broken or lying, under every rule of aggregation: U53, and the model without the site."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, Error

from client.app import app as client_app
from fedmce.aggregation import saturated
from fedmce.flower_compat import Message, identity
from server.gate import Accepted, Refused
from server.state import GlobalState
from tests.server.faults import CLAIM_FAULTS, FAULTS, Fault, Parts
from tests.server.made import Federation, made_config, made_dataset, open_federation, same_bits, use


def lies_of(replies: dict[str, Message], site: str, sent: Message, fault: Fault) -> dict[str, Message]:
    parts = Parts(replies[site])
    parts.update = {k: Array(a.dtype, a.shape, a.stype, a.data) for k, a in parts.update.items()}  # changed in place
    fault.do(parts)
    return replies | {site: parts.reply_to(sent)}


RULES: dict[str, dict[str, Any]] = {
    "samples": {"aggregation__weighting": "samples"},
    "contribution": {},
    "median": {"aggregation__robust__rule": "median"},
    "trimmed": {"aggregation__robust__rule": "trimmed"},
    "clip_median, bounded": {"aggregation__robust__rule": "clip_median", "aggregation__claims__bounded": True},
}


@pytest.fixture(scope="module", params=RULES)
def ruled(request: pytest.FixtureRequest) -> Iterator[Federation]:
    """A federation per rule, some rounds old, so that norms are known."""
    with pytest.MonkeyPatch.context() as patch, identity(1) as run:
        made = open_federation(made_config(**RULES[request.param]), use(patch, made_dataset()), client_app, run)
        made.commit(made.train_replies(1).values(), 1)
        made.initial = GlobalState(0, made.strategy.state.model, made.strategy.state.quality)
        made.rewind()
        yield made


@pytest.mark.parametrize("place", [0, -1], ids=["first", "last"])
def test_every_bad_reply_leaves_the_model_as_the_round_without_that_site(ruled: Federation, place: int) -> None:
    ruled.rewind()
    replies = ruled.train_replies()
    site = ruled.sites[place]
    sent = ruled.strategy._sent[place].message
    error = Message(Error(code=2, reason=""), reply_to=sent)
    ruled.rewind()
    whole = ruled.commit(replies.values()).model
    ruled.rewind()
    without = ruled.commit((replies | {site: error}).values()).model
    assert not same_bits(whole, without)
    bought = []
    for fault in FAULTS:
        ruled.rewind()
        model = ruled.commit(lies_of(replies, site, sent, fault).values()).model
        assert ruled.strategy.outcome is not None
        assert isinstance(ruled.strategy.outcome.verdicts[site], Refused), fault.name
        if not same_bits(model, without):
            bought.append(fault.name)
    assert bought == []


@pytest.fixture(scope="module")
def bounded() -> Iterator[Federation]:
    """A federation with bounded claims."""
    with pytest.MonkeyPatch.context() as patch, identity(1) as run:
        told = made_config(aggregation__claims__bounded=True)
        yield open_federation(told, use(patch, made_dataset()), client_app, run)


U53 = ("nan value sum", "more value than rows", "infinite squares", "shares without spread", "rows beside the profile")


@pytest.mark.parametrize("name", U53)
def test_U53_a_claim_that_cannot_be_is_dropped_and_the_update_counts_with_the_mean(
    bounded: Federation, name: str
) -> None:
    bounded.rewind()
    replies = bounded.train_replies()
    site, sent = bounded.sites[0], bounded.strategy._sent[0].message
    fault = next(f for f in CLAIM_FAULTS if f.name == name)
    bounded.rewind()
    bounded.commit(lies_of(replies, site, sent, fault).values())
    outcome = bounded.strategy.outcome
    assert outcome is not None
    verdict = outcome.verdicts[site]
    assert isinstance(verdict, Accepted)
    assert verdict.tally is None
    for modality in bounded.strategy.roster.modalities(site):
        used = outcome.claims[modality]
        others = {s: u.used for s, u in used.items() if s != site}
        rows = {s: bounded.strategy.roster.profiles[s].rows_by_modality[modality] for s in others}
        mean = sum(rows[s] * others[s] for s in others) / sum(rows.values())
        assert (used[site].claimed, used[site].source) == (None, "mean")
        assert used[site].used == pytest.approx(mean)
    assert site in outcome.weights["fusion"]


def test_U53_where_every_claim_is_dropped_the_round_counts_by_rows(bounded: Federation) -> None:
    bounded.rewind()
    replies = bounded.train_replies()
    fault = next(f for f in CLAIM_FAULTS if f.name == "nan value sum")
    broken = dict(replies)
    for site, sent in zip(bounded.sites, bounded.strategy._sent, strict=True):
        broken = lies_of(broken, site, sent.message, fault)
    bounded.rewind()
    bounded.commit(broken.values())
    outcome = bounded.strategy.outcome
    assert outcome is not None
    assert not outcome.void
    rows = {s: bounded.strategy.roster.rows_of(s, "encoder.image") for s in outcome.weights["encoder.image"]}
    counted = {s: saturated(n, bounded.strategy.config.aggregation.saturation_rows) for s, n in rows.items()}
    expected = {s: n / sum(counted.values()) for s, n in counted.items()}
    assert outcome.weights["encoder.image"] == pytest.approx(expected)


def perfect(parts: Parts) -> None:
    """Every claim as high as the gate lets it be: with images all rows right, without them none."""
    columns = {name: list(parts.report[f"value.{name}"]) for name in ("subset", "total", "square", "rows")}
    for i, subset in enumerate(columns["subset"]):
        hits = float(columns["rows"][i]) if subset & 1 else 0.0
        columns["total"][i] = columns["square"][i] = hits
    parts.report |= {f"value.{name}": column for name, column in columns.items()}


def test_G11_a_perfect_claim_through_the_gate_buys_no_more_than_the_cap(bounded: Federation) -> None:
    bounded.rewind()
    replies = bounded.train_replies()
    site, sent = "cedar", bounded.strategy._sent[bounded.sites.index("cedar")].message
    bounded.rewind()
    bounded.commit(lies_of(replies, site, sent, Fault("perfect", "", perfect)).values())
    outcome = bounded.strategy.outcome
    assert outcome is not None
    assert isinstance(outcome.verdicts[site], Accepted)
    used = {s: u.used for s, u in outcome.claims["image"].items()}
    assert used[site] <= 1.25 * np.median([v for s, v in used.items() if s != site]) * (1 + 1e-9)


def test_counts_above_the_profile_are_refused_and_buy_nothing(bounded: Federation) -> None:
    bounded.rewind()
    replies = bounded.train_replies()
    site, sent = bounded.sites[0], bounded.strategy._sent[0].message
    count = replies[site].content["report"]["rows.fusion"]
    for lie in (5 * count, 10**9, math.nan):
        fault = Fault("count", "", lambda p, lie=lie: p.report.update({"rows.fusion": lie}))
        bounded.rewind()
        bounded.commit(lies_of(replies, site, sent, fault).values())
        assert bounded.strategy.outcome is not None
        assert isinstance(bounded.strategy.outcome.verdicts[site], Refused)
        assert site not in bounded.strategy.outcome.weights["fusion"]
