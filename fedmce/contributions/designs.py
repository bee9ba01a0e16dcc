"""Designs: which subsets a row's game is played on, and how its contributions are read from their values.

A design is made for many rows of n players at once, without a loop over rows and without a table of 2^n
subsets. Players are numbered 0 .. n - 1 within the row, subsets are codes over these numbers, and
v(nothing) is 0. Every design but ``exact`` and ``leave_one_out`` is random and unbiased for each row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedmce.contributions.exact import index_matrix

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """Subsets to evaluate and how to read them.

    Attributes:
        code: int64 ``(rows, evaluations)``, never 0; the last column is the full set.
        read: values ``(rows, evaluations)`` -> replicates ``(rows, replicates, players)``; their mean over the
            replicates estimates the index.
    """

    code: Codes
    read: Callable[[Floats], Floats]


def exact(index: str, rows: int, players: int) -> Design:
    """All 2^n - 1 subsets; one replicate, without error."""
    codes = np.broadcast_to(np.arange(1, 1 << players, dtype=np.int64), (rows, (1 << players) - 1))
    matrix = index_matrix(index, players)
    return Design(codes, lambda value: (value @ matrix)[:, None, :])


def leave_one_out(rows: int, players: int) -> Design:
    """The full set and what is left without each player; one replicate, without error. Needs two players."""
    full = (1 << players) - 1
    codes = np.append(full ^ (1 << np.arange(players, dtype=np.int64)), full)
    return Design(
        np.broadcast_to(codes, (rows, players + 1)), lambda value: (value[:, -1:] - value[:, :-1])[:, None, :]
    )


def antithetic(rows: int, players: int, budget: int, rng: np.random.Generator) -> Design:
    """Random orders, each with its reverse; a replicate is the mean marginal of such a pair.

    With P_k the first k players of an order, the reverse order's prefixes are the complements, and the k-th
    player's mean marginal is (g_k - g_{k-1}) / 2 with g_k = v(P_k) - v(N - P_k): exact for games without
    interactions of three or more, and always adding up to v(N).

    Source: Mitchell, Cooper, Frank and Holmes, JMLR 2022, section 3 (antithetic permutation sampling). Costs
    2 (n - 1) evaluations per replicate besides the full set.
    """
    pairs, steps = budget // (2 * (players - 1)), players - 1
    order = rng.random((rows, pairs, players)).argsort(axis=2)
    prefix = _prefixes(order)
    full = np.full((rows, 1), (1 << players) - 1)

    def read(value: Floats) -> Floats:
        forward, backward = (
            value[:, at * pairs * steps :][:, : pairs * steps].reshape(rows, pairs, steps) for at in (0, 1)
        )
        whole = np.broadcast_to(value[:, -1, None, None], (rows, pairs, 1))
        difference = np.concatenate([-whole, forward - backward, whole], axis=2)
        return _to_players(order, np.diff(difference, axis=2) / 2)

    flat = prefix.reshape(rows, -1)
    return Design(np.concatenate([flat, full ^ flat, full], axis=1), read)


def stratified(rows: int, players: int, budget: int, rng: np.random.Generator, groups: int = 1) -> Design:
    """Orders from balanced Latin squares: every player is met at evenly spread subset sizes.

    A Latin square of n orders has each player once at each position, so its mean marginal is stratified by the
    size of the subset that the player joins. Fewer orders are a systematic sample of the square, from a random
    start. The square is the balanced one of Williams, with the players dealt to it at random: in it one
    player stands before another in half of the orders, which the rotations of one order are far from. Each
    order is by itself uniformly random, hence no bias, and its marginals add up to v(N). A replicate is
    the mean over the orders of one square; ``groups`` asks for so many independent ones. Costs n - 1
    evaluations per order.

    Source: strata by size, Castro, Gomez, Molina and Tejada 2017; balanced squares, Williams 1949. Independent
    strata would spend 2 evaluations on every marginal, a square about one.
    """
    orders = budget // (players - 1)
    groups = max(1, min(groups, orders), orders // players)
    each = min(orders // groups, players)
    dealt = rng.random((rows, groups, 1, players)).argsort(axis=3)
    shift = ((rng.random((rows, groups, 1)) + np.arange(each)) * players / each).astype(np.int64)
    place = (shift[..., None] + _williams(players)) % players
    order = np.take_along_axis(np.broadcast_to(dealt, place.shape), place, axis=3)
    inner = groups * each * (players - 1)
    full = np.full((rows, 1), (1 << players) - 1)

    def read(value: Floats) -> Floats:
        prefix = value[:, :inner].reshape(rows, groups, each, players - 1)
        whole = np.broadcast_to(value[:, -1, None, None, None], (rows, groups, each, 1))
        marginal = np.diff(np.concatenate([np.zeros_like(whole), prefix, whole], axis=3), axis=3)
        mean: Floats = _to_players(order, marginal).mean(axis=2)
        return mean

    return Design(np.concatenate([_prefixes(order).reshape(rows, -1), full], axis=1), read)


def kernel_pairs(rows: int, players: int, budget: int, rng: np.random.Generator) -> Design:
    """Paired KernelSHAP with the exact matrix of the regression, so that each row stays unbiased.

    For a subset z of size s, drawn with the Shapley kernel, and its complement:
    phi_i = v(N) / n + H_{n-1} (z_i - s / n) (v(z) - v(N - z)), H the harmonic number. The usual KernelSHAP
    estimates the matrix too, which is biased at the few evaluations that a row can pay.

    Source: Covert and Lee, AISTATS 2021, equations 7 (unbiased KernelSHAP) and 13 (paired sampling), with
    the inverse of A written out. Values add up to v(N). Costs 2 evaluations per replicate.
    """
    pairs = budget // 2
    chosen, size = kernel_subsets(rows * pairs, players, rng)
    z, share = chosen.reshape(rows, pairs, players), (size / players).reshape(rows, pairs, 1)
    harmonic = float((1 / np.arange(1, players)).sum())
    code = (z << np.arange(players)).sum(axis=2)
    full = np.full((rows, 1), (1 << players) - 1)

    def read(value: Floats) -> Floats:
        difference = value[:, :pairs] - value[:, pairs : 2 * pairs]
        found: Floats = value[:, -1, None, None] / players + harmonic * (z - share) * difference[:, :, None]
        return found

    return Design(np.concatenate([code, full ^ code, full], axis=1), read)


def banzhaf_pairs(rows: int, players: int, budget: int, rng: np.random.Generator) -> Design:
    """Uniform subsets z and their complements: phi_i = (2 z_i - 1) (v(z) - v(N - z)), one replicate each.

    Source: the maximum sample reuse of Wang and Jia, AISTATS 2023, paired. Costs 2 evaluations per replicate.
    """
    pairs = budget // 2
    z = rng.integers(0, 2, (rows, pairs, players))
    code = (z << np.arange(players)).sum(axis=2)
    full = np.full((rows, 1), (1 << players) - 1)
    codes = np.concatenate([code, full ^ code, full], axis=1)
    nothing = codes == 0  # worth 0; the full set is predicted in its place and not read

    def read(value: Floats) -> Floats:
        known = np.where(nothing, 0.0, value)
        difference = known[:, :pairs] - known[:, pairs : 2 * pairs]
        signed: Floats = (2 * z - 1) * difference[:, :, None]
        return signed

    return Design(np.where(nothing, full, codes), read)


def kernel_subsets(count: int, players: int, rng: np.random.Generator) -> tuple[Codes, Codes]:
    """Subsets drawn with the Shapley kernel: 0/1 ``(count, players)`` and sizes ``(count,)``.

    P(size = s) is proportional to 1 / (s (n - s)) for 0 < s < n, and all subsets of a size are alike.
    """
    sizes = np.arange(1, players)
    weight = 1 / (sizes * (players - sizes))
    size = rng.choice(sizes, count, p=weight / weight.sum())
    rank = rng.random((count, players)).argsort(axis=1).argsort(axis=1)
    return (rank < size[:, None]).astype(np.int64), size


def _williams(players: int) -> Codes:
    """First order of the balanced square: 0, 1, n - 1, 2, n - 2, ...; the others add 1, 2, ... modulo n."""
    step = np.arange(players)
    return np.where(step % 2 == 1, (step + 1) // 2, (players - step // 2) % players)


def _prefixes(order: Codes) -> Codes:
    """Codes of the first 1 .. n - 1 players of each order, ``(..., n - 1)``."""
    return np.cumsum(np.left_shift(1, order), axis=-1)[..., :-1]


def _to_players(order: Codes, marginal: Floats) -> Floats:
    """Marginals by position -> by player."""
    by_player = np.empty_like(marginal)
    np.put_along_axis(by_player, order, marginal, axis=-1)
    return by_player
