"""LCE by hand: A_m, B_m and w_m from numbers of single rows (method.md 2.2, Python floats, no tensors)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp, factorial

from fedmce.config.schema import MceConfig
from fedmce.objectives import SiteFacts

Named = dict[str, float]


def value(kind: str, probability: Sequence[float], target: int) -> float:
    """v of one prediction of one row."""
    if kind == "accuracy":
        return float(max(range(len(probability)), key=lambda c: probability[c]) == target)
    truth = [float(c == target) for c in range(len(probability))]
    if kind == "probability":
        return probability[target]
    if kind == "soft_dice":
        both = sum(p * y for p, y in zip(probability, truth, strict=True))
        return 2 * both / (sum(p * p for p in probability) + sum(y * y for y in truth))
    return -sum((p - y) ** 2 for p, y in zip(probability, truth, strict=True))


def value_of_nothing(kind: str, class_rows: Sequence[int]) -> float:
    """v(empty): rows of each class, all answered by the shares of the classes."""
    share = [n / sum(class_rows) for n in class_rows]
    return sum(s * value(kind, share, c) for c, s in enumerate(share))


@dataclass
class ValuedRow:
    """v(S) of the full and, where they are predicted, all other subsets; u_m of the unimodal reference."""

    held: tuple[str, ...]
    of_subset: Mapping[frozenset[str], float]
    alone: Named

    @property
    def full(self) -> float:
        return self.of_subset[frozenset(self.held)]


def shapley(row: ValuedRow, player: str, nothing: float) -> float:
    """phi_m = sum over S in e without m of |S|! (n - |S| - 1)! / n! (v(S + m) - v(S))."""
    n, others = len(row.held), [m for m in row.held if m != player]
    total = 0.0
    for size in range(n):
        for rest in map(frozenset, combinations(others, size)):
            without = row.of_subset[rest] if rest else nothing
            share = factorial(size) * factorial(n - size - 1) / factorial(n)
            total += share * (row.of_subset[rest | {player}] - without)
    return total


def published_capability(rows: Sequence[ValuedRow], modality: str, everything: Sequence[str]) -> float:
    """Counts over other rows for every S, S without {m} for S without m, subsets for modalities (2.6, 1-3)."""
    n = 2 ** len(everything) - 1
    count: dict[frozenset[str], float] = {}
    for row in rows:
        for subset, worth in row.of_subset.items():
            count[subset] = count.get(subset, 0.0) + worth
    single = count.get(frozenset([modality]), 0.0)
    phi = single / n
    for size in range(2, len(everything) + 1):
        for subset in map(frozenset, combinations(everything, size)):
            if modality in subset:
                share = factorial(size - 1) * factorial(n - size) / factorial(n)
                phi += share * (count.get(subset, 0.0) - single)
    holding = [row for row in rows if modality in row.held]
    return max(sum(row.alone[modality] for row in holding) - phi, 0.0) / len(holding)


def lack(config: MceConfig, facts: SiteFacts, rows: Sequence[ValuedRow], modality: str) -> float | None:
    """What the modality lacks in these rows; None if none of them holds it."""
    holding = [row for row in rows if modality in row.held]
    if not holding:
        return None
    if config.capability == "published":
        return published_capability(rows, modality, facts.modalities)
    if config.capability == "shapley":
        nothing = value_of_nothing(config.value, facts.class_rows)
        apart = [row.alone[modality] - shapley(row, modality, nothing) for row in holding]
    else:
        apart = [row.full - row.alone[modality] for row in holding]
    return sum(max(a, 0.0) for a in apart) / len(apart)


def rarity(config: MceConfig, facts: SiteFacts, modality: str) -> float:
    """A_m."""
    if config.rarity == "off":
        return 1.0
    if config.rarity == "global":
        return facts.all_rows / facts.all_rows_by_modality[modality]
    return facts.rows / facts.rows_by_modality[modality]


class Weights:
    """w_m over the batches of one local training."""

    def __init__(self, config: MceConfig, facts: SiteFacts) -> None:
        self.config, self.facts = config, facts
        self.held = [m for m in facts.modalities if facts.rows_by_modality.get(m, 0) > 0]
        start = {m: facts.lack.get(m, 0.5) for m in self.held}
        mean = sum(start.values()) / len(start)
        self.mean = dict(start)
        # Where an excess that stays settles: a = rate x / (1 - smoothing).
        self.log = {m: config.adaptive_rate * (x - mean) / (1 - config.smoothing) for m, x in start.items()}

    def observe(self, rows: Sequence[ValuedRow]) -> None:
        """Fold in a batch."""
        keep = self.config.smoothing
        found = {m: lack(self.config, self.facts, rows, m) for m in self.held}
        seen = {m: x for m, x in found.items() if x is not None}
        mean = sum(seen.values()) / max(len(seen), 1)
        for m, x in seen.items():
            self.mean[m] = keep * self.mean[m] + (1 - keep) * x
            self.log[m] = keep * self.log[m] + self.config.adaptive_rate * (x - mean)

    def capability(self, modality: str) -> float:
        """B_m."""
        if self.config.capability == "off":
            return 1.0
        if self.config.capability == "adaptive":
            return max(exp(self.log[modality]), self.config.capability_floor)
        return self.config.capability_floor + self.mean[modality]

    def weights(self) -> Named:
        """w_m = A_m B_m, of mean 1 and capped as configured."""
        config = self.config
        raw = {m: rarity(config, self.facts, m) * self.capability(m) for m in self.held}
        if config.normalise:
            mean = sum(raw.values()) / len(raw)
            raw = {m: w / mean if mean > 0 else 1.0 for m, w in raw.items()}
        return raw if config.weight_cap is None else {m: min(w, config.weight_cap) for m, w in raw.items()}

    def of_losses(self) -> Named:
        """w_m where the incentive acts on losses, else 1."""
        return self.weights() if self.config.incentive == "loss" else dict.fromkeys(self.held, 1.0)
