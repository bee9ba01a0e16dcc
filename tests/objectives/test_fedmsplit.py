"""FedMSplit at a site: the task loss near the plain mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fedmce.config.schema import FedMSplitConfig
from fedmce.models import MultimodalNet, parameters_of, state_of
from fedmce.objectives import OBJECTIVES, SHARED
from fedmce.objectives.shared import Said
from tests.oracles.worlds import facts_of, lively, make_batch, rows_of, small_spec

SPEC = small_spec(2, completion=False)
RULE = SHARED["fedmsplit"]
AVAILABLE = rows_of([3, 1, 3], 2)


def loss_of(weight: float, shared: dict[str, Any]) -> tuple[Any, MultimodalNet]:
    net = lively(MultimodalNet(SPEC))
    config = FedMSplitConfig(proximal_weight=weight)
    facts = facts_of(SPEC, AVAILABLE, shared=shared, held=SPEC.names)
    loss = OBJECTIVES["fedmsplit"](config, facts, np.random.default_rng(0))(net, make_batch(SPEC, AVAILABLE), AVAILABLE)
    loss.total.backward()
    return loss, net


def test_the_pull_is_the_squared_distance_without_a_half() -> None:
    means = {k: v + 0.5 for k, v in state_of(lively(MultimodalNet(SPEC))).items()}
    plain, bare = loss_of(0.0, means)
    pulled, net = loss_of(0.01, means)
    entries = sum(v.size for v in means.values())
    assert float(pulled.parts["proximal"]) == pytest.approx(0.25 * entries, rel=1e-5)
    assert (pulled.total - plain.total).item() == pytest.approx(0.01 * 0.25 * entries, rel=1e-4)
    for key, parameter in parameters_of(net).items():
        task = parameters_of(bare)[key].grad
        torch.testing.assert_close(parameter.grad, task + 2 * 0.01 * (-0.5), rtol=1e-4, atol=1e-6)


def test_at_the_mean_or_with_weight_0_it_is_the_task() -> None:
    means = state_of(lively(MultimodalNet(SPEC)))
    task, net = loss_of(0.0, {})
    near, same = loss_of(0.5, means)
    assert near.total.item() == pytest.approx(task.total.item())
    for one, other in zip(net.parameters(), same.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_means_are_plain_over_those_that_trained_and_stay_where_nobody_did() -> None:
    arrays = {"encoder.a/w": np.float32([5]), "encoder.b/w": np.float32([7])}
    said = {
        "x": Said({}, {"encoder.a/w": np.float32([1]), "encoder.b/w": np.float32([99])}, {"encoder.a": 3}),
        "y": Said({}, {"encoder.a/w": np.float32([3])}, {"encoder.a": 300}),
    }
    merged = RULE.merge(FedMSplitConfig(), SPEC, arrays, said, {})
    assert merged["encoder.a/w"] == pytest.approx(2.0)
    assert merged["encoder.b/w"] == pytest.approx(7.0)
    assert RULE.told(FedMSplitConfig(), SPEC, {"encoder.a/w": (1,)}) == {}
    assert set(RULE.down(merged, ("b",))) == {"encoder.b/w"}
