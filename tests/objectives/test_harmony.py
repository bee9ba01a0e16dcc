"""Harmony at a site: modality by modality, then fusion with a smaller step of the encoders, and what is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fedmce.config.schema import HarmonyConfig
from fedmce.models import MultimodalNet, component_of, parameters_of, state_of
from fedmce.objectives import OBJECTIVES, SHARED
from fedmce.objectives.harmony import DISTANCE, cosine_distance
from fedmce.objectives.shared import Said
from tests.oracles.worlds import facts_of, lively, make_batch, rows_of, small_spec

SPEC = small_spec(2, completion=False)
CONFIG = HarmonyConfig()
RULE = SHARED["harmony"]


def objective_of(round_number: int, **known: Any) -> tuple[MultimodalNet, Any, Any]:
    net = lively(MultimodalNet(SPEC))
    known = {"received": state_of(net), "held": SPEC.names, "round": round_number, "rounds": 6, "memory": {}} | known
    facts = facts_of(SPEC, rows_of([3, 1, 3], 2), **known)
    return net, facts, OBJECTIVES["harmony"](CONFIG, facts, np.random.default_rng(0))


def gradients(net: MultimodalNet, objective: Any, codes: list[int]) -> dict[str, torch.Tensor | None]:
    net.zero_grad(set_to_none=True)
    available = rows_of(codes, 2)
    objective(net, make_batch(SPEC, available), available).total.backward()
    return {key: p.grad for key, p in parameters_of(net).items()}


@pytest.mark.parametrize(("rounds", "first"), [(1, 1), (2, 1), (3, 2), (6, 4), (30, 20), (32, 21)])
def test_both_stages_share_the_rounds_of_the_run(rounds: int, first: int) -> None:
    assert HarmonyConfig().first_stage(rounds) == first


def test_stage_1_trains_each_modality_as_if_it_were_alone() -> None:
    """No gradient of one modality depends on whether the other is there; fusion is not touched."""
    net, _, objective = objective_of(4)
    both = gradients(net, objective, [3, 3, 1])
    alone = gradients(net, objective, [1, 1, 1])
    for key, gradient in both.items():
        if component_of(key) in ("encoder.a", "head.a"):
            assert gradient is not None
            torch.testing.assert_close(gradient, alone[key])
        assert (gradient is None) == (component_of(key).split(".")[0] not in ("encoder", "head"))


def test_stage_2_trains_fusion_and_encoders_and_asks_for_the_smaller_step() -> None:
    net, _, objective = objective_of(5)
    assert objective.emphasis().step == {"a": 0.1, "b": 0.1}
    assert objective_of(4)[2].emphasis().step == {}
    assert all(g is not None for g in gradients(net, objective, [3, 3, 1]).values())


def test_what_is_told_is_how_far_each_encoder_turned_since_stage_1() -> None:
    """Over all of stage 2, not over the last round, and -1 for what the site does not hold."""
    memory: dict[str, Any] = {}
    _, facts, _ = objective_of(5, memory=memory)
    start = {k: v for k, v in facts.received.items() if component_of(k).startswith("encoder.")}
    assert memory.keys() == start.keys()
    later, _, objective = objective_of(6, memory=memory, received=state_of(lively(MultimodalNet(SPEC), seed=8)))
    with torch.no_grad():
        for p in later.encoder["a"].parameters():
            p.mul_(3.0)  # a length is no direction
        for p in later.encoder["b"].parameters():
            p.neg_()
    told = objective.told(later, [])[DISTANCE]
    assert told.dtype == np.float32
    np.testing.assert_allclose(told, [0.0, 2.0], atol=1e-6)
    _, _, narrow = objective_of(6, memory=dict(memory), held=("a",))
    assert narrow.told(MultimodalNet(SPEC, ("a",)), [])[DISTANCE][1] == -1.0


def test_cosine_distance_by_hand() -> None:
    one, other = np.float32([1, 0]), np.float32([1, 1])
    assert cosine_distance([one], [other]) == pytest.approx(1 - 1 / np.sqrt(2))
    assert cosine_distance([one, other], [one, other]) == 0.0
    assert cosine_distance([0 * one], [other]) == 0.0


def test_only_a_site_that_keeps_its_encoders_has_a_distance_to_tell() -> None:
    stage_1 = {"encoder.a/w": (2,), "head.a/w": (2,), "fusion/w": (1,)}
    assert RULE.told(CONFIG, SPEC, stage_1) == {}
    assert RULE.told(CONFIG, SPEC, {"fusion/w": (1,)}) == {DISTANCE: (2,)}
    assert objective_of(3)[2].told(MultimodalNet(SPEC), []) == {}


def test_a_site_that_skips_a_round_keeps_what_it_told_as_it_was() -> None:
    known = RULE.merge(CONFIG, SPEC, {}, {"x": Said({DISTANCE: np.float32([0.8, 0.1])}, {}, {})}, {})
    known = RULE.merge(CONFIG, SPEC, known, {"y": Said({DISTANCE: np.float32([0.1, 0.4])}, {}, {})}, {})
    np.testing.assert_array_equal(known["distance/x"], np.float32([0.8, 0.1]))
    assert set(known) == {"distance/x", "distance/y"}
    assert RULE.down(known, ("a",)) == {}
