"""Claims and counts that lie: what they buy of a component, in per cent (U52, G11)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from fedmce.contributions import ShareTable, Tally, ValueTable
from server.aggregate import aggregate
from server.insight import read_contributions
from server.state import GlobalState
from tests.faults import holders
from tests.faults.holders import config, names, round_of, shares

HOLDERS = (2, 3, 5, 10, 20)
BOUNDED = {"aggregation__claims__bounded": True}
BOUGHT = {  # per cent for 2, 3, 5, 10 and 20 equal holders
    "no defence": ({}, (91, 83, 71, 53, 34)),
    "clip 2 x": (BOUNDED | {"aggregation__claims__cap_self": 2.0, "aggregation__claims__share_slack": 1.0,
                            "aggregation__claims__share_most": 1.0}, (67, 50, 33, 18, 10)),
    "clip 1.25 x": (BOUNDED | {"aggregation__claims__share_slack": 1.0, "aggregation__claims__share_most": 1.0},
                    (56, 38, 24, 12, 6)),
    "share cap alone": (BOUNDED | {"aggregation__claims__cap_self": 1e9}, (65, 48, 35, 25, 20)),
    "clip 2 x + share cap": (BOUNDED | {"aggregation__claims__cap_self": 2.0}, (65, 48, 33, 18, 10)),
    "as shipped": (BOUNDED, (56, 38, 24, 12, 6)),
}  # fmt: skip


def claims(count: int) -> dict[str, float]:
    """The first site claims ten times as much as the others."""
    return {site: 1.0 if i == 0 else 0.1 for i, site in enumerate(names(count))}


@pytest.mark.parametrize("defence", BOUGHT)
def test_what_a_claim_of_ten_times_as_much_buys(defence: str) -> None:
    changes, expected = BOUGHT[defence]
    told = config(**changes)
    found = [shares(count, told, claims=claims(count)) for count in HOLDERS]
    assert found == pytest.approx(list(expected), abs=0.6)


def test_G11_a_liar_among_three_equal_holders_gets_at_most_48_per_cent_and_38_as_shipped() -> None:
    assert shares(3, config(**BOUNDED, aggregation__claims__cap_self=2.0), claims=claims(3)) <= 48.4
    assert shares(3, config(**BOUNDED), claims=claims(3)) <= 38.5
    for lie in (1.0, 1e9, 1e300):
        assert shares(3, config(**BOUNDED), claims=claims(3) | {"s00": lie}) <= 38.5


@pytest.mark.parametrize(("count", "share"), list(zip(HOLDERS, (65, 48, 35, 25, 20), strict=True)))
def test_G11_counts_five_times_the_others_within_the_profile_meet_the_share_cap(count: int, share: float) -> None:
    """The others trained on a fifth of their rows, the liar says that it trained on all: its profile allows that."""
    rows = {site: 200 if i == 0 else 40 for i, site in enumerate(names(count))}
    found = shares(count, config(**BOUNDED), rows=rows, profiles=200)
    assert found <= share + 0.5
    assert found == pytest.approx(min(share, 500 / (4 + count)), abs=0.5)
    both = config(**BOUNDED, aggregation__claims__cap_self=2.0)
    assert shares(count, both, rows=rows, profiles=200, claims=claims(count)) <= share + 0.5


@pytest.mark.parametrize("lie", [5 * 40, 10**9])
@pytest.mark.parametrize("count", HOLDERS)
def test_a_lie_in_the_profile_itself_buys_up_to_the_largest_share_unless_rows_are_limited(count: int, lie: int) -> None:
    """What no server can check without knowing the site: it is held by share_most, and by max_rows where one is set."""
    rows = {site: lie if i == 0 else 40 for i, site in enumerate(names(count))}
    found = shares(count, config(**BOUNDED), rows=rows, profiles=rows)
    assert found == pytest.approx(min(65.0, 100 * lie / (lie + 40 * (count - 1))), abs=0.5)
    limited = config(**BOUNDED, aggregation__claims__max_rows=40)
    assert shares(count, limited, rows=rows, profiles=rows) == pytest.approx(100 / count)


def test_what_was_cut_stands_in_the_round_with_its_source() -> None:
    step = round_of(
        {s: np.ones(2) for s in names(3)}, config(**BOUNDED, aggregation__claims__cap_self=4.0), claims=claims(3)
    )
    used = step.claims["a"]
    assert (used["s00"].claimed, used["s00"].used, used["s00"].source) == (1.0, pytest.approx(0.4), "received")
    assert used["s01"].used == used["s01"].claimed == 0.1
    assert step.robust["encoder.a"]["capped"] == {"s00": pytest.approx(2 / 3)}
    free = round_of({s: np.ones(2) for s in names(3)}, config(), claims=claims(3))
    assert {u.used for u in free.claims["a"].values()} == {1.0, 0.1}
    assert free.robust == {}
    assert round_of({s: np.ones(2) for s in names(3)}, config(aggregation__weighting="samples")).claims == {}


@lru_cache
def tally_of(alone: int, other: int, both: int, rows: int = 12, spread: float = 0.0) -> Tally:
    """Hits of ``rows`` rows that hold a and b: from a, from b, from both; ``spread`` is the variance of a row."""
    totals = {1: alone, 2: other, 3: both}
    cells = {(3, subset): [float(hits), float(hits), float(rows)] for subset, hits in totals.items()}
    shapley = {0: (alone + both - other) / 2, 1: (other + both - alone) / 2}
    shares_of = {(bit, 2): [total, total**2 / rows + rows * spread, float(rows)] for bit, total in shapley.items()}
    return Tally(ShareTable("shapley", shares_of), ValueTable(2, cells))


@pytest.mark.parametrize("count", [2, 3, 5, 10])
@pytest.mark.parametrize("belief", ["between", "bound"])
def test_U52_a_perfect_claim_without_spread_from_twelve_rows_is_shrunk_and_clipped(count: int, belief: str) -> None:
    told = config(**BOUNDED, aggregation__belief=belief, aggregation__clip_high=1e9)
    free = config(aggregation__belief=belief, aggregation__clip_high=1e9, aggregation__shrink_rows=0.0)
    held = holders.roster(dict.fromkeys(names(count), 12))
    tallies = {s: tally_of(12, 6, 12) if s == "s00" else tally_of(7, 7, 8) for s in names(count)}
    doubted = read_contributions(tallies, held, told.aggregation, GlobalState(0, {}).quality)
    believed = read_contributions(tallies, held, free.aggregation, GlobalState(0, {}).quality)
    assert doubted.quality["s00"]["a"] <= believed.quality["s00"]["a"]
    replies = {s: holders.accepted(holders.zeros(), 12) for s in names(count)}
    step = aggregate(GlobalState(0, holders.zeros()), replies, held, told, doubted)
    most = {2: 55.6, 3: 38.5, 5: 23.9, 10: 12.2}[count]
    assert 100 * step.weights["encoder.a"]["s00"] <= most + 0.1


def test_U52_what_a_site_says_of_its_own_spread_changes_nothing_where_claims_are_bounded() -> None:
    held = holders.roster(dict.fromkeys(names(4), 12))
    found = {}
    for spread in (0.0, 0.2):
        tallies = {s: tally_of(12, 6, 12, spread=spread) if s == "s00" else tally_of(7, 7, 8) for s in names(4)}
        for told in (config(**BOUNDED), config()):
            bounds = told.aggregation.model_copy(update={"clip_high": 1e9, "smoothing": 0.0})
            insight = read_contributions(tallies, held, bounds, GlobalState(0, {}).quality)
            found[spread, told.aggregation.claims.bounded] = insight.quality
    assert found[0.0, True] == found[0.2, True]
    assert found[0.0, False] != found[0.2, False]


@pytest.mark.parametrize(("source", "cap"), [("received", 1.25), ("heldout", 1.25), ("server", 2.0)])
def test_rows_held_out_are_the_site_s_own_word_too_and_only_the_server_s_have_the_wider_cap(
    source: str, cap: float
) -> None:
    step = round_of(
        {s: np.ones(2) for s in names(5)}, config(**BOUNDED, contributions__source=source), claims=claims(5)
    )
    assert step.claims["a"]["s00"].used == pytest.approx(cap * 0.1)
    assert step.claims["a"]["s00"].source == source


def test_a_claim_of_earlier_rounds_stands_for_a_site_whose_new_one_was_dropped() -> None:
    """Else sending rubbish would be a way from a low claim to the mean."""
    told = config(**BOUNDED)
    held = holders.roster(dict.fromkeys(names(3), 40))
    earlier = holders.insight({"s00": 0.5, "s01": 1.0, "s02": 1.0})
    by_site = {site: said for site, said in earlier.by_site.items() if site != "s00"}
    replies = {s: holders.accepted(holders.zeros(), 40) for s in names(3)}
    step = aggregate(GlobalState(0, holders.zeros()), replies, held, told, replace(earlier, by_site=by_site))
    used = step.claims["a"]["s00"]
    assert (used.claimed, used.used, used.source) == (0.5, 0.5, "earlier")
