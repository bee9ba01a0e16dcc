"""Rows that hold a modality by their place: nested per class, and in bursts over time."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fedmce.config.schema import BurstyConfig, NestedConfig
from fedmce.missingness.ids import in_order
from fedmce.missingness.nested import digits_per_class
from tests.missingness.views import full, hide, near, view


def test_the_digit_table_of_mce_worked_out_by_hand() -> None:
    numbers = [digits_per_class(10 * tenth) for tenth in range(1, 11)]
    assert numbers == [12, 21, 33, 42, 54, 63, 75, 84, 96, 105]
    rates = [round(1 - n / 105, 3) for n in numbers]
    assert rates == [0.886, 0.8, 0.686, 0.6, 0.486, 0.4, 0.286, 0.2, 0.086, 0]
    assert [round(105 / n, 2) for n in numbers] == [8.75, 5.0, 3.18, 2.5, 1.94, 1.67, 1.4, 1.25, 1.09, 1.0]


@pytest.mark.parametrize("order", ["file", "drawn"])
@given(small=st.integers(0, 12), more=st.integers(0, 12), seed=st.integers(0, 20))
@settings(max_examples=25)
def test_a_larger_number_contains_the_smaller(order: str, small: int, more: int, seed: int) -> None:
    shown = view(full(31), seed)
    few, many = (
        ~hide(NestedConfig(modality="b", per_class=n, order=order), shown)[0][:, 1] for n in (small, small + more)
    )
    assert not (few & ~many).any()
    for target in range(3):
        own = shown.targets == target
        assert few[own].sum() == min(small, own.sum())
        assert many[own].sum() == min(small + more, own.sum())


def test_in_file_order_the_first_rows_of_each_class_hold_it() -> None:
    hidden, rates = hide(NestedConfig(modality="b", per_class=2, order="file"), view(full(30)))
    assert np.flatnonzero(~hidden[:, 1]).tolist() == [0, 1, 2, 3, 4, 5]  # classes go 0, 1, 2, 0, 1, 2, ...
    assert not hidden[:, [0, 2]].any()
    assert rates == {"a": 0.0, "b": 0.8, "c": 0.0}


def test_a_share_is_of_each_class_and_rows_without_it_do_not_count() -> None:
    natural = full(60)
    natural[:30, 1] = False
    hidden, _ = hide(NestedConfig(modality="b", share=0.5), view(natural))
    assert not hidden[:30, 1].any()
    assert hidden[30:, 1].sum() == 15


def test_validation_rows_hold_the_share_that_training_rows_hold() -> None:
    splits = ["train"] * 60 + ["validation"] * 30
    config = NestedConfig(modality="b", per_class=5)
    train, _ = hide(config, view(full(90), splits=splits))
    validation, _ = hide(config, view(full(90), splits=splits, split="validation"))
    assert (~train[:, 1]).sum() == 15
    assert (~validation[:, 1]).sum() == 9  # 5 of 20 per class; 2.5 of 10, halves up


def test_a_site_may_have_a_number_of_its_own() -> None:
    hidden, _ = hide(NestedConfig(modality="b", share=0.1, by_site={"x": 7}), view(full(30)))
    assert (~hidden[:, 1]).sum() == 21


def runs(states: list[bool]) -> list[int]:
    return [len(list(group)) for off, group in groupby(states) if off]


@pytest.mark.parametrize(("rate", "length"), [(0.3, 8.0), (0.5, 2.0), (0.8, 20.0), (0.2, 1.0)])
def test_gaps_have_their_mean_length_and_the_sensor_is_off_at_its_rate(rate: float, length: float) -> None:
    rows = 12000
    hidden, rates = hide(BurstyConfig(rate=rate, mean_length=length), view(full(rows, 2)))
    assert rates == {"a": rate, "b": rate}
    for column in range(2):
        states = hidden[:, column].tolist()
        gaps = runs(states)
        # Successive rows are correlated: the variance of the share is that of independent rows times (1 + c) / (1 - c).
        memory = 1 - 1 / length - rate / (1 - rate) / length
        effective = rows * (1 - memory) / (1 + memory)
        assert near(float(np.mean(states)), rate, int(effective))
        assert abs(np.mean(gaps) - length) < 4.5 * max(length, 0.1) / np.sqrt(len(gaps)) + 1e-9
    together = np.mean(hidden[:, 0] & hidden[:, 1])
    assert abs(together - rate**2) < 4.5 * np.sqrt(rate**2 / (rows / (2 * length)))


def test_gaps_of_mean_length_one_never_touch_and_rates_zero_and_one_are_certain() -> None:
    hidden, _ = hide(BurstyConfig(rate=0.4, mean_length=1.0), view(full(500)))
    assert all(max(runs(hidden[:, column].tolist())) == 1 for column in range(3))
    certain, _ = hide(BurstyConfig(rates={"a": 0.0, "b": 1.0}), view(full(200)))
    assert not certain[:, 0].any()
    assert certain[:, 1].all()


def test_a_rate_that_gaps_of_this_length_cannot_reach_is_refused() -> None:
    with pytest.raises(ValidationError, match="use a longer mean_length"):
        BurstyConfig(rate=0.8, mean_length=3.0)
    BurstyConfig(rate=0.75, mean_length=3.0)


def test_time_goes_by_the_numbers_in_sample_ids() -> None:
    ids = ["w10", "w9", "w100", "v2", "10", "9", "w9b"]
    assert [ids[row] for row in in_order(ids)] == ["v2", "w9", "w9b", "w10", "w100", "9", "10"]
