"""Laws 10 and 11: indices of one game, against other formulas, by hand and against shapiq."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.contributions import banzhaf, interactions, leave_one_out, shapley
from fedmce.contributions.exact import INDICES, empty_weight, index_matrix
from tests.oracles.games import code_of, interactions_by_dividends, players_of, shapley_by_orders

VALUES = st.floats(-5, 5, allow_nan=False)


@st.composite
def games(draw: st.DrawFn, most: int = 4) -> tuple[dict[int, float], int]:
    """A random game over a random pattern of up to ``most`` of six players."""
    pattern = code_of(sorted(draw(st.sets(st.integers(0, 5), min_size=1, max_size=most))))
    return {code: draw(VALUES) for code in range(pattern + 1) if code & ~pattern == 0}, pattern


@given(games())
def test_shapley_is_the_mean_marginal_over_all_orders(one: tuple[dict[int, float], int]) -> None:
    assert shapley(*one) == pytest.approx(shapley_by_orders(*one), abs=1e-10)


@given(games())
def test_interactions_are_shared_out_dividends(one: tuple[dict[int, float], int]) -> None:
    assert interactions(*one) == pytest.approx(interactions_by_dividends(*one), abs=1e-10)


@given(games())
def test_efficiency_values_add_up_to_what_all_win_over_nothing(one: tuple[dict[int, float], int]) -> None:
    game, pattern = one
    assert sum(shapley(game, pattern).values()) == pytest.approx(game[pattern] - game[0], abs=1e-10)


def swapped(code: int, a: int, b: int) -> int:
    bits = {player: bool(code >> player & 1) for player in range(6)}
    bits[a], bits[b] = bits[b], bits[a]
    return code_of([player for player, present in bits.items() if present])


@given(games())
def test_symmetry_swapping_two_players_swaps_their_values(one: tuple[dict[int, float], int]) -> None:
    game, pattern = one
    a, b = players_of(pattern)[0], players_of(pattern)[-1]
    first = shapley(game, pattern)
    second = shapley({swapped(code, a, b): value for code, value in game.items()}, pattern)
    assert second[a] == pytest.approx(first[b], abs=1e-12)
    assert second[b] == pytest.approx(first[a], abs=1e-12)


@given(games())
def test_a_player_that_changes_nothing_gets_exactly_nothing(one: tuple[dict[int, float], int]) -> None:
    game, pattern = one
    null = players_of(pattern)[0]
    ignored = {code: game[code & ~(1 << null)] for code in game}
    assert shapley(ignored, pattern)[null] == 0.0
    assert all(abs(value) < 1e-12 for pair, value in interactions(ignored, pattern).items() if null in pair)


@given(games(), VALUES, st.integers(0, 999))
def test_values_are_linear_in_the_game(one: tuple[dict[int, float], int], factor: float, seed: int) -> None:
    game, pattern = one
    numbers = np.random.default_rng(seed)
    other = {code: float(numbers.normal()) for code in game}
    mixed = {code: factor * game[code] + other[code] for code in game}
    for index in (shapley, interactions):
        first, second, both = (index(g, pattern) for g in (game, other, mixed))
        assert both == pytest.approx({k: factor * first[k] + second[k] for k in both}, abs=1e-9)


def test_a_game_by_hand() -> None:
    """One left glove (player 0), two right ones (1, 2): a pair is worth 1."""
    game = {code: float(code & 1 and code >> 1 > 0) for code in range(8)}
    assert shapley(game, 7) == pytest.approx({0: 4 / 6, 1: 1 / 6, 2: 1 / 6})
    assert interactions(game, 7) == pytest.approx({(0, 1): 1 / 2, (0, 2): 1 / 2, (1, 2): -1 / 2})


def test_two_modalities_by_hand() -> None:
    game = {0: 0.1, 1: 0.5, 2: 0.6, 3: 0.8}
    assert shapley(game, 3) == pytest.approx({0: (0.4 + 0.2) / 2, 1: (0.5 + 0.3) / 2})
    assert interactions(game, 3) == pytest.approx({(0, 1): 0.8 - 0.5 - 0.6 + 0.1})


def test_a_single_modality_gets_everything_and_interacts_with_nobody() -> None:
    assert shapley({0: 0.1, 4: 0.75}, 4) == {2: pytest.approx(0.65)}
    assert interactions({0: 0.1, 4: 0.75}, 4) == {}


@pytest.mark.oracle
@pytest.mark.parametrize("players", [2, 3, 4, 5, 6, 7, 8])
def test_shapiq_finds_the_same_values_and_interactions(players: int) -> None:
    shapiq = pytest.importorskip("shapiq", reason="shapiq is not installed (extra `oracle`)")
    pattern = (1 << players) - 1
    for seed in range(3):
        numbers = np.random.default_rng((players, seed))
        game = {code: float(value) for code, value in enumerate(numbers.normal(size=pattern + 1))}

        def worth(coalitions: np.ndarray, game: dict[int, float] = game) -> np.ndarray:
            return np.array([game[code_of(np.flatnonzero(row).tolist())] for row in np.atleast_2d(coalitions)])

        exact = shapiq.ExactComputer(n_players=players, game=worth)
        ours, theirs = shapley(game, pattern), exact(index="SV", order=1)
        assert [ours[m] for m in range(players)] == pytest.approx([theirs[(m,)] for m in range(players)], abs=1e-9)
        ours, theirs = banzhaf(game, pattern), exact(index="BV", order=1)
        assert [ours[m] for m in range(players)] == pytest.approx([theirs[(m,)] for m in range(players)], abs=1e-9)
        pairs, theirs = interactions(game, pattern), exact(index="SII", order=2)
        assert [pairs[p] for p in sorted(pairs)] == pytest.approx([theirs[p] for p in sorted(pairs)], abs=1e-9)


THREE = {0: 0.0, 1: 0.5, 2: 0.4, 4: 0.2, 3: 0.8, 5: 0.6, 6: 0.55, 7: 0.9}


def test_three_players_by_hand_have_the_known_values_of_all_indices() -> None:
    assert shapley(THREE, 7) == pytest.approx({0: 5 / 12, 1: 41 / 120, 2: 17 / 120})
    assert banzhaf(THREE, 7) == pytest.approx({0: 0.4125, 1: 0.3375, 2: 0.1375})
    assert leave_one_out(THREE, 7) == pytest.approx({0: 0.35, 1: 0.30, 2: 0.10})
    assert interactions(THREE, 7) == pytest.approx({(0, 1): -0.075, (0, 2): -0.075, (1, 2): -0.025})


def test_negative_marginals_are_not_clipped() -> None:
    game = {0: 0.0, 1: 40.0, 2: 60.0, 4: 80.0, 3: 70.0, 5: 75.0, 6: 85.0, 7: 90.0}
    assert shapley(game, 7) == pytest.approx({0: 15 + 5 / 6, 1: 30 + 5 / 6, 2: 43 + 1 / 3})


@given(games(), st.sampled_from(sorted(INDICES)))
def test_the_matrix_of_an_index_gives_its_values(one: tuple[dict[int, float], int], index: str) -> None:
    game, pattern = one
    players = players_of(pattern)
    local = [
        code_of([players[j] for j in range(len(players)) if code >> j & 1]) for code in range(1, 1 << len(players))
    ]
    found = np.array([game[code] for code in local]) @ index_matrix(index, len(players))
    found = found - game[0] * empty_weight(index, len(players))
    expected = INDICES[index](game, pattern)
    assert found.tolist() == pytest.approx([expected[m] for m in players], abs=1e-9)
