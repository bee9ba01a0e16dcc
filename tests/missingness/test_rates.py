"""How many rows are hidden, and at which sites."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.config.describe import members
from fedmce.config.schema import ImbalancedConfig, RunConfig, SitewiseConfig
from fedmce.missingness import MECHANISMS, SiteView, draw_masks, mechanism
from fedmce.missingness.counts import hide_by_rates
from fedmce.missingness.empty import restore_empty
from fedmce.missingness.sitewise import site_rates
from tests.oracles.worlds import Bools, make_dataset, make_site, patterns

ORDER = ("north", "south", "east", "west")


def view(available: Bools, site: str = "north", seed: int = 0) -> SiteView:
    ids = tuple(f"row{i}" for i in range(len(available)))
    return SiteView(site, ORDER, ("a", "b", "c")[: available.shape[1]], ids, available, seed)


def everything(rows: int, modalities: int = 3) -> Bools:
    return np.ones((rows, modalities), dtype=bool)


@given(available=patterns(3, max_rows=15), rates=st.tuples(*[st.floats(0, 1)] * 3), seed=st.integers(0, 99))
def test_an_exact_draw_hides_the_rounded_share_of_the_rows_that_hold_it(
    available: Bools, rates: tuple[float, float, float], seed: int
) -> None:
    hidden = hide_by_rates(view(available, seed=seed), dict(zip("abc", rates, strict=True)), "exact")
    assert not (hidden & ~available).any()
    for column, rate in enumerate(rates):
        held = int(available[:, column].sum())
        assert hidden[:, column].sum() == int(np.floor(rate * held + 0.5))


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.8])
def test_independent_draws_hide_at_their_rate_within_four_standard_errors(rate: float) -> None:
    rows = 6000
    hidden = hide_by_rates(view(everything(rows)), dict.fromkeys("abc", rate), "independent")
    error = np.sqrt(rate * (1 - rate) / rows)
    assert np.abs(hidden.mean(axis=0) - rate).max() < 4 * error
    together = hidden[:, 0] & hidden[:, 1]
    assert abs(together.mean() - rate**2) < 4 * np.sqrt(rate**2 * (1 - rate**2) / rows)


@pytest.mark.parametrize("draw", ["exact", "independent"])
def test_rate_zero_hides_nothing_and_rate_one_everything(draw: str) -> None:
    hidden = hide_by_rates(view(everything(50)), {"a": 0.0, "b": 1.0}, draw)
    assert not hidden[:, [0, 2]].any()
    assert hidden[:, 1].all()


@given(available=patterns(3, max_rows=15), rates=st.tuples(*[st.sampled_from([0.0, 0.4, 1.0])] * 3))
def test_only_empty_rows_get_something_back_and_only_one_thing(
    available: Bools, rates: tuple[float, float, float]
) -> None:
    asked = dict(zip("abc", rates, strict=True))
    shown = view(available)
    hidden = hide_by_rates(shown, asked, "exact")
    after = restore_empty(shown, hidden, asked)
    back = hidden & ~after
    assert not (after & ~hidden).any()
    empty = ~(available & ~hidden).any(axis=1)
    assert np.array_equal(back.sum(axis=1), empty.astype(int))


@given(available=patterns(3, max_rows=15), seed=st.integers(0, 99))
def test_what_the_site_lacks_comes_back_only_where_a_row_held_nothing_else(available: Bools, seed: int) -> None:
    rates = {"a": 0.9, "b": 1.0, "c": 0.9}
    shown = view(available, seed=seed)
    after = restore_empty(shown, hide_by_rates(shown, rates, "exact"), rates)
    back = available[:, 1] & ~after[:, 1]
    assert not available[back][:, [0, 2]].any()


def test_a_row_gets_back_a_modality_in_proportion_to_what_the_site_keeps_of_it() -> None:
    rows = 8000
    shown, rates = view(everything(rows, 2)), {"a": 0.9, "b": 0.6}
    back = ~restore_empty(shown, everything(rows, 2), rates)
    share = 0.1 / (0.1 + 0.4)
    assert abs(back[:, 0].mean() - share) < 4 * np.sqrt(share * (1 - share) / rows)


@given(seed=st.integers(0, 99))
def test_rates_of_a_site_lie_in_their_range_and_the_first_site_is_reversed(seed: int) -> None:
    config = SitewiseConfig(rates={"a": (0.1, 0.2), "b": 0.5, "c": (0.8, 0.9)}, reversed_sites=1)
    for site in ORDER:
        found = site_rates(config, view(everything(1), site, seed))
        low, high = ("c", "a") if site == "north" else ("a", "c")
        assert 0.1 <= found[low] <= 0.2
        assert 0.8 <= found[high] <= 0.9
        assert found["b"] == 0.5


def rates_at(site: str, **given_keys: Any) -> dict[str, float]:
    config = SitewiseConfig(rates={"a": 0.1, "b": 0.2, "c": 0.3}, **given_keys)
    return site_rates(config, view(everything(1), site))


def test_sites_are_reversed_by_count_or_by_name() -> None:
    plain, turned = {"a": 0.1, "b": 0.2, "c": 0.3}, {"a": 0.3, "b": 0.2, "c": 0.1}
    assert [rates_at(s, reversed_sites=2) for s in ORDER] == [turned, turned, plain, plain]
    assert [rates_at(s, reversed_sites=("east",)) for s in ORDER] == [plain, plain, turned, plain]
    assert [rates_at(s, reversed_sites=0) for s in ORDER] == [plain] * 4


def test_holders_leave_a_modality_to_so_many_sites_or_to_the_named_ones() -> None:
    assert [rates_at(s, reversed_sites=0, holders={"b": 1})["b"] for s in ORDER] == [0.2, 1.0, 1.0, 1.0]
    assert [rates_at(s, reversed_sites=0, holders={"b": ("west",)})["b"] for s in ORDER] == [1.0, 1.0, 1.0, 0.2]


def test_holders_win_over_reversal_and_the_table_over_all() -> None:
    both = rates_at("north", reversed_sites=1, holders={"a": ("west",)})
    assert both == {"a": 1.0, "b": 0.2, "c": 0.1}
    table = {"north": {"a": 0.05}, "south": {"c": 0.6}}
    assert rates_at("north", reversed_sites=1, holders={"a": ("west",)}, table=table) == both | {"a": 0.05}
    assert rates_at("west", reversed_sites=0, table=table) == {"a": 0.1, "b": 0.2, "c": 0.3}


def test_a_site_of_rate_one_lacks_the_modality_in_training_and_validation() -> None:
    splits = ["train"] * 30 + ["validation"] * 10 + ["test"] * 10
    data = make_dataset([make_site(n, everything(50), splits) for n in ("x", "y")])
    rule = SitewiseConfig(rates={"a": 0.2, "b": 0.2, "c": 0.9}, reversed_sites=0, holders={"b": ("y",)})
    masks = draw_masks(data, rule, 0)
    assert not masks.sites["x"].available[:40, 1].any()
    assert masks.sites["x"].available[40:, 1].all()
    assert masks.sites["y"].available[:40, 1].any()
    assert masks.rates["x"] == {"a": 0.2, "b": 1.0, "c": 0.9}


def test_exact_counts_hold_at_every_site_where_no_row_runs_empty() -> None:
    data = make_dataset([make_site(n, everything(25)) for n in "xy"])
    for mask in draw_masks(data, ImbalancedConfig(rates={"a": 0.5, "b": 0.1}), 3).sites.values():
        assert (~mask.available).sum(axis=0).tolist() == [13, 3, 0]


def test_every_mechanism_of_the_schema_is_registered_and_no_other() -> None:
    assert set(MECHANISMS) == set(members(RunConfig.model_fields["missingness"].annotation))
    with pytest.raises(ValueError, match="'natural' is registered twice"):
        mechanism("natural")(MECHANISMS["natural"])


def test_permuted_rates_go_through_every_permutation_seed_by_seed() -> None:
    config, full = ImbalancedConfig(rates={"a": 0.2, "b": 0.5, "c": 0.8}, permuted=True), everything(20)
    dealt = [tuple(MECHANISMS["imbalanced"](config, view(full, seed=seed))[1].values()) for seed in range(7)]
    assert dealt[0] == dealt[6] == (0.2, 0.5, 0.8)
    assert {tuple(sorted(rates)) for rates in dealt} == {(0.2, 0.5, 0.8)}
    assert len(set(dealt)) == 6
    hidden, _ = MECHANISMS["imbalanced"](config, view(full, seed=5))
    assert hidden.sum(axis=0).tolist() == [16, 10, 4]
