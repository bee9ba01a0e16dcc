"""Law 2: the objective over all pairs at once equals the loops of the equations, loss and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmce.config.schema import MceConfig
from fedmce.models import Batch, MultimodalNet, NetworkSpec
from fedmce.objectives import OBJECTIVES, SiteFacts
from tests.oracles.mce_rows import MceTwin, rows_in
from tests.oracles.worlds import Bools, facts_of, lively, make_batch, patterns, rows_of, small_spec

CONFIG = MceConfig(unimodal_weight=0.7, subset_weight=1.3, completion_weight=0.4, smoothing=0.6, capability_floor=0.2)
Gradients = dict[str, torch.Tensor | None]


def fresh(spec: NetworkSpec) -> MultimodalNet:
    return lively(MultimodalNet(spec), seed=5)


def vectorised(
    spec: NetworkSpec, config: MceConfig, facts: SiteFacts, batches: list[Bools]
) -> tuple[list[float], Gradients]:
    """Losses of the batches by one objective, and the gradient of the last."""
    net, rule = fresh(spec), OBJECTIVES["mce"](config, facts, np.random.default_rng(0))
    losses = []
    for seed, available in enumerate(batches):
        net.zero_grad()
        total = rule(net, make_batch(spec, available, seed), available).total
        total.backward()
        losses.append(float(total.detach()))
    return losses, {name: p.grad for name, p in net.named_parameters()}


def looped(
    spec: NetworkSpec, config: MceConfig, facts: SiteFacts, batches: list[Bools]
) -> tuple[list[float], Gradients]:
    net, twin = fresh(spec), MceTwin(config, facts)
    losses = []
    for seed, available in enumerate(batches):
        net.zero_grad()
        total = twin.loss(net, rows_in(make_batch(spec, available, seed)))
        total.backward()
        losses.append(float(total.detach()))
    return losses, {name: p.grad for name, p in net.named_parameters()}


def agree(mine: tuple[list[float], Gradients], twin: tuple[list[float], Gradients]) -> None:
    assert mine[0] == pytest.approx(twin[0], abs=1e-10, rel=1e-10)
    assert mine[1].keys() == twin[1].keys()
    for name, expected in twin[1].items():
        found = mine[1][name]
        if expected is None:
            assert found is None or not found.any(), name
        else:
            assert found is not None, name
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10, msg=name)


@pytest.mark.parametrize("scale", ["mean", "sum"])
@pytest.mark.parametrize("modalities", [2, 3, 4])
@pytest.mark.parametrize("fusion", ["residual", "concat", "mean", "transformer"])
@settings(max_examples=4)
@given(data=st.data())
def test_loss_and_gradients_equal_the_loops_of_the_equations(
    modalities: int, fusion: str, scale: str, data: st.DataObject
) -> None:
    config = CONFIG.model_copy(update={"subset_scale": scale})
    batches = [data.draw(patterns(modalities)) for _ in range(2)]
    spec = small_spec(modalities, fusion)
    facts = facts_of(spec, np.concatenate(batches), {"a": 3, "b": 17})
    agree(vectorised(spec, config, facts, batches), looped(spec, config, facts, batches))


@pytest.mark.parametrize("rarity", ["global", "local", "off"])
@pytest.mark.parametrize("capability", ["gap", "off"])
def test_every_weighting_of_the_unimodal_losses_equals_the_equations(rarity: str, capability: str) -> None:
    config = CONFIG.model_copy(update={"rarity": rarity, "capability": capability, "weight_cap": 1.6})
    spec = small_spec(3)
    batches = [rows_of([7, 1, 1, 3, 5, 1, 1], 3), rows_of([1, 3, 7, 1, 1], 3), rows_of([6, 1], 3)]
    facts = facts_of(spec, np.concatenate(batches), {"a": 20, "b": 4, "c": 1})
    agree(vectorised(spec, config, facts, batches), looped(spec, config, facts, batches))


@given(data=st.data())
@settings(max_examples=10)
def test_the_order_of_rows_does_not_matter(data: st.DataObject) -> None:
    available = data.draw(patterns(3, min_rows=2))
    order = data.draw(st.permutations(range(len(available))))
    spec = small_spec(3)
    facts = facts_of(spec, available)
    batch = make_batch(spec, available)
    where = {old: new for new, old in enumerate(order)}
    moved = Batch(
        batch.rows,
        batch.values,
        {name: torch.tensor([where[int(row)] for row in rows]) for name, rows in batch.position.items()},
        batch.targets[list(order)],
    )
    losses = []
    for given_batch, pattern in [(batch, available), (moved, available[list(order)])]:
        rule = OBJECTIVES["mce"](CONFIG, facts, np.random.default_rng(0))
        losses.append(float(rule(fresh(spec), given_batch, pattern).total.detach()))
    assert losses[0] == pytest.approx(losses[1], abs=1e-12)


def test_the_named_parts_add_up_to_the_total() -> None:
    spec, available = small_spec(3), rows_of([7, 3, 5, 1], 3)
    loss = OBJECTIVES["mce"](CONFIG, facts_of(spec, available), np.random.default_rng(0))(
        fresh(spec), make_batch(spec, available), available
    )
    weights = {"task": 1.0, "unimodal": 0.7, "subset": 1.3, "completion": 0.4}
    assert set(loss.parts) == set(weights)
    assert float(loss.total.detach()) == pytest.approx(sum(w * float(loss.parts[n]) for n, w in weights.items()))
    assert not any(part.requires_grad for part in loss.parts.values())
