"""What holds of every baseline: neutral choices are the task loss to the bit, nothing absent leaks, thin batches work."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from fedmce.models import MultimodalNet, state_of
from fedmce.objectives import OBJECTIVES
from tests.objectives.baselines import SECTIONS, SITE, facts_for, federated, gradients, rule_for
from tests.oracles.worlds import Bools, lively, make_batch, patterns, rows_of, small_spec
from tests.server.made import same_bits

NEUTRAL: dict[str, dict[str, Any]] = {
    "prox": {"mu": 0.0},
    "moon": {"mu": 0.0},
    "site_dropout": {"rate": 0.0},
    "ogm_ge": {"alpha": 0.0, "noise": 0.0},
    "flism": {"contrast_weight": 0.0, "distil_weight": 0.0},
    "prototypes": {"align_weight": 0.0, "contrast_weight": 0.0, "fill_weight": 0.0},
}
NAMES = (*NEUTRAL, "late_fusion")
METHODS = {"prox": "fedprox", "prototypes": "mfcpl_like"}
SGD = {"training__optimiser": "sgd"}


def warmed(net: MultimodalNet, name: str) -> Any:
    """Facts with something in every memory and shared array, so that every term is on."""
    facts = facts_for(net, name)
    other = state_of(lively(MultimodalNet(net.spec), 9))
    memory = {f"previous/{key}": value for key, value in other.items()}
    shared = {
        key: np.ones_like(value) if key.startswith("known/") else value + 0.1 for key, value in facts.shared.items()
    }
    return replace(facts, memory=memory, shared=shared)


@pytest.mark.parametrize("name", NEUTRAL)
@given(available=patterns(3))
@settings(max_examples=8)
def test_neutral_choices_have_the_gradients_of_the_task_loss_to_the_bit(name: str, available: Bools) -> None:
    net = lively(MultimodalNet(small_spec(3)))
    batch, rule = make_batch(net.spec, available), rule_for(net, name, warmed(net, name), **NEUTRAL[name])
    plain = rule_for(net, "task")
    for _ in range(2):
        expected, found = (gradients(net, one, batch, available) for one in (plain, rule))
        for key, value in expected.items():
            assert (found[key] is None) == (value is None), key
            assert value is None or torch.equal(found[key], value), key


@pytest.mark.parametrize("name", NEUTRAL)
def test_neutral_choices_are_owner_only_averaging_to_the_bit_over_three_rounds(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = SGD if name == "ogm_ge" else {}
    choices = {f"objective__{key}": value for key, value in NEUTRAL[name].items()}
    same = {"model__fusion": "residual", "aggregation__weighting": "samples"} | beside
    plain = federated(monkeypatch, "fedavg_owner", **same)
    found = federated(monkeypatch, METHODS.get(name, name), **same | choices)
    assert [same_bits(a.model, b.model) for a, b in zip(plain, found, strict=True)] == [True] * 4
    assert not same_bits(plain[0].model, plain[3].model)


@pytest.mark.parametrize("name", NAMES)
def test_its_own_choices_are_not_the_task_loss(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    same = {"model__fusion": "late" if name == "late_fusion" else "residual", "aggregation__weighting": "samples"}
    same |= SGD if name == "ogm_ge" else {}
    plain, found = (federated(monkeypatch, m, **same)[-1].model for m in ("fedavg_owner", METHODS.get(name, name)))
    assert not same_bits(plain, found)


@pytest.mark.parametrize("name", NAMES)
def test_a_short_federation_ends_finite_and_the_same_twice(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = SGD if name == "ogm_ge" else {}
    first, again = (federated(monkeypatch, METHODS.get(name, name), **beside) for _ in range(2))
    assert all(np.isfinite(value).all() for value in first[-1].model.values())
    assert same_bits(first[-1].model, again[-1].model)
    assert same_bits(first[-1].shared, again[-1].shared)
    assert not same_bits(first[-1].model, first[0].model)


@pytest.mark.parametrize("fusion", ["residual", "transformer"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "codes", [[1], [7], [2, 2, 2], [1, 2, 4], [7, 1, 1], [6, 1]], ids=lambda codes: "-".join(map(str, codes))
)
def test_batches_with_none_or_one_row_of_a_modality_have_finite_losses_and_gradients(
    name: str, codes: list[int], fusion: str
) -> None:
    net = lively(MultimodalNet(small_spec(3, fusion)))
    available = rows_of(codes, 3)
    rule, batch = rule_for(net, name, warmed(net, name)), make_batch(net.spec, available)
    for _ in range(2):
        found = gradients(net, rule, batch, available)
        assert all(torch.isfinite(g).all() for g in found.values() if g is not None)
    absent = [m for i, m in enumerate(net.spec.names) if not available[:, i].any()]
    for m in absent:
        assert all(found[key] is None for key in found if f".{m}." in key and name != "prox")


@pytest.mark.parametrize("name", NAMES)
def test_dead_tokens_have_finite_gradients(name: str) -> None:
    """Every ReLU off: no direction to compare, no spread to scale."""
    net = lively(MultimodalNet(small_spec(3)))
    with torch.no_grad():
        for encoder in net.encoder.values():
            encoder[-2].bias.fill_(-100.0)
        net.fusion.bias.fill_(-100.0)
    batch, available = make_batch(net.spec, SITE), SITE
    found = gradients(net, rule_for(net, name, warmed(net, name)), batch, available)
    assert all(torch.isfinite(g).all() for g in found.values() if g is not None)


@pytest.mark.parametrize("junk", [float("nan"), 1e6])
@pytest.mark.parametrize("name", NAMES)
def test_no_objective_reads_samples_of_modalities_that_a_row_is_said_to_lack(name: str, junk: float) -> None:
    """The network is asked for tokens; what the mask says is absent may hold anything."""
    net = lively(MultimodalNet(small_spec(3)))
    whole = np.ones((6, 3), dtype=bool)
    available = rows_of([7, 3, 5, 1, 6, 2], 3)
    batch = make_batch(net.spec, whole)
    spoilt = {}
    for column, m in enumerate(net.spec.names):
        own = torch.from_numpy(available[:, column])
        spoilt[m] = torch.where(own[:, None], batch.values[m], junk)
    plain = {m: torch.where(torch.isfinite(v) & (v != junk), v, 0.25) for m, v in spoilt.items()}
    losses = []
    for values in (plain, spoilt):
        rule = rule_for(net, name, warmed(net, name), **({"noise": 0.0} if name == "flism" else {}))
        rule(net, batch, available)
        rule.after_backward(net)
        losses.append(rule(net, replace(batch, values=values), available).total)
    assert torch.isfinite(losses[0])
    torch.testing.assert_close(losses[0], losses[1], rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_what_it_tells_is_what_the_server_expects(name: str) -> None:
    from fedmce.objectives import SHARED

    net = lively(MultimodalNet(small_spec(3), held=("a", "c")))
    facts = warmed(lively(MultimodalNet(small_spec(3))), name)
    facts = replace(facts, held=("a", "c"), received=state_of(net))
    rule = OBJECTIVES[name](SECTIONS[name](), facts, np.random.default_rng(0))
    available = SITE & np.array([True, False, True])
    available = available[available.any(axis=1)]
    with torch.no_grad():
        told = rule.told(net, [(make_batch(net.spec, available), available)])
    if name not in SHARED:
        assert told == {}
        return
    shapes = SHARED[name].told(SECTIONS[name](), net.spec, {k: v.shape for k, v in state_of(net).items()})
    assert {key: value.shape for key, value in told.items()} == shapes
    assert all(value.dtype == np.float32 for value in told.values())
