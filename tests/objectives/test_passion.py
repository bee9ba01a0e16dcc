"""PASSION-like: preference, mask, distances, and rows that would make 0 / 0 of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from fedmce.config.schema import PassionConfig, TaskObjectiveConfig
from fedmce.models import MultimodalNet
from fedmce.objectives import OBJECTIVES
from fedmce.objectives.passion import (
    PassionObjective,
    Students,
    lagging,
    prototype_gaps,
    soft_distance,
)
from fedmce.objectives.preference import Preference
from fedmce.objectives.regulator import regulated
from tests.oracles.mce_rows import fused_logits, negative_log_likelihood, rows_in, tokens_of
from tests.oracles.net_rows import fused_state
from tests.oracles.worlds import Bools, facts_of, lively, make_batch, patterns, rows_of, small_spec


def net_of(fusion: str = "residual") -> MultimodalNet:
    return lively(MultimodalNet(small_spec(3, fusion, completion=False)))


def rule_of(net: MultimodalNet, site: Bools, memory: dict[str, Any] | None = None, **choices: Any) -> PassionObjective:
    facts = facts_of(net.spec, site, memory={} if memory is None else memory)
    made = OBJECTIVES["passion"](PassionConfig(**choices), facts, np.random.default_rng(0))
    assert isinstance(made, PassionObjective)
    return made


def students_of(codes: list[int]) -> Students:
    several = rows_of(codes, 3)
    several = several & (several.sum(axis=1, keepdims=True) > 1)
    row, modality = np.nonzero(several)
    return Students(torch.from_numpy(row), torch.from_numpy(modality), torch.from_numpy(several))


def test_mask_and_preference_of_the_hand_example() -> None:
    apart = torch.tensor([0.1, 0.3, 0.2])
    assert lagging(apart, students_of([7])).tolist() == [False, True, False]
    fresh = regulated(torch.ones(3), apart, 0.01, 0.1, 4.0) * 3**0.5
    torch.testing.assert_close(fresh, torch.tensor([0.994992, 1.004992, 0.999992]), atol=1e-6, rtol=0)


def test_a_row_with_one_modality_does_not_spoil_the_mask_of_the_others() -> None:
    assert lagging(torch.tensor([0.1, 0.3, 0.2]), students_of([7, 1])).tolist() == [False, True, False]
    assert lagging(torch.zeros(3), students_of([7])).tolist() == [False, False, False]


def test_the_preference_steps_once_per_local_epoch_and_stays_at_the_site() -> None:
    held = np.array([True, True, True])
    first = Preference(PassionConfig(growth=1.0), memory := {}, held)
    first.observe(torch.tensor([0.05, 0.15, 0.1]), torch.tensor([1, 1, 1]))
    first.observe(torch.tensor([0.15, 0.45, 0.3]), torch.tensor([1, 1, 1]))
    assert first.weight_m.tolist() == [1, 1, 1]
    first.end_epoch()
    expected = torch.tensor([0.994992, 1.004992, 0.999992])
    torch.testing.assert_close(first.weight_m, expected, atol=1e-6, rtol=0, check_dtype=False)
    first.end_epoch()  # an epoch without rows shows nothing
    first.keep()
    torch.testing.assert_close(Preference(PassionConfig(), memory, held).weight_m, first.weight_m)
    assert memory["passion.epochs"].tolist() == [1]


def test_the_length_counts_the_modalities_of_the_site() -> None:
    site = Preference(PassionConfig(), {}, np.array([True, True, False]))
    site.observe(torch.tensor([0.1, 0.3, 0.0]), torch.tensor([1, 1, 0]))
    site.end_epoch()
    assert float(site.weight_m[:2].square().sum()) == pytest.approx(2)
    assert site.weight_m[2] == 1


def test_the_distance_to_the_teacher_is_a_mean_over_classes_at_a_floor() -> None:
    teacher, student = torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    q = np.exp(1) / (np.exp(1) + 1)
    expected = 16 * (q * np.log(q / (1 - q)) + (1 - q) * np.log((1 - q) / q)) / 2
    assert float(soft_distance(teacher, student, 4.0, 0.005)) == pytest.approx(expected)
    far = soft_distance(torch.tensor([[900.0, 0.0]]), torch.tensor([[0.0, 900.0]]), 4.0, 0.005)
    assert float(far) == pytest.approx(16 * (np.log(1 / 0.005) + 0.005 * np.log(0.005)) / 2)
    assert float(soft_distance(teacher, teacher, 4.0, 0.005)) == 0


def gradients(net: MultimodalNet, loss: torch.Tensor) -> list[torch.Tensor]:
    """Of every parameter; zeros where there is none."""
    return list(torch.autograd.grad(loss, list(net.parameters()), allow_unused=True, materialize_grads=True))


@given(available=patterns(3, min_rows=2))
@settings(max_examples=15)
def test_the_loss_row_by_row(available: Bools) -> None:
    net, config = net_of(), PassionConfig(single_weight=0.7)
    batch = make_batch(net.spec, available)
    rows = [(row, tokens_of(net, row)) for row in rows_in(batch)]
    taught = [(row, tokens) for row, tokens in rows if len(tokens) > 1]
    proto = {}
    for c in {row.target for row, _ in taught}:
        states = [fused_state(net, tokens, tuple(tokens)) for row, tokens in taught if row.target == c]
        proto[c] = (sum(states) / len(states)).detach()
    cosine = torch.nn.CosineSimilarity(dim=0, eps=1e-12)
    found: dict[str, list[dict[str, torch.Tensor]]] = {m: [] for m in net.spec.names}
    excess = dict.fromkeys(net.spec.names, 0.0)
    for row, tokens in taught:
        full, state = (
            fused_logits(net, tokens, tuple(tokens)).detach(),
            fused_state(net, tokens, tuple(tokens)).detach(),
        )
        apart = {}
        for m in tokens:
            own = fused_state(net, tokens, (m,))
            gaps = torch.stack([cosine(own, p) - cosine(state, p) for p in proto.values()])
            apart[m] = float(gaps.detach().abs().mean())
            found[m].append(
                {
                    "single": negative_log_likelihood(fused_logits(net, tokens, (m,)), row.target),
                    "distil": soft_distance(full[None], fused_logits(net, tokens, (m,))[None], 4.0, 0.005)[0],
                    "prototype": gaps.square().mean(),
                }
            )
        mean = sum(apart.values()) / len(apart)
        for m, value in apart.items():
            excess[m] += value / mean - 1 if mean > 0 else 0
    total = torch.stack([negative_log_likelihood(fused_logits(net, t, tuple(t)), row.target) for row, t in rows]).mean()
    for i, m in enumerate(net.spec.names):
        if not found[m]:
            continue
        rarity = len(available) / available[:, i].sum()
        mean_of = {key: torch.stack([one[key] for one in found[m]]).mean() for key in found[m][0]}
        total = total + 0.5 * rarity * mean_of["distil"]
        if excess[m] > 1e-12:
            total = total + rarity * (0.7 * mean_of["single"] + 0.1 * mean_of["prototype"])
    loss = rule_of(net, available, **config.model_dump(exclude={"name"}))(net, batch, available).total
    assert float(loss.detach()) == pytest.approx(float(total.detach()), rel=1e-6)
    for mine, theirs in zip(gradients(net, loss), gradients(net, total), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("fusion", ["concat", "residual", "transformer"])
@pytest.mark.parametrize("codes", [[1], [1, 2, 4], [7], [7, 1], [3, 5, 6]])
def test_batches_with_no_or_one_row_of_a_modality_are_finite(fusion: str, codes: list[int]) -> None:
    net, available = net_of(fusion), rows_of(codes, 3)
    rule = rule_of(net, rows_of([7, 1, 2, 4], 3), memory := {})
    for _ in range(2):
        rule.emphasis()
        net.zero_grad()
        loss = rule(net, make_batch(net.spec, available), available)
        loss.total.backward()
    assert torch.isfinite(loss.total)
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    rule.told(net, [])
    assert all(np.isfinite(value).all() for value in memory.values())


def test_a_new_local_epoch_steps_the_preference_and_so_does_the_end_of_the_training() -> None:
    net, available = net_of(), rows_of([7, 3, 5], 3)
    rule = rule_of(net, available, memory := {}, step=0.05)
    rule.emphasis()
    rule(net, make_batch(net.spec, available), available)
    first = rule.preference.weight_m.clone()
    rule.emphasis()
    second = rule.preference.weight_m.clone()
    assert first.tolist() == [1, 1, 1]
    assert not torch.equal(first, second)
    rule(net, make_batch(net.spec, available), available)
    rule.told(net, [])
    assert memory["passion.epochs"].tolist() == [2]
    assert memory["passion.weight"].tolist() != second.tolist()


def test_without_weights_it_is_the_task_objective_bit_by_bit() -> None:
    torch.set_default_dtype(torch.float32)
    net, available = net_of(), rows_of([7, 5, 1, 6], 3)
    batch, found = make_batch(net.spec, available), []
    plain = OBJECTIVES["task"](TaskObjectiveConfig(), facts_of(net.spec, available), np.random.default_rng(0))
    for rule in (plain, rule_of(net, available, single_weight=0, distil_weight=0, prototype_weight=0)):
        net.zero_grad()
        loss = rule(net, batch, available)
        loss.total.backward()
        grads = [b"" if p.grad is None else p.grad.numpy().tobytes() for p in net.parameters()]
        found.append((loss.total.detach().numpy().tobytes(), grads))
    assert found[0] == found[1]


def test_the_teacher_learns_from_its_own_loss_alone() -> None:
    students = students_of([7])
    full, alone = torch.randn(1, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    gap, classes = prototype_gaps(alone, full.detach(), torch.tensor([1]), students, 3)
    (gap.square().sum() + soft_distance(full.detach()[[0, 0, 0]], alone, 4.0, 0.005).sum()).backward()
    assert full.grad is None
    assert alone.grad is not None
    assert int(classes) == 1
    assert not gap[:, [0, 2]].any()
