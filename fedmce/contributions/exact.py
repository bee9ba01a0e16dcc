"""Exact indices of one game: Shapley, and pairwise Shapley interactions.

A game is ``{subset code: value}`` over all subsets of a pattern, 0 (the empty set) included.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import factorial

from fedmce.subsets import subsets_of


def _players(pattern: int) -> list[int]:
    return [bit for bit in range(pattern.bit_length()) if pattern >> bit & 1]


def shapley(game: Mapping[int, float], pattern: int) -> dict[int, float]:
    """Shapley value per player (bit) of the pattern.

    phi_m = sum over S without m of |S|! (n - |S| - 1)! / n! (v(S + m) - v(S)), n = players of the pattern.

    Source: Shapley 1953; method.md 3. Deviation from the public MCE code: n is the number of
    modalities, and the marginal is v(S + m) - v(S), so the values add up to v(all) - v(nothing).
    """
    n = pattern.bit_count()
    values = {}
    for m in _players(pattern):
        rest = pattern & ~(1 << m)
        total = 0.0
        for subset in (0, *subsets_of(rest)):
            size = subset.bit_count()
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            total += weight * (game[subset | 1 << m] - game[subset])
        values[m] = total
    return values


def interactions(game: Mapping[int, float], pattern: int) -> dict[tuple[int, int], float]:
    """Shapley interaction index per pair of players: > 0 they complete each other, < 0 they repeat each other.

    I_ab = sum over S without a, b of |S|! (n - |S| - 2)! / (n - 1)! (v(S+a+b) - v(S+a) - v(S+b) + v(S)).

    Source: Grabisch and Roubens 1999.
    """
    n = pattern.bit_count()
    players = _players(pattern)
    values = {}
    for i, a in enumerate(players):
        for b in players[i + 1 :]:
            one, two = 1 << a, 1 << b
            rest = pattern & ~one & ~two
            total = 0.0
            for subset in (0, *subsets_of(rest)):
                size = subset.bit_count()
                weight = factorial(size) * factorial(n - size - 2) / factorial(n - 1)
                total += weight * (game[subset | one | two] - game[subset | one] - game[subset | two] + game[subset])
            values[a, b] = total
    return values
