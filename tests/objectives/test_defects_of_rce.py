"""Defects of the public code in RCE (method.md 2.6, items 4 to 7, 12, 14): gone here, and shown by the switch.

Every test checks a law on the repaired code, and that the defective variant breaks it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from fedmce.models import MultimodalNet
from fedmce.objectives import OBJECTIVES, Loss
from fedmce.objectives.completion import hidden_terms
from fedmce.objectives.pairs import all_pairs
from tests.objectives.twins import changed, fresh
from tests.oracles.worlds import Bools, facts_of, make_batch, rows_of, small_spec

EVEN = {"rarity": "off", "capability": "off"}


def loss_of(net: MultimodalNet, available: Bools, batch: Any = None, **choices: Any) -> Loss:
    config = changed(**EVEN | choices)
    rule = OBJECTIVES["mce"](config, facts_of(net.spec, rows_of([7, 7], 3)), np.random.default_rng(0))
    return rule(net, make_batch(net.spec, available) if batch is None else batch, available)


@pytest.mark.parametrize("leak", [False, True])
def test_defect_4_what_a_subset_hides_does_not_reach_the_prediction_from_it(leak: bool) -> None:
    """All that reads b is switched off, so a change of b may only show through the tokens of a."""
    net, available = fresh(small_spec(2, "concat")), rows_of([3], 2)
    with torch.no_grad():
        for part in (net.head["b"], net.projection["b"]):
            for parameter in part.parameters():
                parameter.zero_()
    batch = make_batch(net.spec, available)
    other = replace(batch, values={"a": batch.values["a"], "b": batch.values["b"] + 3})
    found = []
    for one in (batch, other):
        rule = OBJECTIVES["mce"](
            changed(**EVEN, published={"leak": leak}), facts_of(net.spec, available), np.random.default_rng(0)
        )
        parts = rule(net, one, available).parts
        found.append([float(parts["unimodal"]), float(parts["subset"])])
    assert (found[0] == pytest.approx(found[1], abs=1e-12)) != leak


@pytest.mark.parametrize("detached", [True, False])
def test_defect_5_tokens_do_not_shrink_to_meet_their_guesses(detached: bool) -> None:
    """Gradient steps on completion alone: the token that is guessed stays what it is, or comes to meet the guess."""
    net, available = fresh(small_spec(2)), rows_of([3] * 6, 2)
    batch, moves = make_batch(net.spec, available), list(net.encoder.parameters())
    before = net.encode(batch).detach()
    choices = {"completion_weight": 1.0, "detach_source": True, "detach_target": detached}
    for _ in range(20):
        facts = facts_of(net.spec, available)
        with_it, without = (
            OBJECTIVES["mce"](changed(**EVEN | choices | more), facts, np.random.default_rng(0))(
                net, batch, available
            ).total
            for more in ({}, {"completion_weight": 0.0})
        )
        for parameter, slope in zip(
            moves, torch.autograd.grad(with_it - without, moves, allow_unused=True), strict=True
        ):
            if slope is not None:
                parameter.data -= 0.1 * slope
    after = net.encode(batch).detach()
    # What is left where both losses differ by rounding alone is rounding.
    assert (float((after - before).abs().max()) < 1e-9) == detached


@pytest.mark.parametrize("lost", [False, True])
def test_defect_6_every_subset_of_a_row_counts_in_its_completion(lost: bool) -> None:
    available = rows_of([7, 3, 1, 15], 4)
    terms = hidden_terms(all_pairs(available), available, last_only=lost)
    every = sum(n * (2 ** (n - 1) - 1) for n in available.sum(axis=1).tolist())
    assert (terms.total == len(terms.pair) == every) != lost
    net = fresh(small_spec(3))
    loss_of(net, rows_of([7, 7], 3), published={"lost_terms": lost}).total.backward()
    learns = {
        m for m in net.spec.names if any(p.grad is not None and p.grad.any() for p in net.completion[m].parameters())
    }
    assert learns == ({"a"} if lost else {"a", "b", "c"})


def test_defect_6_the_last_subset_of_every_row_is_what_was_left() -> None:
    available = rows_of([1, 7, 2, 6, 3], 3)
    pairs = all_pairs(available)
    terms = hidden_terms(pairs, available, last_only=True)
    found = sorted(zip(terms.row.tolist(), pairs.subset[terms.pair].tolist(), terms.modality.tolist(), strict=True))
    assert found == [(1, 6, 0), (3, 4, 1), (4, 2, 0)]


@pytest.mark.parametrize("zeros", [False, True])
def test_defect_7_no_row_trains_the_encoder_of_what_it_lacks(zeros: bool) -> None:
    net, available = fresh(small_spec(3)), rows_of([3, 1, 1], 3)
    batch = make_batch(net.spec, available)
    other = replace(batch, targets=torch.tensor([int(batch.targets[0]), *((batch.targets[1:] + 1) % 3).tolist()]))
    found = []
    for one in (batch, other):
        net.zero_grad()
        loss_of(net, available, one, published={"zeros_as_data": zeros}).total.backward()
        found.append([p.grad.clone() for p in net.encoder["b"].parameters() if p.grad is not None])
    same = all(torch.allclose(x, y, rtol=0, atol=1e-14) for x, y in zip(*found, strict=True))
    assert same != zeros


class Calls:
    """How often each module of a network is called, and with how many rows or pairs."""

    def __init__(self, net: MultimodalNet) -> None:
        self.sizes: dict[str, list[int]] = {}
        for name, module in [("fusion", net.fusion), *((f"encoder.{m}", e) for m, e in net.encoder.items())]:
            self.sizes[name] = []
            module.register_forward_hook(lambda _, given, __, name=name: self.sizes[name].append(self._size(given[0])))

    def _size(self, given: Any) -> int:
        return len(given) if isinstance(given, torch.Tensor) else len(given.row_p)


@pytest.mark.parametrize(("choices", "fusions"), [
    ({}, 1),
    ({"capability": "shapley", "distil_weight": 1.0}, 1),
    ({"capability": "published", "published": {"leak": True}}, 1),
    ({"train_through": 1.0}, 2),
])  # fmt: skip
def test_defect_12_a_step_calls_the_fusion_for_all_pairs_at_once(choices: dict[str, Any], fusions: int) -> None:
    net, available = fresh(small_spec(3)), rows_of([7] * 10 + [3, 1, 4], 3)
    calls = Calls(net)
    loss_of(net, available, **choices).total.backward()
    pairs = 10 * 7 + 3 + 1 + 1
    assert calls.sizes == {"fusion": [pairs] * fusions, "encoder.a": [12], "encoder.b": [11], "encoder.c": [11]}
    assert not torch.is_anomaly_enabled()


@pytest.mark.parametrize("choices", [{}, {"capability": "shapley", "train_through": 1.0, "distil_weight": 1.0}])
def test_defect_12_the_number_of_operations_does_not_grow_with_the_rows(choices: dict[str, Any]) -> None:
    counts = []
    for repeats in (2, 16):
        net, available = fresh(small_spec(3)), rows_of([7, 3, 5, 7, 1] * repeats, 3)
        with torch.profiler.profile() as profile:
            loss_of(net, available, **choices).total.backward()
        counts.append(sum(event.count for event in profile.key_averages() if event.key.startswith("aten::")))
    assert counts[1] < 1.2 * counts[0]


def permuted(net: MultimodalNet, order: list[int]) -> MultimodalNet:
    """The same network whose modalities stand in another order."""
    spec = net.spec
    moved = replace(
        spec,
        modalities=tuple(spec.modalities[i] for i in order),
        encoders=tuple(spec.encoders[i] for i in order),
    )
    other = MultimodalNet(moved)
    state = {k: v.clone() for k, v in net.state_dict().items()}
    width, count = spec.width, len(order)
    columns = [i * width + d for i in order for d in range(width)] + [count * width + i for i in order]
    for key in state:
        if key.startswith("completion") and key.endswith("net.0.weight"):
            state[key] = state[key][:, columns]
    other.load_state_dict(state)
    return other


PERMUTED = [
    {},
    {"rarity": "local", "capability": "shapley", "train_through": 0.5},
    {"rarity": "raw", "capability": "published", "normalise": False, "weight_cap": None},
    {"capability": "adaptive", "published": {"leak": True, "zeros_as_data": True, "diluted": True}},
]


@pytest.mark.parametrize("choices", PERMUTED)
def test_defect_14_inputs_masks_losses_and_weights_share_one_order_of_modalities(choices: dict[str, Any]) -> None:
    available, order = rows_of([7, 3, 1, 1, 6, 5, 1], 3), [2, 0, 1]
    first = fresh(small_spec(3))
    second, batch = permuted(first, order), make_batch(first.spec, available)
    found = []
    swapped = available[:, order][:, [1, 0, 2]]  # the defect: masks in one order, all else in another
    for net, seen in ((first, available), (second, available[:, order]), (second, swapped)):
        net.zero_grad()
        facts = facts_of(net.spec, seen, {"a": 3, "b": 11, "c": 40})
        rule = OBJECTIVES["mce"](changed(**choices), facts, np.random.default_rng(0))
        loss = rule(net, batch, seen)
        loss.total.backward()
        found.append((float(loss.total.detach()), net.head["c"].weight.grad.clone()))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-12)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-10, atol=1e-12)
    assert abs(found[2][0] - found[0][0]) > 1e-3
