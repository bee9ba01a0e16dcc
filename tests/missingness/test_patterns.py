"""Mechanisms that deal whole patterns: product, table, mixture."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.config.schema import PatternMixtureConfig, PatternProductConfig, PatternTableConfig
from fedmce.missingness import draw_masks
from fedmce.subsets import pattern_codes
from tests.missingness.views import even, full, hidden_by_site, hide, near, view
from tests.oracles.worlds import Bools, make_dataset, make_site


def codes(hidden: Bools) -> Counter[int]:
    return Counter(pattern_codes(~hidden).tolist())


@given(
    weights=st.lists(st.integers(0, 9), min_size=7, max_size=7).filter(any),
    rows=st.integers(0, 60),
    seed=st.integers(0, 9),
)
def test_a_table_of_counts_that_add_up_is_met_exactly(weights: list[int], rows: int, seed: int) -> None:
    names = {code: "+".join(m for bit, m in enumerate("abc") if code >> bit & 1) for code in range(1, 8)}
    config = PatternTableConfig(patterns={names[code]: float(w) for code, w in zip(range(1, 8), weights, strict=True)})
    hidden, rates = hide(config, view(full(sum(weights)), seed))
    assert codes(hidden) == Counter({code: w for code, w in zip(range(1, 8), weights, strict=True) if w})
    expected = {m: float(hidden[:, column].mean()) for column, m in enumerate("abc")}
    assert rates == pytest.approx(expected)


def test_the_order_in_which_patterns_are_written_changes_nothing() -> None:
    given_order = {"a": 1.0, "b+c": 2.0, "nothing": 1.0}
    first, second = (
        hide(PatternTableConfig(patterns=p), view(full(21)))[0]
        for p in (given_order, dict(reversed(list(given_order.items()))))
    )
    assert np.array_equal(first, second)


def test_rows_that_rounding_leaves_over_draw_their_pattern_by_the_shares() -> None:
    config = PatternTableConfig(patterns={"a": 1, "b": 1, "c": 2}, rounding="floor")
    seen: Counter[int] = Counter()
    for seed in range(300):
        hidden, _ = hide(config, view(full(7), seed))
        found = codes(hidden)
        assert all(found[code] >= least for code, least in ((1, 1), (2, 1), (4, 3)))
        seen += found - Counter({1: 1, 2: 1, 4: 3})
    assert near(seen[4] / seen.total(), 0.5, seen.total())


@given(seed=st.integers(0, 20))
def test_shares_over_all_sites_hold_for_all_rows_together(seed: int) -> None:
    data = make_dataset([make_site(f"s{n}", full(rows)) for n, rows in enumerate((3, 17, 40, 1, 1, 1))])
    config = PatternTableConfig(patterns={"a": 30, "b+c": 22, "a+b+c": 11}, scope="all")
    parts = hidden_by_site(data, config, seed)
    assert codes(np.vstack(list(parts.values()))) == Counter({1: 30, 6: 22, 7: 11})


def test_product_counts_of_passion_are_those_worked_out_by_hand() -> None:
    # 219 cases, rates Flair .6, T1c .4, T1 .2, T2 .8: e.g. all four floor(219 * .4 * .6 * .8 * .2) = floor(8.41) = 8.
    rates = dict(zip("abcd", (0.6, 0.4, 0.2, 0.8), strict=True))
    shown = view(full(219, 4))
    hidden, _ = hide(PatternProductConfig(rates=rates), shown)
    found = codes(hidden)
    by_hand = {15: 8, 1: 5, 2: 12, 4: 33, 8: 2, 5: 22, 6: 50, 3: 8, 7: 33, 9: 1, 10: 3, 12: 8, 13: 5, 14: 12, 11: 2}
    assert {code: number for code, number in found.items() if code} == by_hand
    assert found[0] == 219 - sum(by_hand.values()) == 15
    # Realised in the published file: 90, 135, 184, 43 present, 9 complete, 58 single. The counts lie below by no
    # more than the 15 rows that are drawn until they hold something.
    present = (~hidden).sum(axis=0)
    assert all(have <= there <= have + 15 for have, there in zip(present, (90, 135, 184, 43), strict=True))
    assert 8 <= 9 <= 8 + 15
    assert 52 <= 58 <= 52 + 15
    assert sum(by_hand[1 << m] for m in range(4)) == 52


def test_product_marginals_after_redrawing_are_independent_given_not_empty() -> None:
    rates = {"a": 0.5, "b": 0.8}
    shares = []
    for seed in range(30):
        masks = draw_masks(make_dataset([make_site("x", full(100, 2))]), PatternProductConfig(rates=rates), seed)
        shares.append(masks.sites["x"].available.mean(axis=0))
        assert masks.sites["x"].available.any(axis=1).all()
    # 40 rows hold a alone, 10 b alone, 10 both; the 40 left over hold a with .5/.6 and b with .2/.6.
    expected = np.array([50 + 40 * 0.5 / 0.6, 20 + 40 * 0.2 / 0.6]) / 100
    assert all(near(float(s), float(e), 40 * 30) for s, e in zip(np.mean(shares, axis=0), expected, strict=True))


def test_every_possible_pattern_gets_the_least_rows_while_they_last() -> None:
    config = PatternProductConfig(rates={"a": 0.99, "b": 0.99, "c": 0.01}, least=2)
    hidden, _ = hide(config, view(full(40)))
    assert all(codes(hidden)[code] >= 2 for code in range(1, 8))
    few = codes(hide(config, view(full(3)))[0])
    assert few[4] >= 2  # the most probable is served first
    assert few.total() == 3


def test_an_impossible_pattern_gets_no_rows() -> None:
    hidden, _ = hide(PatternProductConfig(rates={"a": 1.0, "b": 0.5, "c": 0.0}), view(full(50)))
    assert set(codes(hidden)) - {0} == {4, 6}


def test_a_mixture_is_complete_at_its_rate_and_any_other_pattern_alike() -> None:
    rows = 8000
    hidden, rates = hide(PatternMixtureConfig(complete=0.4), view(full(rows)))
    found = codes(hidden)
    assert set(found) == set(range(1, 8))
    assert near(found[7] / rows, 0.4, rows)
    assert all(near(found[code] / rows, 0.1, rows) for code in range(1, 7))
    assert rates == pytest.approx(dict.fromkeys("abc", 0.3))
    assert all(near(hidden[:, c].mean(), 0.3, rows) for c in range(3))


def test_with_one_modality_a_mixture_has_nothing_to_hide() -> None:
    hidden, rates = hide(PatternMixtureConfig(complete=0.1), view(full(20, 1)))
    assert not hidden.any()
    assert rates == {"a": 0.0}


def test_counts_hold_at_every_site_by_default() -> None:
    for hidden in hidden_by_site(even(3, 10), PatternTableConfig(patterns={"a": 3, "b": 7})).values():
        assert codes(hidden) == Counter({1: 3, 2: 7})
