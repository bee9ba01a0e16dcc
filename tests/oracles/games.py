"""Twins of the game-theoretic indices, from other formulas than the code's."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, permutations


def players_of(pattern: int) -> list[int]:
    return [bit for bit in range(16) if pattern & (1 << bit)]


def code_of(players: tuple[int, ...] | list[int]) -> int:
    return sum(1 << player for player in players)


def shapley_by_orders(game: Mapping[int, float], pattern: int) -> dict[int, float]:
    """Mean over all orders of arrival of what each player adds when it comes."""
    players = players_of(pattern)
    total = dict.fromkeys(players, 0.0)
    orders = list(permutations(players))
    for order in orders:
        for place, player in enumerate(order):
            total[player] += game[code_of(order[: place + 1])] - game[code_of(order[:place])]
    return {player: value / len(orders) for player, value in total.items()}


def dividends(game: Mapping[int, float], pattern: int) -> dict[int, float]:
    """Harsanyi dividends: d(T) = sum over R in T of (-1)^(|T| - |R|) v(R)."""
    players = players_of(pattern)
    found = {}
    for size in range(len(players) + 1):
        for whole in combinations(players, size):
            parts = [(part, size - n) for n in range(size + 1) for part in combinations(whole, n)]
            found[code_of(whole)] = sum((-1) ** missing * game[code_of(part)] for part, missing in parts)
    return found


def interactions_by_dividends(game: Mapping[int, float], pattern: int) -> dict[tuple[int, int], float]:
    """I_ab = sum over T that hold a and b of d(T) / (|T| - 1)."""
    shares = dividends(game, pattern)
    return {
        (a, b): sum(d / (t.bit_count() - 1) for t, d in shares.items() if t >> a & 1 and t >> b & 1)
        for a, b in combinations(players_of(pattern), 2)
    }
