"""ShaSpec-like: what is shared, what is specific, and what of absent modalities must not get in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from fedmce.config.schema import ShaspecConfig, TaskObjectiveConfig
from fedmce.errors import ConfigError
from fedmce.models import MultimodalNet
from fedmce.models.shaspec import mean_of_members
from fedmce.objectives import OBJECTIVES
from fedmce.objectives.shaspec import ShaspecObjective, alignment, domain_loss
from tests.oracles.mce_rows import fused_logits, negative_log_likelihood, rows_in, tokens_of
from tests.oracles.worlds import Bools, facts_of, lively, make_batch, patterns, rows_of, small_spec


def net_of(modalities: int = 3) -> MultimodalNet:
    return lively(MultimodalNet(small_spec(modalities, "shaspec", heads=False, completion=False)))


def rule_of(net: MultimodalNet, site: Bools, **choices: float) -> ShaspecObjective:
    made = OBJECTIVES["shaspec"](ShaspecConfig(**choices), facts_of(net.spec, site), np.random.default_rng(0))
    assert isinstance(made, ShaspecObjective)
    return made


def test_alignment_of_the_hand_example() -> None:
    shared = torch.tensor([0.0, 1.0, 3.0])[None, :, None]
    assert float(alignment(shared, rows_of([7], 3))) == 2.0  # (1 + 2 + 3) / 3
    assert float(alignment(shared, rows_of([3], 3))) == 1.0


def test_alignment_reads_no_feature_of_an_absent_modality() -> None:
    shared = torch.tensor([0.0, 1.0, float("nan")])[None, :, None].requires_grad_()
    loss = alignment(shared, rows_of([3], 3))
    loss.backward()
    assert float(loss.detach()) == 1.0
    assert shared.grad is not None
    assert shared.grad.flatten().tolist() == [-1.0, 1.0, 0.0]


def test_a_modality_that_the_site_lacks_is_not_pushed_down() -> None:
    logits = torch.tensor([[0.3, -0.2, 9.0]], requires_grad=True)
    loss = domain_loss(logits, torch.tensor([0]), torch.tensor([True, True, False]))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(torch.log1p(torch.exp(torch.tensor(-0.5)))))
    assert logits.grad is not None
    assert logits.grad[0, 2] == 0


def test_a_site_with_one_modality_has_nothing_to_tell_apart() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    loss = domain_loss(logits, torch.zeros(4, dtype=torch.int64), torch.tensor([True, False, False]))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_what_stands_in_for_an_absent_modality_is_the_mean_of_what_is_shared() -> None:
    shared = torch.tensor([[1.0], [5.0], [float("nan")]])[None]
    assert float(mean_of_members(shared, torch.tensor([[True, True, False]]))) == 3.0


@given(available=patterns(3))
@settings(max_examples=10)
def test_the_loss_is_task_alignment_and_domain_row_by_row(available: Bools) -> None:
    net = net_of()
    held = [name for i, name in enumerate(net.spec.names) if available[:, i].any()]
    task, pairs, guesses = [], [], []
    for row in rows_in(make_batch(net.spec, available)):
        tokens = tokens_of(net, row)
        task.append(negative_log_likelihood(fused_logits(net, tokens, tuple(tokens)), row.target))
        shared = [net.fusion.shared(tokens[m]) for m in tokens]
        pairs += [(a - b).abs().mean() for i, a in enumerate(shared) for b in shared[i + 1 :]]
        known = [net.spec.names.index(m) for m in held]
        for name, token in tokens.items():
            guesses.append(negative_log_likelihood(net.fusion.domain(token)[known], held.index(name)))
    expected = torch.stack(task).mean() + 0.3 * torch.stack(guesses).mean()
    expected = expected + (0.7 * torch.stack(pairs).mean() if pairs else 0)
    loss = rule_of(net, available, alignment_weight=0.7, domain_weight=0.3)(
        net, make_batch(net.spec, available), available
    )
    assert float(loss.total.detach()) == pytest.approx(float(expected.detach()), abs=1e-10)


def test_without_its_two_weights_it_is_the_task_objective_bit_by_bit() -> None:
    torch.set_default_dtype(torch.float32)
    net, available = net_of(), rows_of([7, 5, 1, 6], 3)
    batch, found = make_batch(net.spec, available), []
    plain = OBJECTIVES["task"](TaskObjectiveConfig(), facts_of(net.spec, available), np.random.default_rng(0))
    for rule in (plain, rule_of(net, available, alignment_weight=0, domain_weight=0)):
        net.zero_grad()
        loss = rule(net, batch, available)
        loss.total.backward()
        # Zero gradients and none at all move nothing alike.
        grads = [b"" if p.grad is None else p.grad.numpy().tobytes() for p in net.parameters()]
        found.append((loss.total.detach().numpy().tobytes(), grads))
    assert found[0] == found[1]


def test_another_fusion_is_refused() -> None:
    net, available = lively(MultimodalNet(small_spec(3, "mean"))), rows_of([7], 3)
    with pytest.raises(ConfigError, match=r"given model.fusion=mean; needed model.fusion=shaspec"):
        rule_of(net, available)(net, make_batch(net.spec, available), available)
