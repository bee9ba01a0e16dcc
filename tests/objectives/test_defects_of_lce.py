"""Defects of the public code in LCE (method.md 2.6, items 1, 2, 3, 8, 9, 11): gone here, and shown by the switch.

Every test checks a law on the repaired code, and that the defective variant breaks it.
"""

from __future__ import annotations

from math import factorial

import numpy as np
import numpy.typing as npt
import pytest
import torch

from fedmce.config.schema import MceConfig
from fedmce.objectives import OBJECTIVES
from fedmce.objectives.lce import Capability, LearningCapability
from fedmce.objectives.pairs import Pairs, all_pairs
from fedmce.objectives.published import diluted_unimodal_losses
from fedmce.objectives.shortfall import Observed, published_shortfall, shapley_coefficients, shapley_shortfall
from fedmce.objectives.unimodal import unimodal_loss
from tests.objectives.twins import changed, fresh
from tests.oracles.worlds import Bools, facts_of, make_batch, rows_of, small_spec

Floats = npt.NDArray[np.float64]


def values_of(available: Bools, seed: int = 0) -> tuple[Pairs, Floats]:
    """A random value of every subset of every row."""
    pairs = all_pairs(available)
    return pairs, np.random.default_rng(seed).random(len(pairs.row))


def defective_marginals(pairs: Pairs, value: Floats, available: Bools) -> Floats:
    """phi with v(S) - v({m}) for v(S) - v(S without m), the right weights otherwise; v(nothing) = 0."""
    table = {(int(r), int(s)): float(v) for r, s, v in zip(pairs.row, pairs.subset, value, strict=True)}
    phi = np.zeros(available.shape)
    for (row, subset), worth in table.items():
        n, size = int(available[row].sum()), subset.bit_count()
        for m in range(available.shape[1]):
            if subset >> m & 1:
                alone = table[row, 1 << m] if size > 1 else 0.0
                phi[row, m] += factorial(size - 1) * factorial(n - size) / factorial(n) * (worth - alone)
    return phi


def test_defect_1_contributions_are_marginals_so_they_add_up() -> None:
    available = rows_of([7, 5, 6, 7], 3)
    pairs, value = values_of(available)
    phi = np.zeros(available.shape)
    np.add.at(phi, pairs.row, shapley_coefficients(pairs, available) * value[:, None])
    np.testing.assert_allclose(phi.sum(axis=1), value[pairs.is_full])
    broken = defective_marginals(pairs, value, available)
    assert (np.abs(broken.sum(axis=1) - value[pairs.is_full])[[0, 3]] > 0.01).all()
    # With two modalities the sum happens to be right, and both get the same whatever they add.
    assert broken[1, 0] == pytest.approx(broken[1, 2])
    assert abs(phi[1, 0] - phi[1, 2]) > 0.01


@pytest.mark.parametrize("modalities", [2, 3, 4, 5])
def test_defect_2_weights_of_the_subsets_with_a_modality_add_up_to_one(modalities: int) -> None:
    available = rows_of([2**modalities - 1], modalities)
    pairs = all_pairs(available)
    inside = np.where(pairs.member, shapley_coefficients(pairs, available), 0.0)
    np.testing.assert_allclose(inside.sum(axis=0), 1.0)
    n, size = 2**modalities - 1, pairs.member.sum(axis=1)
    broken = np.array([factorial(k - 1) * factorial(n - k) / factorial(n) for k in size]) * pairs.member[:, 0]
    assert broken.sum() < 0.9


def seen(available: Bools, value: Floats, alone: Floats) -> tuple[Observed, torch.Tensor, Floats]:
    pairs = all_pairs(available)
    known = Observed(
        torch.from_numpy(value),
        torch.from_numpy(pairs.row),
        torch.from_numpy(np.flatnonzero(pairs.is_full)),
        torch.from_numpy(alone),
        torch.from_numpy(available),
    )
    return known, torch.from_numpy(pairs.member), shapley_coefficients(pairs, available)


