"""Shapley values of one game from few evaluations, with a standard error each.

A game is a function from memberships, bool ``(subsets, players)``, to values ``(subsets,)``. It is called once
with the empty and the full set and once with all other subsets that the estimate needs, each of them once;
``budget`` counts these others. With a budget for all of them the values are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isqrt

import numpy as np
import numpy.typing as npt

from fedmce.contributions import designs
from fedmce.contributions.student import student_quantile

Floats = npt.NDArray[np.float64]
MembershipGame = Callable[[npt.NDArray[np.bool_]], Floats]
METHODS = ("antithetic", "stratified", "kernel")


@dataclass(frozen=True)
class Estimate:
    """Estimated Shapley values.

    Attributes:
        phi: ``(players,)``.
        standard_error: ``(players,)``; 0 where the values are exact, infinite where one replicate is all there is.
        degrees: degrees of freedom of the standard error; infinite where the values are exact.
        calls: subsets evaluated, besides the empty and the full one.
    """

    phi: Floats
    standard_error: Floats
    degrees: float
    calls: int

    def half_width(self, confidence: float = 0.95) -> Floats:
        """Half the width of the interval: Student's quantile times the standard error."""
        return student_quantile(confidence, self.degrees) * self.standard_error


def estimate_shapley(
    game: MembershipGame, players: int, method: str, budget: int, rng: np.random.Generator
) -> Estimate:
    """Estimate the Shapley values of a game.

    Args:
        game: memberships bool ``(subsets, players)`` -> values ``(subsets,)``; deterministic.
        players: 1 to 62.
        method: ``antithetic`` (:func:`designs.antithetic`), ``stratified`` (:func:`designs.stratified`) or
            ``kernel`` (paired KernelSHAP, see :func:`_paired_kernel`).
        budget: most evaluations besides the empty and the full set.
        rng: draws the subsets.

    Raises:
        ValueError: unknown method, too many players, or a budget that does not pay one replicate.
    """
    if method not in METHODS or not 1 <= players <= 62:
        raise ValueError(f"estimator: given {method!r} for {players} players; needed one of {METHODS} for 1 to 62")
    cache = _Cache(game, players)
    if (1 << players) - 2 <= budget:
        design = designs.exact("shapley", 1, players)
        phi = design.read(cache.values(design.code))[0, 0]
        return Estimate(phi, np.zeros(players), inf, cache.calls)
    least = {"antithetic": 2 * (players - 1), "stratified": players - 1, "kernel": 2 * players}[method]
    if budget < least:
        raise ValueError(f"budget: given {budget}; {method} needs at least {least} for {players} players")
    if method == "kernel":
        return _paired_kernel(cache, budget, rng)
    if method == "antithetic":
        design = designs.antithetic(1, players, budget, rng)
    else:
        orders = budget // (players - 1)
        design = designs.stratified(1, players, budget, rng, groups=max(2, isqrt(orders)))
    replicate = design.read(cache.values(design.code))[0]
    error, degrees = _spread(replicate)
    return Estimate(replicate.mean(axis=0), error, degrees, cache.calls)


class _Cache:
    """The game with v(nothing) taken off, each subset evaluated once."""

    def __init__(self, game: MembershipGame, players: int) -> None:
        self._game, self.players, self.calls = game, players, 0
        ends = np.array([[False] * players, [True] * players])
        self.empty, whole = (float(v) for v in game(ends))
        self.full = (1 << players) - 1
        self.whole = whole - self.empty

    def values(self, code: npt.NDArray[np.int64]) -> Floats:
        """v(S) - v(nothing) of subset codes of any shape."""
        unique, place = np.unique(code, return_inverse=True)
        found = np.full(len(unique), self.whole)
        inner = unique != self.full
        if inner.any():
            member = (unique[inner][:, None] >> np.arange(self.players) & 1).astype(bool)
            found[inner] = self._game(member) - self.empty
            self.calls += int(inner.sum())
        return found[place].reshape(code.shape)


def _spread(replicate: Floats) -> tuple[Floats, float]:
    """Standard error of the mean of independent replicates ``(replicates, players)``.

    A variance from two or three replicates is now and then far too small; so each player's counts with its
    degrees of freedom and the mean over the players as one more (the moderation of Smyth 2004).
    """
    count = len(replicate)
    if count < 2:
        return np.full(replicate.shape[1], inf), 1.0
    variance = np.var(replicate, axis=0, ddof=1)
    moderated = ((count - 1) * variance + variance.mean()) / count
    return np.sqrt(moderated / count), count - 1.0


def _paired_kernel(cache: _Cache, budget: int, rng: np.random.Generator) -> Estimate:
    """Paired KernelSHAP: the constrained regression on subsets drawn with their complements.

    Within the constraint sum phi = v(N) a pair says one thing, v(z) - v(N - z) = sum_i (2 z_i - 1) phi_i, so
    the regression is an ordinary one on the differences of the pairs. Exact for games without interactions of
    three or more as soon as the pairs have full rank; else consistent, with a bias of order 1 / pairs.

    The standard error is the sandwich of the sampled estimating equations with residuals over 1 - leverage
    (HC3): Covert and Lee's covariance (their section 3.3) without their assumption that the matrix is known.

    Source: Covert and Lee, AISTATS 2021, section 4.2; MacKinnon and White 1985 for HC3.

    Raises:
        ValueError: the pairs that were drawn do not tell the players apart.
    """
    players, pairs = cache.players, budget // 2
    z, size = designs.kernel_subsets(pairs, players, rng)
    code = (z << np.arange(players)).sum(axis=1)
    value = cache.values(np.stack([code, cache.full ^ code]))
    difference = value[0] - value[1]
    share = cache.whole / players
    # Coordinates within the plane of values that add up to v(N).
    basis = np.linalg.svd(np.ones((1, players)))[2][1:].T
    design = (2 * z - 1) @ basis
    if np.linalg.matrix_rank(design) < players - 1:
        raise ValueError(
            f"budget: given {budget}; the {pairs} pairs drawn do not tell {players} players apart. raise it"
        )
    inverse = np.linalg.inv(design.T @ design)
    slope = inverse @ design.T @ (difference - (2 * size - players) * share)
    residual = difference - (2 * size - players) * share - design @ slope
    leverage = np.einsum("pi,ij,pj->p", design, inverse, design)
    score = design * (residual / np.maximum(1 - leverage, 1e-6))[:, None]
    covariance = basis @ inverse @ score.T @ score @ inverse @ basis.T
    error = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    return Estimate(share + basis @ slope, error, float(max(pairs - players + 1, 1)), cache.calls)
