"""RedCore-like: the regulator, what it may not forget or learn, and what it reduces to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch.nn import functional as F

from fedmce.config.schema import RedcoreConfig, TaskObjectiveConfig
from fedmce.models import MultimodalNet
from fedmce.objectives import OBJECTIVES
from fedmce.objectives.redcore import RedcoreObjective, Regulator, completion_errors
from fedmce.objectives.regulator import grown, regulated, relative_advantage
from tests.oracles.mce_rows import fused_logits, negative_log_likelihood, rows_in, tokens_of
from tests.oracles.net_rows import completed
from tests.oracles.worlds import Bools, facts_of, lively, make_batch, patterns, rows_of, small_spec

ALL = np.ones(3, dtype=bool)


def net_of(absent: str = "completed") -> MultimodalNet:
    return lively(MultimodalNet(small_spec(3, absent=absent)))


def rule_of(net: MultimodalNet, site: Bools, memory: dict[str, Any] | None = None, **choices: Any) -> RedcoreObjective:
    facts = facts_of(net.spec, site, memory={} if memory is None else memory)
    made = OBJECTIVES["redcore"](RedcoreConfig(**choices), facts, np.random.default_rng(0))
    assert isinstance(made, RedcoreObjective)
    return made


def test_the_regulator_of_the_hand_example() -> None:
    error = torch.tensor([2.0, 1.0, 3.0])
    assert relative_advantage(error).tolist() == [0.0, 0.5, -0.5]
    weights = regulated(torch.ones(3), error, 0.1, 0.1)
    torch.testing.assert_close(weights, torch.tensor([0.576870, 0.548026, 0.605713]), atol=1e-6, rtol=0)


def test_eta_grows_from_the_first_step_on_and_has_a_cap() -> None:
    assert grown(0.1, 1.5, 500, 1e9, 0) == pytest.approx(0.15)
    assert grown(0.1, 1.5, 500, 1e9, 499) == pytest.approx(0.15)
    assert grown(0.1, 1.5, 500, 1e9, 4500) / 0.1 == pytest.approx(57.67, abs=0.01)
    assert grown(0.1, 1.5, 500, 0.5, 4500) == 0.5
    assert grown(0.1, 10.0, 1, 0.5, 10**9) == 0.5


def test_the_running_error_starts_with_the_first_batch_and_follows_by_rho() -> None:
    regulator = Regulator(RedcoreConfig(step=0.0), memory := {}, ALL)
    regulator.observe(torch.tensor([2.0, 4.0, 0.0]), np.array([True, True, False]))
    regulator.observe(torch.tensor([4.0, 0.0, 6.0]), np.array([True, False, True]))
    regulator.keep()
    np.testing.assert_allclose(memory["redcore.error"], [0.3 * 2 + 0.7 * 4, 4.0, 6.0], rtol=1e-6)


def test_every_second_step_moves_the_weights_and_a_new_round_goes_on_where_the_last_ended() -> None:
    errors = [torch.tensor([1.0, 2.0, 3.0 + step]) for step in range(6)]
    whole = Regulator(RedcoreConfig(), {}, ALL)
    memory: dict[str, Any] = {}
    moved = []
    for at, error in enumerate(errors):
        if at % 3 == 0:  # a new local training
            part = Regulator(RedcoreConfig(), memory, ALL)
        before = whole.weight_m.clone()
        whole.observe(error, ALL)
        part.observe(error, ALL)
        part.keep()
        moved.append(not torch.equal(before, whole.weight_m))
    assert moved == [False, True] * 3
    np.testing.assert_allclose(memory["redcore.weight"], whole.weight_m.numpy(), rtol=1e-6)
    assert memory["redcore.steps"].tolist() == [6]
    assert all(value.dtype == np.float32 for value in memory.values())


def test_a_harder_modality_weighs_more_and_the_weights_keep_their_length() -> None:
    regulator = Regulator(RedcoreConfig(), {}, ALL)
    for _ in range(20):
        regulator.observe(torch.tensor([1.0, 2.0, 4.0]), ALL)
    weight = regulator.weight_m.tolist()
    assert weight == sorted(weight)
    assert weight[0] < weight[2]
    assert sum(w * w for w in weight) == pytest.approx(1)


def test_a_modality_that_the_site_lacks_is_not_in_the_mean() -> None:
    part = Regulator(RedcoreConfig(), {}, np.array([True, True, False]))
    pair = Regulator(RedcoreConfig(), {}, np.array([True, True]))
    for _ in range(4):
        part.observe(torch.tensor([1.0, 3.0, 0.0]), np.array([True, True, False]))
        pair.observe(torch.tensor([1.0, 3.0]), np.array([True, True]))
    torch.testing.assert_close(part.weight_m[:2], pair.weight_m)


def test_batches_that_grade_nothing_leave_weights_and_errors_finite() -> None:
    regulator = Regulator(RedcoreConfig(every=1), memory := {}, ALL)
    none = np.zeros(3, dtype=bool)
    for here in (none, np.array([True, False, False]), none, ALL):
        regulator.observe(torch.where(torch.from_numpy(here), 1.0, float("nan")), here)
    regulator.keep()
    assert all(np.isfinite(value).all() for value in memory.values())


def test_the_running_error_holds_no_graph() -> None:
    regulator = Regulator(RedcoreConfig(), {}, ALL)
    regulator.observe(torch.ones(3, requires_grad=True) * 2, ALL)
    assert not regulator._error.requires_grad


@given(available=patterns(3))
@settings(max_examples=10)
def test_the_loss_is_that_of_completed_rows_and_of_their_heads_and_guesses(available: Bools) -> None:
    net = net_of()
    names = [name for i, name in enumerate(net.spec.names) if available[:, i].any()]
    fused, alone, errors = [], {m: [] for m in names}, {m: [] for m in names}
    for row in rows_in(make_batch(net.spec, available)):
        own = tokens_of(net, row)
        filled = {m: own[m] if m in own else completed(net, own, tuple(own), m) for m in names}
        fused.append(negative_log_likelihood(fused_logits(net, filled, tuple(filled)), row.target))
        for m in names:
            alone[m].append(negative_log_likelihood(net.head[m](filled[m]), row.target))
        for m in own if len(own) > 1 else ():
            rest = {k: v for k, v in own.items() if k != m}
            errors[m].append((completed(net, rest, tuple(rest), m) - own[m].detach()).square().mean())
    expected = torch.stack(fused).mean() + 0.4 * sum(torch.stack(parts).mean() for parts in alone.values())
    expected = expected + 2 * sum(torch.stack(e).mean() / len(names) ** 0.5 for e in errors.values() if e)
    rule = rule_of(net, available, head_weight=0.4, completion_weight=2.0, step=0.0)
    loss = rule(net, make_batch(net.spec, available), available).total
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)


def test_labels_supervise_the_heads_that_complete() -> None:
    net, available = net_of(), rows_of([1, 7], 3)
    rule_of(net, available, completion_weight=0.0)(net, make_batch(net.spec, available), available).total.backward()
    assert all(p.grad is not None and p.grad.any() for p in net.completion["b"].parameters())


def test_the_target_of_completion_gets_no_gradient() -> None:
    net, available = net_of(), rows_of([3], 3)
    token = torch.randn(1, 3, net.spec.width, requires_grad=True)
    errors, here = completion_errors(net, token, available)
    errors[0].backward()
    assert token.grad is not None
    assert here.tolist() == [True, True, False]
    assert not token.grad[0, 0].any()
    assert token.grad[0, 1].any()


def test_without_weights_and_completed_tokens_it_is_the_task_objective_bit_by_bit() -> None:
    torch.set_default_dtype(torch.float32)
    net, available = net_of("skip"), rows_of([7, 5, 1, 6], 3)
    batch, found = make_batch(net.spec, available), []
    plain = OBJECTIVES["task"](TaskObjectiveConfig(), facts_of(net.spec, available), np.random.default_rng(0))
    for rule in (plain, rule_of(net, available, head_weight=0, completion_weight=0)):
        net.zero_grad()
        loss = rule(net, batch, available)
        loss.total.backward()
        grads = [b"" if p.grad is None else p.grad.numpy().tobytes() for p in net.parameters()]
        found.append((loss.total.detach().numpy().tobytes(), grads))
    assert found[0] == found[1]


@pytest.mark.parametrize("codes", [[1], [1, 2, 4], [4, 4], [7], [3, 1]])
def test_batches_with_no_or_one_row_of_a_modality_are_finite(codes: list[int]) -> None:
    net, available = net_of(), rows_of(codes, 3)
    rule = rule_of(net, rows_of([7, 1, 2, 4], 3), memory := {}, every=1)
    for _ in range(3):
        net.zero_grad()
        loss = rule(net, make_batch(net.spec, available), available)
        loss.total.backward()
    assert torch.isfinite(loss.total)
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    rule.told(net, [])
    assert all(np.isfinite(value).all() for value in memory.values())


@torch.no_grad()
def test_used_with_completed_tokens_a_subset_is_answered_by_them() -> None:
    net, available = net_of(), rows_of([5], 3)
    batch = make_batch(net.spec, available)
    tokens = tokens_of(net, rows_in(batch)[0])
    own = {"c": tokens["c"]}
    filled = {m: own[m] if m in own else completed(net, own, tuple(own), m) for m in net.spec.names}
    subset = torch.from_numpy(rows_of([4], 3))
    found = net.fuse(net.encode(batch), torch.zeros(1, dtype=torch.int64), subset)
    torch.testing.assert_close(found[0], fused_logits(net, filled, net.spec.names))
    assert not torch.allclose(F.softmax(found[0], 0), F.softmax(fused_logits(net, own, ("c",)), 0))
