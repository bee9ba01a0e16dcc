"""FLISM: its three losses by loops, the entropy that it tells, the equal-weight model, and the weights of sites."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fedmce.aggregation import WEIGHTINGS
from fedmce.models import MultimodalNet, load_state, modality_of, select, state_of
from fedmce.objectives import SHARED
from fedmce.objectives.contrast import class_contrast
from fedmce.objectives.shared import Said
from tests.objectives.baselines import SECTIONS, SITE, facts_for, federated, refusal, rule_for
from tests.oracles.mce_rows import fused_logits, rows_in, tokens_of
from tests.oracles.net_rows import fused_state
from tests.oracles.worlds import lively, make_batch, rows_of, small_spec
from tests.server.made import same_bits

RULE, CONFIG = SHARED["flism"], SECTIONS["flism"]()


def net_of(seed: int = 0) -> MultimodalNet:
    return lively(MultimodalNet(small_spec(3)), seed)


def contrast_by_loops(states: list[torch.Tensor], classes: list[int], temperature: float) -> float:
    """Khosla et al., eq. 2."""
    unit = [s / s.norm() for s in states]
    found = []
    for i, anchor in enumerate(unit):
        others = [j for j in range(len(unit)) if j != i]
        below = sum(math.exp(float(anchor @ unit[j]) / temperature) for j in others)
        friends = [j for j in others if classes[j] == classes[i]]
        logs = [math.log(math.exp(float(anchor @ unit[p]) / temperature) / below) for p in friends]
        if friends:
            found.append(-sum(logs) / len(friends))
    return float(np.mean(found))


def test_the_contrast_is_the_one_of_the_paper() -> None:
    states = torch.randn(9, 5, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([0, 1, 0, 2, 2, 1, 0, 3, 1])  # class 3 has one member: it says nothing
    expected = contrast_by_loops(list(states), classes.tolist(), 0.1)
    assert float(class_contrast(states, classes, states, classes, 0.1, same=True)) == pytest.approx(expected)


def test_the_contrast_of_two_views_of_one_row_is_zero() -> None:
    states, classes = torch.randn(2, 5), torch.tensor([1, 1])
    assert float(class_contrast(states, classes, states, classes, 0.1, same=True)) == pytest.approx(0.0, abs=1e-12)


def test_the_second_view_lacks_one_part_for_the_whole_round() -> None:
    """With noise 0 it is the fused state of what is left, of the rows that have something left."""
    net = net_of()
    for seed in range(6):
        facts = facts_for(net, "flism", round=1)
        rule = rule_for(net, "flism", facts, seed=seed, noise=0.0, contrast_weight=1.0)
        dropped = rule._dropped
        assert 0 < len(dropped) < 3
        loss = rule(net, batch := make_batch(net.spec, SITE), SITE)
        first, second, classes = [], [], []
        for row in rows_in(batch):
            tokens = tokens_of(net, row)
            left = [m for m in tokens if m not in dropped]
            if left:
                first.append(fused_state(net, tokens, tuple(tokens)).detach())
                second.append(fused_state(net, tokens, left).detach())
                classes.append(row.target)
        expected = contrast_by_loops(first + second, classes * 2, 0.1)
        assert float(loss.parts["contrast"]) == pytest.approx(expected, rel=1e-6)
        assert float(loss.total.detach()) == pytest.approx(float(loss.parts["task"]) + expected, rel=1e-6)
        assert rule._dropped == dropped


def test_noise_falls_on_the_samples_of_the_second_view_alone() -> None:
    net, batch = net_of(), make_batch(small_spec(3), SITE)
    loud, still = (rule_for(net, "flism", seed=3, noise=n)(net, batch, SITE).parts for n in (0.7, 0.0))
    assert torch.equal(loud["task"], still["task"])
    assert torch.equal(loud["distil"], still["distil"])
    assert not torch.equal(loud["contrast"], still["contrast"])
    view = rule_for(net, "flism", noise=0.7)._noisy(many := make_batch(net.spec, rows_of([7] * 3000, 3)))
    apart = torch.cat([(view.values[m] - many.values[m]).flatten() for m in many.values])
    assert float(apart.std()) == pytest.approx(0.7, rel=0.03)
    assert float(apart.mean()) == pytest.approx(0.0, abs=0.03)


def test_distillation_is_the_divergence_of_the_prediction_from_the_teachers() -> None:
    net, teacher = net_of(), net_of(5)
    shared = {f"teacher/{key}": value for key, value in state_of(teacher).items()}
    facts = facts_for(net, "flism", shared=shared)
    loss = rule_for(net, "flism", facts, contrast_weight=0.0)(net, batch := make_batch(net.spec, SITE), SITE)
    load_state(teacher, state_of(teacher))
    found = []
    for row in rows_in(batch):
        p, q = (fused_logits(n, t := tokens_of(n, row), tuple(t)).softmax(0).detach() for n in (teacher, net))
        found.append(float((p * (p / q).log()).sum()))
    assert float(loss.parts["distil"]) == pytest.approx(np.mean(found), rel=1e-5)
    own = facts_for(net, "flism", shared={f"teacher/{key}": value for key, value in state_of(net).items()})
    assert float(rule_for(net, "flism", own)(net, batch, SITE).parts["distil"]) == pytest.approx(0.0, abs=1e-9)


def test_there_is_no_teacher_in_the_first_round() -> None:
    net = net_of()
    rule = rule_for(net, "flism", facts_for(net, "flism", round=1))
    assert "distil" not in rule(net, make_batch(net.spec, SITE), SITE).parts


def test_a_site_with_one_modality_has_no_second_view() -> None:
    net = lively(MultimodalNet(small_spec(3), held=("b",)))
    facts = facts_for(net, "flism")
    facts = replace(facts, shared=RULE.down(facts_for(net_of(), "flism").shared, ("b",)))
    available = rows_of([2, 2, 2], 3)
    parts = rule_for(net, "flism", facts)(net, make_batch(net.spec, available), available).parts
    assert set(parts) == {"task", "distil"}


def entropy_of(net: MultimodalNet, floor: float = 0.05) -> float:
    available = SITE
    cut = [(make_batch(net.spec, available[:3]), available[:3]), (make_batch(net.spec, available[3:]), available[3:])]
    with torch.no_grad():
        told = rule_for(net, "flism", facts_for(net, "flism"), entropy_floor=floor).told(net, cut)
    assert told["entropy"].shape == ()
    return float(told["entropy"])


def test_the_entropy_is_that_of_the_predictions_and_has_a_floor() -> None:
    net, expected = net_of(), []
    for part in (SITE[:3], SITE[3:]):
        for row in rows_in(make_batch(net.spec, part)):
            p = fused_logits(net, t := tokens_of(net, row), tuple(t)).softmax(0).detach()
            expected.append(float(-(p * p.log()).sum()))
    assert entropy_of(net, 1e-6) == pytest.approx(np.mean(expected), rel=1e-5)
    with torch.no_grad():
        for part in (net.fusion.out, *net.head.values()):
            part.weight.zero_()
            part.bias.zero_()
    assert entropy_of(net) == pytest.approx(math.log(3))
    with torch.no_grad():
        net.fusion.out.bias.copy_(torch.tensor([1000.0, 0.0, 0.0]))
    assert entropy_of(net) == pytest.approx(0.05 * math.log(3))


def test_sites_weigh_one_over_their_entropy() -> None:
    found = WEIGHTINGS["inverse_entropy"]({"a": 5.0, "b": 900.0}, {"a": 0.5, "b": 1.0})
    assert found == pytest.approx({"a": 2 / 3, "b": 1 / 3})


def test_the_equal_weight_model_is_the_plain_mean_of_who_trained_a_component() -> None:
    arrays = {"teacher/encoder.a/w": np.full(2, 9.0, "f4"), "teacher/fusion/w": np.zeros(2, "f4"),
              "teacher/encoder.b/w": np.full(2, 5.0, "f4")}  # fmt: skip
    said = {
        "s": Said({}, {"encoder.a/w": np.full(2, 1.0, "f4"), "fusion/w": np.full(2, 1.0, "f4")}, {"encoder.a": 10, "fusion": 1}),
        "t": Said({}, {"encoder.a/w": np.full(2, 3.0, "f4"), "fusion/w": np.full(2, 5.0, "f4")}, {"encoder.a": 90, "fusion": 1}),
        "u": Said({}, {"encoder.a/w": np.full(2, 7.0, "f4"), "fusion/w": np.full(2, 6.0, "f4")}, {"encoder.a": 0, "fusion": 1}),
    }  # fmt: skip
    found = RULE.merge(CONFIG, small_spec(3), arrays, said, {})
    assert {key: value[0] for key, value in found.items()} == {
        "teacher/encoder.a/w": 2.0, "teacher/fusion/w": 4.0, "teacher/encoder.b/w": 5.0,
    }  # fmt: skip


def test_a_site_gets_the_part_of_the_teacher_that_it_can_use() -> None:
    whole = RULE.initial(CONFIG, small_spec(3), state_of(net_of()))
    part = RULE.down(whole, ("b",))
    assert {modality_of(key.removeprefix("teacher/").partition("/")[0]) for key in part} == {"b", None}
    assert part.keys() < whole.keys()


def test_with_equal_weights_the_teacher_is_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    uniform = federated(monkeypatch, "flism", 2, aggregation__weighting="uniform")[-1]
    plain = {key.removeprefix("teacher/"): value for key, value in uniform.shared.items()}
    assert same_bits(plain, uniform.model)
    weighted = federated(monkeypatch, "flism", 2)[-1]
    assert not same_bits({k.removeprefix("teacher/"): v for k, v in weighted.shared.items()}, weighted.model)
    # A component with one holder has but one weight.
    assert select(weighted.model, ["fusion"])


def test_weighting_by_entropy_needs_somebody_who_tells_it() -> None:
    assert "aggregation.weighting=inverse_entropy: objective=task tells no entropy" in refusal(
        "method=fedavg_owner", "aggregation=inverse_entropy"
    )
