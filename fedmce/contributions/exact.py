"""Exact indices of one game: Shapley, Banzhaf, leave-one-out, and pairwise Shapley interactions.

A game is ``{subset code: value}`` over all subsets of a pattern, 0 (the empty set) included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import factorial

import numpy as np
import numpy.typing as npt

from fedmce.subsets import subsets_of

Game = Mapping[int, float]


def _players(pattern: int) -> list[int]:
    return [bit for bit in range(pattern.bit_length()) if pattern >> bit & 1]


def shapley(game: Game, pattern: int) -> dict[int, float]:
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


def banzhaf(game: Game, pattern: int) -> dict[int, float]:
    """Banzhaf value per player: the plain mean of its marginals over all subsets of the others.

    phi_m = 2^{-(n - 1)} sum over S without m of (v(S + m) - v(S)). The values need not add up to
    v(all) - v(nothing); their ranking withstands noise in v best (Wang and Jia, AISTATS 2023).
    """
    values = {}
    for m in _players(pattern):
        subsets = (0, *subsets_of(pattern & ~(1 << m)))
        values[m] = sum(game[s | 1 << m] - game[s] for s in subsets) / len(subsets)
    return values


def leave_one_out(game: Game, pattern: int) -> dict[int, float]:
    """v(all) - v(all but m) per player; two modalities that say the same both get about nothing."""
    return {m: game[pattern] - game[pattern & ~(1 << m)] for m in _players(pattern)}


INDICES: dict[str, Callable[[Game, int], dict[int, float]]] = {
    "shapley": shapley,
    "banzhaf": banzhaf,
    "leave_one_out": leave_one_out,
}


def empty_weight(index: str, players: int) -> float:
    """How much of v(nothing) is taken from each player's value: 1/n, 2^{-(n - 1)}, or 1 for a player alone."""
    if index == "shapley":
        return 1 / players
    if index == "banzhaf":
        return 0.5 ** (players - 1)
    return float(players == 1)


@lru_cache(maxsize=64)
def index_matrix(index: str, players: int) -> npt.NDArray[np.float64]:
    """Coefficients of all values in an index, ``(2^n - 1, players)`` for subset codes 1 .. 2^n - 1.

    Every index is linear in the game, so the values of many rows are one matrix product; what v(nothing)
    takes off is :func:`empty_weight`.
    """
    codes = np.arange(1, 1 << players)
    size = np.array([int(code).bit_count() for code in codes])
    inside = (codes[:, None] >> np.arange(players) & 1).astype(bool)
    if index == "shapley":
        weight = np.array([factorial(s) * factorial(players - s - 1) / factorial(players) for s in range(players)])
        found: npt.NDArray[np.float64] = np.where(
            inside, weight[size - 1][:, None], -np.append(weight, 0.0)[size][:, None]
        )
        return found
    if index == "banzhaf":
        return np.where(inside, 1.0, -1.0) * 0.5 ** (players - 1)
    full, but_one = (size == players)[:, None], (size == players - 1)[:, None]
    last: npt.NDArray[np.float64] = np.where(full, 1.0, np.where(but_one & ~inside, -1.0, 0.0))
    return last


def interactions(game: Game, pattern: int) -> dict[tuple[int, int], float]:
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
