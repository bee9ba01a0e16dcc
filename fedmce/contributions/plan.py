"""Which (row, subset) pairs of some rows are predicted to measure contributions, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedmce.config.schema import ContributionsConfig
from fedmce.contributions import designs
from fedmce.contributions.designs import Codes, Design, Floats
from fedmce.contributions.share_table import ShareTable
from fedmce.contributions.values import value_bounds
from fedmce.errors import ConfigError
from fedmce.subsets import EXACT_LIMIT, LISTED

SAMPLED: dict[str, Callable[[int, int, int, np.random.Generator], Design]] = {
    "antithetic": designs.antithetic,
    "stratified": designs.stratified,
    "kernel": designs.kernel_pairs,
}


def is_exact(config: ContributionsConfig, modalities: int) -> bool:
    """Every subset of a row is predicted, so that a value table can be kept.

    Raises:
        ConfigError: ``exact`` with more modalities than all subsets can be predicted for, or a budget that
            does not pay one replicate of the sampled estimator.
    """
    if config.estimator == "exact" and modalities > EXACT_LIMIT:
        raise ConfigError(
            f"contributions.estimator: given exact with {modalities} modalities; exact takes up to {EXACT_LIMIT}. "
            "use auto, antithetic, stratified or kernel"
        )
    if config.estimator == "exact" or (config.estimator == "auto" and modalities <= LISTED):
        return True
    needed = {"antithetic": 2 * (modalities - 1), "stratified": modalities - 1}.get(estimator_of(config), 2)
    # Rows with few enough modalities are enumerated, whatever the estimator.
    if config.index == "shapley" and config.budget < needed and config.budget < (1 << modalities) - 2:
        raise ConfigError(
            f"contributions.budget: given {config.budget}; {estimator_of(config)} needs at least {needed} subsets per "
            f"row for {modalities} modalities"
        )
    return False


def tells_patterns(config: ContributionsConfig, modalities: int) -> bool:
    """Sites report how many rows they have of each availability pattern: up to 8 modalities, or if exact."""
    return modalities <= LISTED or is_exact(config, modalities)


def measured_how(config: ContributionsConfig, modalities: int) -> dict[str, str | int | None]:
    """``source, value, index, estimator, budget`` as the record states them; the budget is None if exact."""
    exact = is_exact(config, modalities)
    sampled = {"leave_one_out": "leave_one_out", "banzhaf": "pairs"}.get(config.index, estimator_of(config))
    return {
        "source": config.source,
        "value": config.value,
        "index": config.index,
        "estimator": "exact" if exact else sampled,
        "budget": None if exact else config.budget,
    }


def phi_bound(config: ContributionsConfig, size: int) -> float:
    """Largest absolute contribution of one row that holds ``size`` modalities, with v(nothing) = 0.

    Marginals are differences of two values, or of a value and 0; all values lie between 0 and the far bound.
    Only KernelSHAP estimates are no means of marginals: see :func:`designs.kernel_pairs`.
    """
    low, high = value_bounds(config.value)
    wide = max(high - low, abs(low), abs(high))
    if config.index == "shapley" and config.estimator == "kernel" and (1 << size) - 2 > config.budget:
        return wide * (1 + sum(1 / k for k in range(1, size)))
    return wide


def estimator_of(config: ContributionsConfig) -> str:
    """Name of the sampled estimator."""
    return "antithetic" if config.estimator == "auto" else config.estimator


def design_for(
    config: ContributionsConfig, everything: bool, rows: int, players: int, rng: np.random.Generator
) -> Design:
    """Design of rows that hold equally many modalities; every subset where that is within the budget."""
    if everything or (1 << players) - 2 <= config.budget:
        return designs.exact(config.index, rows, players)
    if config.index == "leave_one_out":
        return designs.leave_one_out(rows, players)
    if config.index == "banzhaf":
        return designs.banzhaf_pairs(rows, players, config.budget, rng)
    return SAMPLED[estimator_of(config)](rows, players, config.budget, rng)


@dataclass(frozen=True)
class _Group:
    """Rows that hold equally many modalities: their bits ``(rows, size)``, design, and pairs ``(rows, evaluations)``."""

    held: Codes
    design: Design
    pair: Codes


@dataclass(frozen=True)
class RowPlan:
    """Pairs to predict, sorted by row.

    Attributes:
        index: which index is measured.
        row: int64 ``(pairs,)``.
        subset: code over all modalities, int64 ``(pairs,)``.
    """

    index: str
    row: Codes
    subset: Codes
    _groups: tuple[_Group, ...]

    def shares(self, value: Floats, kept: npt.NDArray[np.bool_] | None = None) -> ShareTable:
        """Contributions of the planned rows.

        Args:
            value: of the pairs, ``(pairs,)``.
            kept: rows that count, bool ``(rows,)``; None = all.
        """
        table = ShareTable(self.index)
        for group in self._groups:
            phi = group.design.read(value[group.pair]).mean(axis=1)
            here = slice(None) if kept is None else kept[self.row[group.pair[:, 0]]]
            table.add(group.held[here], phi[here])
        return table


def plan_rows(available: npt.NDArray[np.bool_], config: ContributionsConfig, rng: np.random.Generator) -> RowPlan:
    """Plan the pairs of rows with this availability, bool ``(rows, modalities)``; rows with nothing take no part.

    Time and memory are linear in rows times budget.
    """
    everything = is_exact(config, available.shape[1])
    sizes = available.sum(axis=1)
    groups, rows, subsets, planned = [], [], [], 0
    for size in np.unique(sizes[sizes > 0]).tolist():
        chosen = np.flatnonzero(sizes == size)
        held = np.nonzero(available[chosen])[1].reshape(len(chosen), size)
        design = design_for(config, everything, len(chosen), size, rng)
        pair = planned + np.arange(design.code.size).reshape(design.code.shape)
        planned += design.code.size
        groups.append((held, design, pair))
        rows.append(np.repeat(chosen, design.code.shape[1]))
        subsets.append(_over_all(design.code, held).ravel())
    if not groups:
        none = np.zeros(0, dtype=np.int64)
        return RowPlan(config.index, none, none, ())
    row = np.concatenate(rows)
    by_row = np.argsort(row, kind="stable")
    place = np.empty_like(by_row)
    place[by_row] = np.arange(len(by_row))
    kept = tuple(_Group(held, design, place[pair]) for held, design, pair in groups)
    return RowPlan(config.index, row[by_row], np.concatenate(subsets)[by_row], kept)


def _over_all(code: Codes, held: Codes) -> Codes:
    """Codes over a row's own players -> codes over all modalities, ``(rows, evaluations)``."""
    whole = np.zeros(code.shape, dtype=np.int64)
    for player in range(held.shape[1]):
        whole |= (code >> player & 1) << held[:, player : player + 1]
    return whole
