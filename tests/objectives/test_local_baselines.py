"""FedProx, MOON, site-level dropout and late fusion: their equations on hand-sized cases."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch

from client.rounds import answer
from client.workplace import open_workplace
from fedmce.data import FederatedDataset
from fedmce.flower_compat import RecordDict, arrays_of
from fedmce.models import MultimodalNet, components, load_state, parameters_of, state_of
from fedmce.models.fusion import FusionInput
from fedmce.models.fusions import LateFusion
from fedmce.objectives.moon import model_contrast
from fedmce.objectives.site_dropout import SiteDropout, drawn_part
from tests.client.test_site import SCALES, order_for, part_for
from tests.objectives.baselines import SITE, facts_for, federated, gradients, refusal, rule_for
from tests.oracles.mce_rows import fused_logits, negative_log_likelihood, rows_in, tokens_of
from tests.oracles.net_rows import fused_state
from tests.oracles.worlds import lively, make_batch, rows_of, small_spec
from tests.server.made import made_config, made_dataset, same_bits, use

ALL = ("image", "sound", "blood")


def net_of(fusion: str = "residual") -> MultimodalNet:
    return lively(MultimodalNet(small_spec(3, fusion)))


def moved(net: MultimodalNet, by: float) -> dict[str, Any]:
    """The state from which every parameter of the network is ``by`` away."""
    return {key: value - np.float32(by) for key, value in state_of(net).items()}


# FedProx


def test_prox_adds_mu_times_the_distance_to_the_gradient() -> None:
    """g = 0.5, y = 1.2, x = 1.0, mu = 0.1: the gradient grows by 0.02."""
    net, batch = net_of(), make_batch(small_spec(3), SITE)
    rule = rule_for(net, "prox", facts_for(net, "prox", received=moved(net, 0.2)), mu=0.1)
    plain = gradients(net, rule_for(net, "task"), batch, SITE)
    first = gradients(net, rule, batch, SITE)
    assert all(torch.equal(a, b) for a, b in zip(plain.values(), first.values(), strict=True) if b is not None)
    found = gradients(net, rule, batch, SITE)  # from the second step on: at the first one nothing has moved
    for key, value in plain.items():
        if value is not None:
            torch.testing.assert_close(found[key] - value, torch.full_like(value, 0.02), atol=1e-6, rtol=0)


def test_a_step_with_prox_lands_where_the_hand_example_says() -> None:
    parameter, start = torch.tensor([1.2], requires_grad=True), 1.0
    (0.5 * parameter + 0.5 * 0.1 * (parameter - start).square()).sum().backward()
    assert float(parameter.detach() - 0.1 * parameter.grad) == pytest.approx(1.148)


def test_the_proximal_loss_is_half_mu_times_the_squared_distance() -> None:
    net, batch = net_of(), make_batch(small_spec(3), SITE)
    rule = rule_for(net, "prox", facts_for(net, "prox", received=moved(net, 0.5)), mu=0.3)
    gradients(net, rule, batch, SITE)
    touched = [p for p in net.parameters() if p.grad is not None]
    loss = rule(net, batch, SITE)
    count = sum(p.numel() for p in touched)
    assert float(loss.parts["prox"]) == pytest.approx(0.5 * 0.3 * count * 0.25, rel=1e-5)
    assert float(loss.total.detach()) == pytest.approx(float(loss.parts["task"] + loss.parts["prox"]))


def test_prox_gives_no_gradient_to_a_component_that_no_batch_has_trained() -> None:
    net, available = net_of(), rows_of([5, 1, 4], 3)
    rule = rule_for(net, "prox", mu=1.0)
    for _ in range(2):
        found = gradients(net, rule, make_batch(net.spec, available), available)
        assert all(found[key] is None for key in found if ".b." in key)
    found = gradients(net, rule, make_batch(net.spec, SITE), SITE)
    found = gradients(net, rule, make_batch(net.spec, available), available)
    assert all(found[key] is not None for key in found if key.startswith("encoder.b."))


def test_prox_holds_sites_nearer_to_the_common_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def travelled(mu: float) -> float:
        states = federated(monkeypatch, "fedprox", 1, objective__mu=mu, training__local_epochs=3)
        return sum(float(np.square(states[1].model[k] - v).sum()) for k, v in states[0].model.items())

    assert travelled(10.0) < 0.8 * travelled(0.01)


# MOON


def test_the_contrast_of_the_hand_example() -> None:
    """cos = .8 and .2, T = .5."""
    z = torch.tensor([[1.0, 0.0, 0.0]])
    near = torch.tensor([[0.8, 0.6, 0.0]]) * 3
    far = torch.tensor([[0.2, 0.0, 0.96**0.5]]) * 7
    assert float(model_contrast(z, near, far, 0.5)) == pytest.approx(0.263282, abs=1e-6)
    assert float(model_contrast(z, far, far * 2, 0.5)) == pytest.approx(np.log(2))
    assert torch.isfinite(model_contrast(z, near, far, 1e-6)).all()


def test_moon_is_the_mean_contrast_of_fused_state_and_tokens() -> None:
    net, batch = net_of(), make_batch(small_spec(3), SITE)
    received, previous = (lively(MultimodalNet(net.spec), seed) for seed in (1, 2))
    memory = {f"previous/{key}": value for key, value in state_of(previous).items()}
    rule = rule_for(net, "moon", facts_for(net, "moon", received=state_of(received), memory=memory), mu=0.7)
    loss = rule(net, batch, SITE)
    for one in (received, previous):
        load_state(one, state_of(one))  # what travels is float32
    by_part: dict[str, list[float]] = {}
    for row in rows_in(batch):
        tokens = [tokens_of(one, row) for one in (net, received, previous)]
        states = [fused_state(one, t, tuple(t)) for one, t in zip((net, received, previous), tokens, strict=True)]
        pairs = {"fused": states} | {m: [t[m] for t in tokens] for m in tokens[0]}
        for part, (z, z_g, z_p) in pairs.items():
            with_g, with_p = (torch.exp(torch.cosine_similarity(z, o, dim=0) / 0.5) for o in (z_g, z_p))
            by_part.setdefault(part, []).append(float(-torch.log(with_g / (with_g + with_p)).detach()))
    assert set(by_part) == {"fused", "a", "b", "c"}
    expected = np.mean([np.mean(values) for values in by_part.values()])
    assert float(loss.parts["contrast"]) == pytest.approx(expected, rel=1e-5)
    assert float(loss.total.detach()) == pytest.approx(float(loss.parts["task"]) + 0.7 * expected, rel=1e-5)


def test_moon_draws_to_the_received_model_and_away_from_the_previous_one() -> None:
    net, batch = net_of(), make_batch(small_spec(3), SITE)
    states = [state_of(lively(MultimodalNet(net.spec), seed)) for seed in (1, 2)]

    def contrast(received: dict[str, Any], previous: dict[str, Any]) -> float:
        memory = {f"previous/{key}": value for key, value in previous.items()}
        rule = rule_for(net, "moon", facts_for(net, "moon", received=received, memory=memory))
        return float(rule(net, batch, SITE).parts["contrast"])

    own = state_of(net)
    assert contrast(own, states[0]) < np.log(2) < contrast(states[0], own)


def test_the_first_participation_is_the_task_alone_and_the_next_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, found = (federated(monkeypatch, method, 2) for method in ("fedavg_owner", "moon"))
    assert same_bits(plain[1].model, found[1].model)
    assert not same_bits(plain[2].model, found[2].model)


def test_a_site_remembers_the_model_that_it_ended_with(made: FederatedDataset) -> None:
    place, memory = open_workplace(made_config("moon").to_json(), "cedar"), RecordDict()
    for number in (1, 2):
        said = answer(place, order_for(place, ALL, round=number), part_for(place, ALL), SCALES, memory)
        kept = arrays_of(memory.array_records["objective"])
        assert same_bits({k.removeprefix("previous/"): v for k, v in kept.items()}, said.trained)
        assert ("loss.contrast" in said.numbers) == (number == 2)


# site-level modality dropout


def test_how_many_are_dropped_is_uniform_and_then_which() -> None:
    """M_k = {a, v, l}: each single modality kept alone with probability 1/6, each pair 1/6."""
    draw, count = np.random.default_rng(0), 12_000
    seen = Counter(drawn_part(("a", "v", "l"), draw) for _ in range(count))
    parts = [frozenset(c) for size in (1, 2) for c in combinations("avl", size)]
    assert set(seen) == set(parts)
    assert all(abs(seen[p] / count - 1 / 6) < 4 * np.sqrt(5 / 36 / count) for p in parts)


def test_a_site_with_one_modality_drops_nothing() -> None:
    assert not drawn_part(("a",), np.random.default_rng(0))


def test_site_dropout_is_the_task_loss_of_what_is_left_of_the_rows_that_have_something() -> None:
    net, batch = net_of(), make_batch(small_spec(3), SITE)
    rule = SiteDropout(frozenset({"a", "c"}))
    by_row = []
    for row in rows_in(batch):
        tokens = tokens_of(net, row)
        if "b" in tokens:
            by_row.append(negative_log_likelihood(fused_logits(net, tokens, ("b",)), row.target))
    assert 0 < len(by_row) < batch.rows
    assert float(rule(net, batch, SITE).total.detach()) == pytest.approx(float(torch.stack(by_row).mean().detach()))
    found = gradients(net, rule, batch, SITE)
    assert all(found[key] is None for key in found if ".a." in key or ".c." in key)


def test_a_batch_of_rows_that_have_nothing_left_moves_nothing() -> None:
    net, available = net_of(), rows_of([1, 1], 3)
    found = gradients(net, rule := SiteDropout(frozenset({"a"})), make_batch(net.spec, available), available)
    assert all(gradient is None for gradient in found.values())
    assert rule(net, make_batch(net.spec, available), available).parts == {}


@pytest.mark.parametrize("round_number", range(1, 6))
def test_what_is_dropped_comes_back_as_it_was_and_does_not_count(made: FederatedDataset, round_number: int) -> None:
    changes = {"objective__rate": 1.0, "training__weight_decay": 0.1}
    place = open_workplace(made_config("site_dropout", **changes).to_json(), "ash")
    received = part_for(place, ALL)
    said = answer(place, order_for(place, ALL, round=round_number), received, SCALES, RecordDict())
    counted = {m for m in ALL if said.numbers[f"rows.encoder.{m}"] > 0}
    assert 1 <= len(counted) < 3
    for key, value in said.trained.items():
        modality = key.partition("/")[0].partition(".")[2]
        if modality and modality not in counted:
            assert value.tobytes() == received[key].tobytes()
            assert said.numbers[f"rows.{key.partition('/')[0]}"] == 0


# late fusion


def test_late_fusion_is_the_mean_probability_of_the_members() -> None:
    unimodal = torch.tensor([[[0.9, 0.1], [0.4, 0.6]]]).log() + torch.tensor([[[3.0], [-2.0]]])
    rows, member = torch.tensor([0, 0, 0]), torch.tensor([[True, True], [False, True], [True, False]])
    given = FusionInput(torch.zeros(1, 2, 4), None, unimodal, rows, member)
    logits, _ = LateFusion(small_spec(2, "late"))(given)
    expected = torch.tensor([[0.65, 0.35], [0.4, 0.6], [0.9, 0.1]])
    torch.testing.assert_close(logits.exp(), expected)
    torch.testing.assert_close(logits.softmax(dim=1), expected)


def test_a_network_with_late_fusion_has_no_fusion_component() -> None:
    kinds = {name.partition(".")[0] for name in components(state_of(MultimodalNet(small_spec(3, "late"))))}
    assert kinds == {"encoder", "head", "completion"}


def test_each_modality_learns_as_in_a_run_of_its_own() -> None:
    net, batch = net_of("late"), make_batch(small_spec(3), SITE)
    together = gradients(net, rule_for(net, "late_fusion"), batch, SITE)
    for column, m in enumerate(net.spec.names):
        rows = np.flatnonzero(SITE[:, column])
        alone = np.zeros((len(rows), 3), dtype=bool)
        alone[:, column] = True
        small = replace(
            batch,
            rows=len(rows),
            values={m: batch.values[m]},
            position={m: torch.arange(len(rows))},
            targets=batch.targets[rows],
        )
        single = gradients(net, rule_for(net, "late_fusion"), small, alone)
        for key, value in single.items():
            assert (value is not None) == (f".{m}." in key and not key.startswith("completion"))
            if value is not None:
                torch.testing.assert_close(together[key], value)


def test_single_scores_of_late_fusion_are_those_of_a_federation_that_has_one_modality(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """D2: full batches without shuffling effects; every site's rows of blood, once beside others and once alone."""
    whole = {"training__batch_size": 64, "training__optimiser": "sgd"}
    rates = {"birch": {"sound": 1.0}, "cedar": {"image": 0.5}, "dale": {"image": 1.0}}
    states = []
    for lack in ({}, {"image": 1.0, "sound": 1.0}):
        table = {site: rates.get(site, {}) | lack for site in ("ash", "birch", "cedar", "dale")}
        states.append(federated(monkeypatch, "late_fusion", 3, missingness__table=table, **whole)[-1].model)
    mine = [{k: v for k, v in s.items() if ".blood/" in k} for s in states]
    assert mine[0].keys() == mine[1].keys() == {k for k in states[0] if ".blood/" in k}
    for key in mine[0]:
        np.testing.assert_allclose(mine[0][key], mine[1][key], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("fusion", ["residual", "concat", "mean", "transformer", "additive"])
def test_late_fusion_with_a_fusion_that_nobody_trains_is_refused(fusion: str) -> None:
    assert f"model.fusion={fusion}: objective=late_fusion trains heads alone" in refusal(
        "method=late_fusion", f"model={fusion}"
    )


def test_parameters_are_named_like_the_state_and_leave_buffers_out() -> None:
    net = net_of()
    net.encoder["a"].register_buffer("running_mean", torch.zeros(2))
    assert set(state_of(net)) - set(parameters_of(net)) == {"encoder.a/running_mean"}
    assert not set(parameters_of(net)) - set(state_of(net))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> FederatedDataset:
    """The made data set, in place of every other, in the precision of a run."""
    torch.set_default_dtype(torch.float32)
    return use(monkeypatch, made_dataset())
