"""Games of ten players with known Shapley values (quadratic), and one that saturates as accuracies do."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np

Game = Callable[[np.ndarray], np.ndarray]


def quadratic(players: int, seed: int) -> tuple[Game, np.ndarray]:
    """v(x) = w x + x Q x with Q upper triangular; phi_i = w_i + sum_j (Q + Q')_ij / 2."""
    numbers = np.random.default_rng((1, players, seed))
    w, q = numbers.normal(size=players), np.triu(numbers.normal(size=(players, players)) * 0.3, 1)
    return (lambda x: x @ w + np.einsum("bi,ij,bj->b", x.astype(float), q, x)), w + 0.5 * (q + q.T).sum(axis=1)


def saturating(players: int, seed: int) -> Game:
    """0.9 (1 - exp(-1.2 sum of skills)), two pairs of players that say the same."""
    skill = np.random.default_rng((2, players, seed)).uniform(0.1, 0.6, players)
    skill[1], skill[3] = skill[0], skill[2]

    def value(x: np.ndarray) -> np.ndarray:
        x = x.astype(float)
        total = x @ skill - skill[0] * x[:, 0] * x[:, 1] - skill[2] * x[:, 2] * x[:, 3]
        return 0.9 * (1 - np.exp(-1.2 * total))

    return value


def random_game(players: int, seed: int) -> Game:
    """Every subset its own random value, the empty one too."""
    table = np.random.default_rng((3, players, seed)).normal(size=1 << players)
    return lambda x: table[(x.astype(int) << np.arange(players)).sum(axis=1)]


def shapley_by_listing(game: Game, players: int) -> np.ndarray:
    """Weighted marginals, one subset at a time."""
    from math import factorial

    phi = np.zeros(players)
    for code in range(1 << players):
        inside = np.array([bool(code >> m & 1) for m in range(players)])
        here = float(game(inside[None])[0])
        size = int(inside.sum())
        for m in range(players):
            if inside[m]:
                phi[m] += factorial(size - 1) * factorial(players - size) / factorial(players) * here
            else:
                phi[m] -= factorial(size) * factorial(players - size - 1) / factorial(players) * here
    return phi


def shapley_by_all_orders(game: Game, players: int) -> np.ndarray:
    """Mean marginal over every order; for up to six players."""
    phi, orders = np.zeros(players), list(permutations(range(players)))
    for order in orders:
        inside = np.zeros((1, players), dtype=bool)
        before = float(game(inside)[0])
        for m in order:
            inside[0, m] = True
            after = float(game(inside)[0])
            phi[m] += (after - before) / len(orders)
            before = after
    return phi
