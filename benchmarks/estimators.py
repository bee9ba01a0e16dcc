"""Sampled Shapley estimators against the exact values: 10 players, two kinds of games.

* ``pairs``: linear and pairwise terms, all standard normal: what a near-additive value (log-loss) looks like.
* ``saturating``: 0.9 (1 - exp(-1.2 Q)) with Q the sum of qualities in 0.2 .. 0.6 where two couples of players
  repeat each other (the better one counts): accuracy late in training, where all players are worth nearly alike.

The error is the root mean square over players and draws, as a share of the sum over players of |phi|, which is
v(all) - v(nothing) where every player helps. Coverage is the share of (player, draw) whose stated 95 %
interval holds the exact value.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from benchmarks.row import Figure
from fedmce.contributions.estimators import METHODS, MembershipGame, estimate_shapley
from fedmce.contributions.exact import index_matrix
from fedmce.subsets import members

PLAYERS, BUDGETS = 10, (64, 128, 256)
GAMES, DRAWS = 20, 10
ERROR_GOAL, COVERAGE_GOAL = 0.05, 0.9
ROUNDING = 1e-9  # an interval of width 0 around a value that differs from the exact one by rounding alone


def pairs_game(rng: np.random.Generator) -> MembershipGame:
    """v(S) = sum of a_i in S + sum of b_ij of couples in S."""
    alone, together = rng.standard_normal(PLAYERS), np.triu(rng.standard_normal((PLAYERS, PLAYERS)), 1)

    def value(member: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        one = member.astype(float)
        both: npt.NDArray[np.float64] = one @ alone + np.einsum("si,ij,sj->s", one, together, one)
        return both

    return value


def saturating_game(rng: np.random.Generator) -> MembershipGame:
    """v(S) = 0.9 (1 - exp(-1.2 Q(S))), players 0 and 1 repeat each other, and 2 and 3."""
    quality = rng.uniform(0.2, 0.6, PLAYERS)

    def value(member: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        given = member * quality
        total = given[:, 4:].sum(axis=1) + given[:, :2].max(axis=1) + given[:, 2:4].max(axis=1)
        saturated: npt.NDArray[np.float64] = 0.9 * (1 - np.exp(-1.2 * total))
        return saturated

    return value


KINDS: dict[str, Callable[[np.random.Generator], MembershipGame]] = {
    "pairs": pairs_game,
    "saturating": saturating_game,
}


def exact_values(game: MembershipGame) -> npt.NDArray[np.float64]:
    """Shapley values from all 1,024 subsets."""
    value = game(members(np.arange(1 << PLAYERS), PLAYERS))
    phi: npt.NDArray[np.float64] = (value[1:] - value[0]) @ index_matrix("shapley", PLAYERS)
    return phi


def error_and_coverage(kind: str, method: str, budget: int, games: int, draws: int) -> tuple[float, float]:
    """Both over games and draws."""
    squares, inside = [], []
    for seed in range(games):
        game = KINDS[kind](np.random.default_rng(seed))
        phi = exact_values(game)
        for draw in range(draws):
            found = estimate_shapley(game, PLAYERS, method, budget, np.random.default_rng([seed, draw, budget]))
            off = np.abs(found.phi - phi)
            squares.append((off / np.abs(phi).sum()) ** 2)
            inside.append(off <= found.half_width() + ROUNDING)
    return float(np.sqrt(np.mean(squares))), float(np.mean(inside))


def estimator_quality(games: int = GAMES, draws: int = DRAWS) -> list[Figure]:
    """Error and coverage of each estimator on each kind of game at each budget."""
    found = []
    for kind in KINDS:
        for method in METHODS:
            for budget in BUDGETS:
                error, coverage = error_and_coverage(kind, method, budget, games, draws)
                name = f"{method}, {kind} game of {PLAYERS}, budget {budget}"
                found.append(Figure(f"{name}: error", error, "share", ERROR_GOAL))
                found.append(Figure(f"{name}: coverage", coverage, "share", COVERAGE_GOAL, at_least=True))
    return found
