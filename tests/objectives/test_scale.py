"""Law 7 for whole batches: no loss and no weight grows with the number of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fedmce.models import Batch
from fedmce.objectives import OBJECTIVES, Emphasis
from tests.objectives.twins import changed, fresh
from tests.oracles.worlds import Bools, facts_of, make_batch, rows_of, small_spec

CHOICES: list[dict[str, Any]] = [
    {},
    {"capability": "shapley", "value": "probability"},
    {"capability": "adaptive", "rarity": "local"},
    {"capability": "published", "rarity": "raw", "normalise": False, "weight_cap": None},
    {"train_through": 0.5, "distil_weight": 0.5, "subset_scale": "mean"},
    {"published": {"leak": True, "lost_terms": True, "zeros_as_data": True, "diluted": True}},
]


def twice(batch: Batch) -> Batch:
    """Every row of the batch, and every row again."""
    return Batch(
        2 * batch.rows,
        {n: torch.cat([v, v]) for n, v in batch.values.items()},
        {n: torch.cat([p, p + batch.rows]) for n, p in batch.position.items()},
        torch.cat([batch.targets, batch.targets]),
    )


def losses(available: Bools, repeats: int, **choices: Any) -> list[float]:
    """Totals of two batches one after another, each as it is or doubled."""
    net = fresh(small_spec(3))
    facts = facts_of(net.spec, available)
    rule, found = OBJECTIVES["mce"](changed(**choices), facts, np.random.default_rng(0)), []
    for seed in (0, 1):
        batch = make_batch(net.spec, available, seed)
        given = (batch, available) if repeats == 1 else (twice(batch), np.concatenate([available, available]))
        found.append(float(rule(net, *given).total.detach()))
    return found


@pytest.mark.parametrize("choices", CHOICES)
def test_the_same_rows_twice_in_a_batch_change_no_loss(choices: dict[str, Any]) -> None:
    available = rows_of([7, 3, 1, 1, 6, 5], 3)
    assert losses(available, 1, **choices) == pytest.approx(losses(available, 2, **choices), abs=1e-12)


@pytest.mark.parametrize("incentive", ["step", "rows"])
def test_emphasis_follows_what_batches_showed(incentive: str) -> None:
    """Before any batch it is what the received model lacks; then what the batches say."""
    spec, available = small_spec(2), rows_of([3] * 8, 2)
    facts = facts_of(spec, available, lack={"a": 0.0, "b": 0.4})
    config = changed(incentive=incentive, rarity="off", smoothing=0.0, capability_floor=0.2, incentive_cap=9)
    rule, net = OBJECTIVES["mce"](config, facts, np.random.default_rng(0)), fresh(spec)
    first = getattr(rule.emphasis(), incentive)
    assert first == {"a": pytest.approx(1.0), "b": pytest.approx(3.0)}
    batch = make_batch(spec, available)
    rule(net, batch, available)
    with torch.no_grad():
        tokens = net.encode(batch)
        full = net.fuse(tokens, torch.arange(8), torch.from_numpy(available)).argmax(dim=1).eq(batch.targets)
        alone = net.unimodal(tokens).argmax(dim=2).eq(batch.targets[:, None])
    lack = (full[:, None].double() - alone.double()).clamp(min=0).mean(dim=0) + 0.2
    expected = (lack / lack.min()).tolist()
    assert getattr(rule.emphasis(), incentive) == {"a": pytest.approx(expected[0]), "b": pytest.approx(expected[1])}


def test_objectives_without_incentive_emphasise_nothing() -> None:
    spec, available = small_spec(2), rows_of([3], 2)
    for name, choices in (("mce", {}), ("mce", {"capability": "off"})):
        rule = OBJECTIVES[name](changed(**choices), facts_of(spec, available), np.random.default_rng(0))
        assert rule.emphasis() == Emphasis()
    warm = OBJECTIVES["mce"](
        changed(incentive="step"), facts_of(spec, available, warming=True), np.random.default_rng(0)
    )
    assert warm.emphasis() == Emphasis()


def test_a_warm_up_is_the_plain_mean_of_unimodal_losses_and_touches_nothing_else() -> None:
    net, available = fresh(small_spec(3)), rows_of([7, 3, 1, 1], 3)
    batch = make_batch(net.spec, available)
    facts = facts_of(net.spec, available, warming=True)
    loss = OBJECTIVES["mce"](changed(reference="frozen"), facts, np.random.default_rng(0))(net, batch, available)
    even = changed(rarity="off", capability="off")
    expected = OBJECTIVES["mce"](even, facts_of(net.spec, available), np.random.default_rng(0))(net, batch, available)
    assert set(loss.parts) == {"unimodal"}
    torch.testing.assert_close(loss.total.detach(), expected.parts["unimodal"])
    loss.total.backward()
    touched = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None}
    assert touched == {"encoder", "head"}
