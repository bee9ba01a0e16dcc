"""OGM-GE: the hand example, three modalities, thin batches, and what is done to which gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fedmce.cli.compose import load_config
from fedmce.models import MultimodalNet
from fedmce.objectives.ogm_ge import OgmGe, modulation
from tests.objectives.baselines import SITE, gradients, refusal, rule_for
from tests.oracles.mce_rows import fused_logits, rows_in, tokens_of
from tests.oracles.worlds import Bools, lively, make_batch, rows_of, small_spec


def scores(*sums: float, rows: int = 10) -> torch.Tensor:
    """Probabilities of the right class whose sums over the rows are these."""
    return torch.tensor([sums]).repeat(rows, 1) / rows


def every(probability: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(probability, dtype=torch.bool)


@pytest.mark.parametrize(("alpha", "factor"), [(0.1, 0.802625), (0.8, 0.078331)])
def test_the_factor_of_the_hand_example(alpha: float, factor: float) -> None:
    given = scores(6.0, 3.0)
    found, compared = modulation(given, every(given), alpha)
    torch.testing.assert_close(found, torch.tensor([factor, 1.0]), atol=1e-6, rtol=0)
    assert compared.all()


def test_with_three_modalities_the_ratio_is_the_mean_of_ratios() -> None:
    """s = (6, 3, 2): 2.5 for the first, mean(1/2, 3/2) = 1 for the second, which is not above 1."""
    given = scores(6.0, 3.0, 2.0)
    found, _ = modulation(given, every(given), 0.1)
    expected = [1 - np.tanh(0.25), 1.0, 1.0]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-12, rtol=1e-7)


def test_only_rows_that_hold_both_are_compared() -> None:
    probability = torch.tensor([[0.8, 0.4], [0.8, 0.4], [0.0, 0.9], [0.9, float("nan")]])
    available = torch.tensor([[True, True], [True, True], [False, True], [True, False]])
    found, compared = modulation(probability, available, 0.1)
    torch.testing.assert_close(found, torch.tensor([1 - np.tanh(0.2), 1.0]))
    assert compared.all()


@pytest.mark.parametrize("codes", [[1, 1, 1], [3, 1, 2], [1, 2, 4, 4], [7]])
def test_without_two_common_rows_nothing_is_modulated(codes: list[int]) -> None:
    available = torch.from_numpy(rows_of(codes, 3))
    found, compared = modulation(torch.rand(len(codes), 3), available, 0.9)
    assert (found == 1).all()
    assert not compared.any()


def test_a_modality_that_is_never_right_does_not_make_the_other_infinite() -> None:
    given = scores(6.0, 0.0)
    found, _ = modulation(given, every(given), 0.3)
    torch.testing.assert_close(found, torch.tensor([0.0, 1.0]))


def factors_of(net: MultimodalNet, available: Bools, alpha: float) -> dict[str, float]:
    """k_m by loops over the rows."""
    rows = rows_in(make_batch(net.spec, available))
    right = [
        {m: float(net.head[m](t).softmax(0)[row.target].detach()) for m, t in tokens_of(net, row).items()}
        for row in rows
    ]
    found = {}
    for m in net.spec.names:
        ratios = []
        for j in net.spec.names:
            both = [r for r in right if m in r and j in r]
            if j != m and len(both) >= 2:
                ratios.append(sum(r[m] for r in both) / sum(r[j] for r in both))
        rho = float(np.mean(ratios)) if ratios else 0.0
        found[m] = 1 - np.tanh(alpha * rho) if rho > 1 else 1.0
    return found


def test_weights_of_encoders_are_scaled_and_nothing_else_is() -> None:
    net = lively(MultimodalNet(small_spec(3, "additive")))
    batch = make_batch(net.spec, SITE)
    plain = gradients(net, rule_for(net, "task"), batch, SITE)
    found = gradients(net, rule_for(net, "ogm_ge", alpha=0.4, noise=0.0), batch, SITE)
    factor = factors_of(net, SITE, 0.4)
    assert min(factor.values()) < 1
    assert max(factor.values()) == 1
    for key, value in plain.items():
        if value is None:
            assert found[key] is None
            continue
        part, modality = key.split(".")[:2]
        k = factor[modality] if part == "encoder" and value.dim() >= 2 else 1.0
        torch.testing.assert_close(found[key], k * value)


def test_noise_has_the_spread_of_the_gradient_as_it_came() -> None:
    net = lively(MultimodalNet(small_spec(2, "additive")))
    available = rows_of([3] * 6, 2)
    batch = make_batch(net.spec, available)
    still = gradients(net, rule_for(net, "ogm_ge", alpha=0.9, noise=0.0), batch, available)
    plain = gradients(net, rule_for(net, "task"), batch, available)
    drawn: dict[str, list[torch.Tensor]] = {}
    rule = rule_for(net, "ogm_ge", alpha=0.9, noise=1.0)
    for _ in range(400):
        for key, value in gradients(net, rule, batch, available).items():
            if value is not None:
                drawn.setdefault(key, []).append(value - still[key])
    for key, noise in drawn.items():
        spread = float(plain[key].std()) if key.startswith("encoder") and plain[key].dim() >= 2 else 0.0
        assert float(torch.stack(noise).std()) == pytest.approx(spread, rel=0.05, abs=1e-12)
        assert abs(float(torch.stack(noise).mean())) <= 0.02 * spread + 1e-12


def test_a_site_with_one_modality_is_left_alone() -> None:
    net = lively(MultimodalNet(small_spec(3, "additive")))
    available = rows_of([2, 2, 2], 3)
    batch = make_batch(net.spec, available)
    plain, found = (gradients(net, rule_for(net, name), batch, available) for name in ("task", "ogm_ge"))
    assert all(
        (a is None and b is None) or torch.equal(a, b) for a, b in zip(plain.values(), found.values(), strict=True)
    )


def test_additive_logits_sum_to_the_prediction() -> None:
    net = lively(MultimodalNet(small_spec(3, "additive")))
    for row in rows_in(make_batch(net.spec, SITE)):
        tokens = tokens_of(net, row)
        expected = sum(net.head[m](t) for m, t in tokens.items())
        torch.testing.assert_close(fused_logits(net, tokens, tuple(tokens)), expected)


def test_noise_follows_the_seed_of_the_site() -> None:
    net, available = lively(MultimodalNet(small_spec(2, "additive"))), rows_of([3] * 4, 2)
    batch = make_batch(net.spec, available)
    first, again, other = (gradients(net, rule_for(net, "ogm_ge", seed=s), batch, available) for s in (0, 0, 1))
    key = "encoder.a.1.weight"
    assert torch.equal(first[key], again[key])
    assert not torch.equal(first[key], other[key])


def test_adam_is_refused_since_it_divides_the_factor_out() -> None:
    assert "objective=ogm_ge scales gradients, which Adam divides out again; needed optimiser=sgd" in refusal(
        "method=ogm_ge", "training.optimiser=adam"
    )
    assert load_config(["method=ogm_ge"]).training.optimiser == "sgd"


@pytest.mark.parametrize("fusion", ["concat", "mean", "transformer"])
def test_fusions_that_do_not_train_heads_are_refused(fusion: str) -> None:
    assert f"model.fusion={fusion}: objective=ogm_ge" in refusal("method=ogm_ge", f"model={fusion}")


def test_the_objective_is_one_of_gradients_alone() -> None:
    net = lively(MultimodalNet(small_spec(3, "additive")))
    batch = make_batch(net.spec, SITE)
    rule = rule_for(net, "ogm_ge")
    assert isinstance(rule, OgmGe)
    assert torch.equal(rule(net, batch, SITE).total, rule_for(net, "task")(net, batch, SITE).total)
