"""SCAFFOLD per component: the hand-sized case, what a step adds, what cancels over the federation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fedmce.config.schema import ScaffoldConfig
from fedmce.models import MultimodalNet, component_of, load_state, parameters_of, state_of
from fedmce.objectives import OBJECTIVES, SHARED, SiteFacts
from fedmce.objectives.shared import Said
from tests.oracles.worlds import facts_of, lively, make_batch, rows_of, small_spec

SPEC = small_spec(2, "mean", heads=False, completion=False)
RULE, CONFIG = SHARED["scaffold"], ScaffoldConfig()
SHOWN = [3, 1, 1, 3]  # modality b is in the first and the last row


def started(**known: Any) -> tuple[MultimodalNet, SiteFacts, Any]:
    net = lively(MultimodalNet(SPEC))
    state = state_of(net)
    zeros = {key: np.zeros_like(value) for key, value in state.items()}
    known = {"shared": zeros, "memory": {}, "received": state, "learning_rate": 0.1, "held": SPEC.names} | known
    facts = facts_of(SPEC, rows_of(SHOWN, 2), **known)
    return net, facts, OBJECTIVES["scaffold"](CONFIG, facts, np.random.default_rng(0))


def steps(net: MultimodalNet, objective: Any, codes: list[list[int]], lr: float = 0.1) -> list[dict[str, Any]]:
    """Plain steps over these batches; the uncorrected gradients of each."""
    seen = []
    for number, part in enumerate(codes):
        available = rows_of(part, 2)
        net.zero_grad(set_to_none=True)
        objective(net, make_batch(SPEC, available, seed=number), available).total.backward()
        seen.append({k: None if p.grad is None else p.grad.clone() for k, p in parameters_of(net).items()})
        objective.after_backward(net)
        with torch.no_grad():
            for p in net.parameters():
                if p.grad is not None:
                    p -= lr * p.grad
    return seen


def test_the_hand_sized_case() -> None:
    """x = 1, lr 0.1, tau = 5, controls 0, y = 0.5 and 1.25: c_k = 1 and -0.5, c = 0.25; over four sites not 0.125."""
    key = "encoder.a/w"
    said, own = {}, {}
    for site, y in (("north", 0.5), ("south", 1.25)):
        fresh = 0.0 - 0.0 + (1.0 - y) / (5 * 0.1)
        own[site] = fresh
        said[site] = Said({key: np.float32([fresh])}, {}, {"encoder.a": 5})
    assert own == pytest.approx({"north": 1.0, "south": -0.5})
    c = RULE.merge(CONFIG, SPEC, {key: np.zeros(1, "f4")}, said, {"encoder.a": 2})
    assert c[key] == pytest.approx(0.25)
    assert c[key][0] - own["north"] == pytest.approx(-0.75)  # what corrects the next gradient of the first site


def test_what_a_site_tells_is_the_mean_of_its_own_gradients() -> None:
    """From zero controls c_k becomes the mean gradient over the steps that had one, whatever the step size."""
    net, facts, objective = started()
    seen = steps(net, objective, [[3, 1], [1, 1], [1, 3]])
    told = objective.told(net, [])
    for key, change in told.items():
        had = [g[key] for g in seen if g[key] is not None]
        assert len(had) == (2 if component_of(key) == "encoder.b" else 3)
        np.testing.assert_allclose(change, torch.stack(had).mean(dim=0).numpy(), rtol=1e-4, atol=1e-5)
        assert np.array_equal(facts.memory[key], change)
    assert set(told) == set(RULE.told(CONFIG, SPEC, {k: v.shape for k, v in facts.received.items()}))


def test_a_step_goes_along_the_gradient_plus_c_less_c_k_and_only_where_there_is_one() -> None:
    draw = np.random.default_rng(3)
    state = state_of(MultimodalNet(SPEC))
    c, own = ({k: draw.normal(size=v.shape).astype(np.float32) for k, v in state.items()} for _ in range(2))
    net, facts, objective = started(shared=c, memory=dict(own))
    before = {k: p.detach().clone() for k, p in parameters_of(net).items()}
    (plain,) = steps(net, objective, [[1, 1]])
    for key, parameter in parameters_of(net).items():
        if plain[key] is None:
            assert component_of(key) == "encoder.b"
            assert torch.equal(parameter, before[key])
        else:
            expected = before[key] - 0.1 * (plain[key] + torch.from_numpy(c[key] - own[key]))
            torch.testing.assert_close(parameter.detach(), expected)
    told = objective.told(net, [])
    for key in state:
        if plain[key] is None:  # tau = 0: no division by it, and the control stays
            assert not told[key].any()
            assert np.array_equal(facts.memory[key], own[key])
        else:
            # With the correction of one step in it: c_k - c + (g + c - c_k) = g.
            np.testing.assert_allclose(facts.memory[key], plain[key].numpy(), rtol=1e-3, atol=1e-5)


def test_corrections_cancel_over_the_holders_while_all_take_part() -> None:
    """sum over holders of (c - c_k) = 0 in every round; divided by all sites it would not be."""
    holds = {"north": ("a", "b"), "south": ("a",), "west": ("a", "b")}
    holders = {"encoder.a": 3, "encoder.b": 2, "fusion": 3}
    c = RULE.initial(CONFIG, SPEC, state_of(MultimodalNet(SPEC)))
    memory: dict[str, dict[str, Any]] = {site: {} for site in holds}
    for number in range(3):
        said = {}
        for site, held in holds.items():
            net = lively(MultimodalNet(SPEC, held), seed=number)
            facts = facts_of(
                SPEC,
                rows_of(SHOWN, 2),
                shared=RULE.down(c, held),
                memory=memory[site],
                received=state_of(net),
                learning_rate=0.1,
                held=held,
            )
            objective = OBJECTIVES["scaffold"](CONFIG, facts, np.random.default_rng(0))
            steps(net, objective, [[3, 1]] if "b" in held else [[1, 1], [1, 1]])
            said[site] = Said(objective.told(net, []), {}, {})
        c = RULE.merge(CONFIG, SPEC, c, said, holders)
        for key, value in c.items():
            own = [memory[site][key] for site in holds if key in memory[site]]
            assert len(own) == holders[component_of(key)]
            np.testing.assert_allclose(sum(value - k for k in own), np.zeros_like(value), atol=2e-5)
    assert any(value.any() for value in c.values())


def test_zero_controls_leave_the_first_round_to_plain_steps() -> None:
    net, _, objective = started()
    twin = lively(MultimodalNet(SPEC))
    load_state(twin, state_of(net))
    plain = OBJECTIVES["task"](None, None, None)
    steps(net, objective, [[3, 1], [1, 3]])
    steps(twin, plain, [[3, 1], [1, 3]])
    for ours, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_running_statistics_have_no_control() -> None:
    keys = {"encoder.a/1.running_var": np.ones(2, "f4"), "encoder.a/1.weight": np.ones(2, "f4")}
    assert set(RULE.initial(CONFIG, SPEC, keys)) == {"encoder.a/1.weight"}
    assert set(RULE.told(CONFIG, SPEC, dict.fromkeys(keys, (2,)))) == {"encoder.a/1.weight"}
