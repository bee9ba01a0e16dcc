"""Law 13 and the properties of baselines: estimators of one game of many players."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedmce.contributions import Estimate, estimate_shapley
from fedmce.contributions.estimators import METHODS
from fedmce.contributions.student import student_quantile
from tests.oracles.many_games import (
    Game,
    quadratic,
    random_game,
    saturating,
    shapley_by_all_orders,
    shapley_by_listing,
)

TEN = 10


def estimated(game: Game, method: str, budget: int = 64, seed: int = 0, players: int = TEN) -> Estimate:
    return estimate_shapley(game, players, method, budget, np.random.default_rng(seed))


def test_the_two_oracles_agree() -> None:
    game = random_game(5, 0)
    np.testing.assert_allclose(shapley_by_listing(game, 5), shapley_by_all_orders(game, 5), atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("budget", [64, 128, 256])
def test_values_add_up_to_what_all_win_over_nothing(method: str, budget: int) -> None:
    game = random_game(TEN, 1)
    ends = game(np.array([[False] * TEN, [True] * TEN]))
    assert estimated(game, method, budget).phi.sum() == pytest.approx(ends[1] - ends[0], abs=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_every_subset_is_asked_for_once_and_counted(method: str) -> None:
    asked: list[bytes] = []
    game = random_game(TEN, 2)

    def counting(x: np.ndarray) -> np.ndarray:
        asked.extend(row.tobytes() for row in x)
        return game(x)

    found = estimated(counting, method, 100)
    assert len(asked) == len(set(asked)) == found.calls + 2
    assert found.calls <= 100


@pytest.mark.parametrize("method", METHODS)
def test_a_budget_for_all_subsets_gives_exact_values_without_error(method: str) -> None:
    game = random_game(6, 3)
    found = estimated(game, method, 62, players=6)
    np.testing.assert_allclose(found.phi, shapley_by_listing(game, 6), atol=1e-12)
    assert found.calls == 62
    assert not found.half_width().any()


@pytest.mark.parametrize("method", ["antithetic", "kernel"])
@pytest.mark.parametrize("seed", range(3))
def test_a_quadratic_game_is_solved_exactly(method: str, seed: int) -> None:
    game, phi = quadratic(TEN, seed)
    found = estimated(game, method, 64, seed)
    np.testing.assert_allclose(found.phi, phi, atol=1e-9)
    assert (found.standard_error < 1e-8).all()


def test_one_antithetic_pair_is_enough_for_a_quadratic_game_and_says_nothing_of_its_error() -> None:
    game, phi = quadratic(TEN, 4)
    found = estimated(game, "antithetic", 18)
    np.testing.assert_allclose(found.phi, phi, atol=1e-9)
    assert np.isinf(found.standard_error).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_player_that_changes_nothing_gets_nothing(method: str) -> None:
    inner = random_game(TEN, 5)

    def game(x: np.ndarray) -> np.ndarray:
        return inner(x & (np.arange(TEN) != 4))

    found = estimated(game, method, 128)
    if method == "kernel":  # a regression gives it nothing only in the mean
        assert abs(found.phi[4]) <= found.half_width(0.999)[4]
    else:
        assert found.phi[4] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_estimates_are_linear_in_the_game_and_blind_to_a_constant(method: str) -> None:
    first, second = random_game(TEN, 6), random_game(TEN, 7)
    mixed = estimated(lambda x: 2 * first(x) - 3 * second(x) + 11, method)
    expected = 2 * estimated(first, method).phi - 3 * estimated(second, method).phi
    np.testing.assert_allclose(mixed.phi, expected, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_decides_the_estimate(method: str) -> None:
    game = random_game(TEN, 8)
    assert np.array_equal(estimated(game, method, seed=1).phi, estimated(game, method, seed=1).phi)
    assert not np.array_equal(estimated(game, method, seed=1).phi, estimated(game, method, seed=2).phi)


@pytest.mark.parametrize("method", METHODS)
def test_equal_players_have_equal_values_in_the_mean(method: str) -> None:
    game = saturating(TEN, 0)
    phi = np.array([estimated(game, method, seed=seed).phi for seed in range(300)])
    difference = phi[:, 0] - phi[:, 1]
    assert abs(difference.mean()) <= 4 * difference.std() / np.sqrt(len(phi))


@pytest.mark.parametrize("method", ["antithetic", "stratified"])
@pytest.mark.parametrize("budget", [20, 64, 200])
def test_the_mean_over_many_draws_is_the_exact_value(method: str, budget: int) -> None:
    game = random_game(TEN, 9)
    exact = shapley_by_listing(game, TEN)
    phi = np.array([estimated(game, method, budget, seed).phi for seed in range(600)])
    assert (abs(phi.mean(axis=0) - exact) <= 4 * phi.std(axis=0) / np.sqrt(len(phi))).all()


@pytest.mark.parametrize("budget", [64, 128, 256])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["quad", "sat"])
def test_the_stated_interval_covers_the_exact_value(kind: str, method: str, budget: int) -> None:
    inside = []
    for seed in range(80):
        game = quadratic(TEN, seed)[0] if kind == "quad" else saturating(TEN, seed)
        found = estimated(game, method, budget, seed)
        exact = quadratic(TEN, seed)[1] if kind == "quad" else shapley_by_matrix(game)
        inside.append(abs(found.phi - exact) <= found.half_width(0.95) + 1e-9)
    assert np.mean(inside) >= 0.90


def shapley_by_matrix(game: Game) -> np.ndarray:
    from fedmce.contributions.exact import index_matrix

    members = (np.arange(1, 1 << TEN)[:, None] >> np.arange(TEN) & 1).astype(bool)
    return (game(members) - game(np.zeros((1, TEN), bool))) @ index_matrix("shapley", TEN)


def test_the_matrix_of_the_interval_test_is_the_listing() -> None:
    game = saturating(TEN, 1)
    np.testing.assert_allclose(shapley_by_matrix(game), shapley_by_listing(game, TEN), atol=1e-12)


def test_spreading_over_sizes_pays_where_values_saturate() -> None:
    errors: dict[str, list[float]] = {"antithetic": [], "stratified": []}
    for seed in range(40):
        game = saturating(TEN, seed)
        exact = shapley_by_matrix(game)
        for method, found in errors.items():
            found.append(float(np.square(estimated(game, method, 256, seed).phi - exact).mean()))
    assert np.mean(errors["stratified"]) < 0.5 * np.mean(errors["antithetic"])


@pytest.mark.parametrize(
    ("players", "method", "budget", "what"),
    [
        (10, "guess", 64, "one of"),
        (63, "antithetic", 500, "1 to 62"),
        (10, "antithetic", 17, "at least 18"),
        (10, "stratified", 8, "at least 9"),
        (10, "kernel", 18, "at least 20"),
    ],
)
def test_what_cannot_be_estimated_is_refused(players: int, method: str, budget: int, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        estimated(lambda x: x.sum(axis=1).astype(float), method, budget, players=players)


def test_thirty_two_players_need_no_table_of_subsets() -> None:
    weight: Any = np.arange(32.0)
    found = estimated(lambda x: x @ weight, "antithetic", 62, players=32)
    np.testing.assert_allclose(found.phi, weight, atol=1e-9)


def test_quantiles_of_student_are_those_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for confidence in (0.5, 0.9, 0.95, 0.99):
        for degrees in (1, 2, 3, 4, 5, 8, 23, 100, 1000):
            expected = stats.t.ppf(0.5 + confidence / 2, degrees)
            assert student_quantile(confidence, degrees) == pytest.approx(expected, rel=2e-3)
    assert student_quantile(0.95, np.inf) == pytest.approx(1.959964, abs=1e-5)
    assert student_quantile(0.95, 2.9) == student_quantile(0.95, 2)
    with pytest.raises(ValueError, match="confidence"):
        student_quantile(1.0, 3)
