"""Availability by the round."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.config.schema import NaturalConfig
from fedmce.missingness import away_modalities
from tests.missingness.views import near


@given(
    held=st.lists(st.sampled_from("abcdef"), unique=True),
    share=st.floats(0, 1),
    number=st.integers(0, 30),
    seed=st.integers(0, 9),
)
def test_a_site_always_keeps_one_and_loses_only_what_it_holds(
    held: list[str], share: float, number: int, seed: int
) -> None:
    away = away_modalities(NaturalConfig(away=share), seed, "x", number, held)
    assert set(away) <= set(held)
    assert len(away) < len(held) or not held
    assert list(away) == [name for name in held if name in away]
    turned = away_modalities(NaturalConfig(away=share), seed, "x", number, held[::-1])
    assert set(turned) == set(away)


def test_nothing_is_away_unless_asked_for() -> None:
    assert all(away_modalities(NaturalConfig(), 0, "x", number, ("a", "b")) == () for number in range(50))
    assert away_modalities(NaturalConfig(away=1.0), 0, "x", 3, ("a",)) == ()


def test_each_modality_is_away_at_the_rate_in_every_round_anew() -> None:
    config, rounds = NaturalConfig(away=0.3), 3000
    away = np.array([[m in away_modalities(config, 0, "x", n, "abcd") for m in "abcd"] for n in range(rounds)])
    expected = 0.3 - 0.3**4 / 4  # all four away: one of them, any alike, stays
    assert all(near(float(away[:, c].mean()), expected, rounds) for c in range(4))
    repeats = (away[1:, 0] & away[:-1, 0]).mean()
    assert near(float(repeats), expected**2, rounds, 6)


def test_where_everything_is_away_one_stays_any_alike() -> None:
    away = [away_modalities(NaturalConfig(away=1.0), 0, "x", n, "abc") for n in range(1500)]
    assert {len(names) for names in away} == {2}
    stays = Counter(next(m for m in "abc" if m not in names) for names in away)
    assert all(near(stays[m] / 1500, 1 / 3, 1500) for m in "abc")


@pytest.mark.parametrize(("seed", "site", "number"), [(1, "x", 0), (0, "y", 0), (0, "x", 1)])
def test_seed_site_and_round_each_move_the_draw(seed: int, site: str, number: int) -> None:
    config, names = NaturalConfig(away=0.5), [f"m{n}" for n in range(40)]
    assert away_modalities(config, seed, site, number, names) != away_modalities(config, 0, "x", 0, names)
    assert away_modalities(config, 0, "x", 0, names) == away_modalities(config, 0, "x", 0, names)


def test_what_else_a_site_holds_does_not_move_a_modality() -> None:
    config = NaturalConfig(away=0.4)
    for number in range(60):
        whole = away_modalities(config, 0, "x", number, "abcdefgh")
        part = away_modalities(config, 0, "x", number, "abcdefg")
        if len(part) < 6:
            assert set(part) == set(whole) - {"h"}
