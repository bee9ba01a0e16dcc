"""Law 2: the objective over all pairs at once equals the loops of the equations, loss and gradients."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmce.models import Batch
from fedmce.objectives import OBJECTIVES
from tests.objectives.twins import CONFIG, changed, check, facts_for, fresh
from tests.oracles.worlds import facts_of, make_batch, patterns, rows_of, small_spec

VALUES = ["accuracy", "probability", "soft_dice", "negative_squared_error"]
CAPABILITIES = ["gap", "shapley", "adaptive", "published", "off"]


@pytest.mark.parametrize("scale", ["mean", "sum"])
@pytest.mark.parametrize("modalities", [2, 3, 4])
@pytest.mark.parametrize("fusion", ["residual", "concat", "mean", "transformer"])
@settings(max_examples=3)
@given(data=st.data())
def test_loss_and_gradients_equal_the_loops_of_the_equations(
    modalities: int, fusion: str, scale: str, data: st.DataObject
) -> None:
    batches = [data.draw(patterns(modalities)) for _ in range(2)]
    check(changed(subset_scale=scale, capability="shapley"), modalities, fusion, batches)


@pytest.mark.parametrize(("capability", "value"), [*product(CAPABILITIES[:4], VALUES), ("off", "accuracy")])
@pytest.mark.parametrize("reference", ["running", "frozen"])
def test_every_capability_of_every_value_equals_the_equations(capability: str, value: str, reference: str) -> None:
    check(changed(capability=capability, value=value, reference=reference, weight_cap=None))


@pytest.mark.parametrize("capability", ["shapley", "published", "adaptive"])
@pytest.mark.parametrize("modalities", [2, 4])
def test_capabilities_of_other_numbers_of_modalities_equal_the_equations(capability: str, modalities: int) -> None:
    check(changed(capability=capability, value="probability"), modalities)


@pytest.mark.parametrize("rarity", ["global", "local", "raw", "off"])
@pytest.mark.parametrize(("normalise", "cap"), [(True, 1.3), (False, None), (False, 1.6), (True, None)])
def test_every_weighting_of_the_unimodal_losses_equals_the_equations(
    rarity: str, normalise: bool, cap: float | None
) -> None:
    check(changed(rarity=rarity, normalise=normalise, weight_cap=cap))


@pytest.mark.parametrize("capability", ["gap", "adaptive"])
@pytest.mark.parametrize("start", [{}, {"a": 0.1, "b": 0.9, "c": 0.3}])
def test_running_capabilities_start_from_what_the_received_model_lacks(
    capability: str, start: dict[str, float]
) -> None:
    check(changed(capability=capability, adaptive_rate=0.7, capability_floor=0.6), lack=start)


@pytest.mark.parametrize("incentive", ["loss", "step", "rows"])
def test_losses_are_weighted_where_the_incentive_acts_on_them(incentive: str) -> None:
    check(changed(incentive=incentive))


@pytest.mark.parametrize("target", ["token", "fused_token"])
@pytest.mark.parametrize("kind", ["smooth_l1", "cosine", "mse"])
@pytest.mark.parametrize(("detach_target", "detach_source"), list(product([True, False], repeat=2)))
def test_every_completion_equals_the_equations(
    target: str, kind: str, detach_target: bool, detach_source: bool
) -> None:
    choices = {"completion_target": target, "completion_distance": kind}
    check(changed(**choices, detach_target=detach_target, detach_source=detach_source, completion_weight=1.7))


@pytest.mark.parametrize("fusion", ["concat", "mean", "transformer"])
def test_fused_states_of_every_fusion_are_completed_alike(fusion: str) -> None:
    check(changed(completion_target="fused_token", detach_target=False), fusion=fusion)


@pytest.mark.parametrize("scale", ["mean", "sum"])
@pytest.mark.parametrize(("modalities", "fusion"), [(3, "residual"), (4, "residual"), (3, "concat"), (2, "mean")])
def test_training_through_completed_tokens_equals_the_equations(scale: str, modalities: int, fusion: str) -> None:
    check(changed(subset_scale=scale, train_through=0.8), modalities, fusion)


@pytest.mark.parametrize("scale", ["mean", "sum"])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_distillation_equals_the_equations(scale: str, temperature: float) -> None:
    check(changed(subset_scale=scale, distil_weight=0.9, distil_temperature=temperature))


PUBLISHED = ["leak", "lost_terms", "zeros_as_data", "diluted"]
TOGETHER = {
    "published": dict.fromkeys(PUBLISHED, True),
    "rarity": "raw",
    "capability": "published",
    "normalise": False,
    "weight_cap": None,
    "detach_target": False,
}


@pytest.mark.parametrize("switch", PUBLISHED)
@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_every_switch_to_the_published_code_equals_its_description(switch: str, modalities: int) -> None:
    check(changed(published={switch: True}), modalities)


@pytest.mark.parametrize("fusion", ["residual", "concat", "mean", "transformer"])
def test_the_published_code_as_a_whole_equals_its_description(fusion: str) -> None:
    check(changed(**TOGETHER), 3, fusion)


@pytest.mark.parametrize("switch", ["leak", "zeros_as_data"])
def test_switches_act_on_everything_that_reads_a_prediction(switch: str) -> None:
    more = {"capability": "shapley", "value": "probability", "completion_target": "fused_token", "distil_weight": 0.5}
    check(changed(published={switch: True}, detach_target=False, **more))
    check(changed(published={switch: True}, train_through=0.5))


@pytest.mark.parametrize("off", ["subset_weight", "completion_weight", "unimodal_weight"])
def test_a_part_of_weight_zero_is_left_out(off: str) -> None:
    check(changed(**{off: 0.0}))


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_without_any_use_for_subsets_the_weights_are_still_those_of_the_equations(capability: str) -> None:
    check(changed(subset_weight=0.0, completion_weight=0.0, capability=capability))


def test_subsets_that_all_fit_the_budget_are_the_listed_ones() -> None:
    check(changed(subsets="sampled", subset_budget=14, completion_weight=0.0), 4)


@given(data=st.data())
@settings(max_examples=6)
def test_everything_at_once_equals_the_equations(data: st.DataObject) -> None:
    batches = [data.draw(patterns(3, max_rows=5)) for _ in range(2)]
    choices = {
        "capability": data.draw(st.sampled_from(CAPABILITIES)),
        "value": data.draw(st.sampled_from(VALUES)),
        "rarity": data.draw(st.sampled_from(["global", "local", "raw", "off"])),
        "published": {name: data.draw(st.booleans()) for name in PUBLISHED},
    }
    check(changed(**choices, train_through=0.6, distil_weight=0.3), batches=batches)


@pytest.mark.parametrize(
    "choices", [{}, {"train_through": 1.0, "distil_weight": 1.0, "capability": "shapley"}, TOGETHER]
)
@given(data=st.data())
@settings(max_examples=6)
def test_the_order_of_rows_does_not_matter(choices: dict[str, Any], data: st.DataObject) -> None:
    available = data.draw(patterns(3, min_rows=2))
    order = data.draw(st.permutations(range(len(available))))
    spec, config = small_spec(3), changed(**choices)
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
        rule = OBJECTIVES["mce"](config, facts, np.random.default_rng(0))
        losses.append(float(rule(fresh(spec), given_batch, pattern).total.detach()))
    assert losses[0] == pytest.approx(losses[1], abs=1e-12)


def test_the_named_parts_add_up_to_the_total() -> None:
    spec, available = small_spec(3), rows_of([7, 3, 5, 1], 3)
    config = changed(train_through=0.3, distil_weight=0.6)
    loss = OBJECTIVES["mce"](config, facts_for(spec, [available]), np.random.default_rng(0))(
        fresh(spec), make_batch(spec, available), available
    )
    weights = {"task": 1.0, "unimodal": 0.7, "subset": 1.3, "completion": 0.4, "through": 0.3, "distil": 0.6}
    assert set(loss.parts) == set(weights)
    assert float(loss.total.detach()) == pytest.approx(sum(w * float(loss.parts[n]) for n, w in weights.items()))
    assert not any(part.requires_grad for part in loss.parts.values())
    assert set(rule_parts(CONFIG)) == {"task", "unimodal", "subset", "completion"}


def rule_parts(config: Any) -> dict[str, torch.Tensor]:
    spec, available = small_spec(3), rows_of([7, 3], 3)
    rule = OBJECTIVES["mce"](config, facts_for(spec, [available]), np.random.default_rng(0))
    return rule(fresh(spec), make_batch(spec, available), available).parts