def test_defect_3_a_pair_is_not_held_to_be_useless_because_few_rows_hold_it() -> None:
    """Six rows hold b alone and draw on all of it; the pair that they do not hold says nothing about them."""
    both, only_b = rows_of([3, 3], 2), rows_of([2] * 6, 2)
    parts = [(both, np.array([0, 1, 1, 0, 0, 1.0])), (only_b, np.ones(6))]
    whole = (np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))
    repaired, broken = [], []
    for available, value in [*parts, whole]:
        known, member, coefficient = seen(available, value, np.ones(available.shape))
        repaired.append(float(shapley_shortfall(known, torch.from_numpy(coefficient), 0.0)[1]))
        broken.append(float(published_shortfall(known, member)[1]))
    assert repaired[1] == pytest.approx(0.0)
    assert repaired[2] == pytest.approx((2 * repaired[0] + 6 * repaired[1]) / 8)
    assert broken[1] > 0.5
    assert broken[2] > repaired[2] + 0.1


def test_defect_8_rows_without_a_modality_do_not_dilute_its_unimodal_loss() -> None:
    logits, target = torch.randn(4, 1, 3, generator=torch.Generator().manual_seed(2)), torch.tensor([2, 1, 0, 2])
    held, one = torch.tensor([[True], [True], [False], [False]]), torch.ones(1)
    alone = unimodal_loss(logits[:2], target[:2], held[:2], one)
    torch.testing.assert_close(unimodal_loss(logits, target, held, one), alone)
    assert abs(float(diluted_unimodal_losses(logits, target, held)[0] - alone)) > 0.01


@pytest.mark.parametrize("diluted", [False, True])
def test_defect_8_a_batch_of_more_rows_without_it_leaves_the_loss_of_its_head(diluted: bool) -> None:
    config = changed(rarity="off", capability="off", published={"diluted": diluted})
    net = fresh(small_spec(2))
    with torch.no_grad():  # a head that says nothing: the loss of a is log C whatever the rows
        for parameter in net.head["a"].parameters():
            parameter.zero_()
    found = []
    for codes in ([3, 3], [3, 3, 1, 1, 1]):
        available = rows_of(codes, 2)
        rule = OBJECTIVES["mce"](config, facts_of(net.spec, available), np.random.default_rng(0))
        found.append(float(rule(net, make_batch(net.spec, available), available).parts["unimodal"]))
    assert (found[0] == pytest.approx(found[1], abs=1e-12)) != diluted


@pytest.mark.parametrize("capability", ["gap", "shapley", "adaptive", "published"])
def test_defect_9_a_batch_without_a_modality_leaves_weights_and_loss_finite(capability: str) -> None:
    spec, net = small_spec(3), fresh(small_spec(3))
    batches = [rows_of([7, 3], 3), rows_of([5, 1], 3), rows_of([4], 3), rows_of([7, 7], 3)]
    rule = OBJECTIVES["mce"](
        MceConfig(capability=capability), facts_of(spec, np.concatenate(batches)), np.random.default_rng(0)
    )
    for available in batches:
        loss = rule(net, make_batch(spec, available), available)
        assert all(torch.isfinite(part) for part in (loss.total, *loss.parts.values()))


def test_defect_9_dividing_by_the_rows_of_the_batch_ends_in_nan_for_good() -> None:
    class Dividing(Capability):
        """Sum over rows divided by their number, as in the public code."""

        def update(self, lack_m: torch.Tensor, rows_m: torch.Tensor) -> None:
            self._mean = self._smoothing * self._mean + (1 - self._smoothing) * lack_m * rows_m / rows_m

    found = []
    for kind in (Capability, Dividing):
        capability = kind(torch.tensor([0.2, 0.4]), 0.5, 0.9)
        capability.update(torch.tensor([0.1, 0.0]), torch.tensor([2, 0]))
        capability.update(torch.tensor([0.1, 0.1]), torch.tensor([2, 2]))
        found.append(capability.value())
    assert torch.isfinite(found[0]).all()
    assert torch.isnan(found[1]).tolist() == [False, True]


@pytest.mark.parametrize("held", [(200, 200), (200, 40), (20, 10)])
def test_defect_11_weights_keep_the_mean_step_whatever_the_counts(held: tuple[int, int]) -> None:
    known = facts_of(small_spec(2), np.ones((200, 2), dtype=bool), lack={"a": 0.4, "b": 0.4})
    object.__setattr__(known, "rows_by_modality", dict(zip("ab", held, strict=True)))
    repaired = LearningCapability(MceConfig(rarity="local", weight_cap=None), known, torch.device("cpu"))
    assert float(repaired.weights().mean()) == pytest.approx(1.0)
    published = MceConfig(rarity="raw", capability="published", normalise=False, weight_cap=None)
    broken = LearningCapability(published, known, torch.device("cpu"))
    assert abs(float(broken.weights().mean()) - 1) > 0.05
