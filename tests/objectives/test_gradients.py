"""Laws 1, 3 and 6: what is absent, alone or a target moves nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmce.config.schema import MceConfig, ModalityDropoutConfig, TaskObjectiveConfig
from fedmce.missingness import SiteMask, observe
from fedmce.models import Batch, MultimodalNet, NetworkSpec
from fedmce.objectives import OBJECTIVES, Loss
from fedmce.objectives.completion import completion_loss, hidden_terms
from fedmce.objectives.pairs import all_pairs
from fedmce.training import DeviceRows
from tests.oracles.worlds import (
    Bools,
    facts_of,
    lively,
    make_batch,
    make_site,
    patterns,
    plain_statistics,
    rows_of,
    small_spec,
)

Named = Any
EVERYTHING = MceConfig(train_through=0.5, distil_weight=0.5, capability="shapley")
CONFIGS = [
    MceConfig(),
    EVERYTHING,
    MceConfig(capability="adaptive", completion_target="fused_token", subsets="sampled", subset_budget=2),
    MceConfig(capability="published", rarity="raw", normalise=False, weight_cap=None),
    TaskObjectiveConfig(),
    ModalityDropoutConfig(rate=0.4),
]
NAMED = ["mce", "everything", "sampled", "published", "task", "dropout"]


def net_for(config: Named, fusion: str = "residual", modalities: int = 3) -> MultimodalNet:
    target = getattr(config, "completion_target", "token")
    return lively(MultimodalNet(small_spec(modalities, fusion, completion_target=target)))


def loss_of(net: MultimodalNet, config: Named, batch: Batch, available: Bools) -> Loss:
    facts = facts_of(net.spec, rows_of([7, 7, 1, 2, 4], 3))
    return OBJECTIVES[config.name](config, facts, np.random.default_rng(0))(net, batch, available)


def touched(net: MultimodalNet) -> set[str]:
    """Modules, such as ``encoder.a``, that have a gradient, be it zero."""
    return {".".join(name.split(".")[:2]) for name, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("config", CONFIGS, ids=NAMED)
@pytest.mark.parametrize("fusion", ["concat", "mean", "residual", "transformer"])
def test_a_batch_without_a_modality_gives_its_components_no_gradient_at_all(config: Named, fusion: str) -> None:
    net = net_for(config, fusion)
    available = rows_of([5, 1, 4, 5], 3)
    loss = loss_of(net, config, make_batch(net.spec, available), available)
    loss.total.backward()
    assert torch.isfinite(loss.total)
    assert not touched(net) & {"encoder.b", "projection.b", "head.b", "completion.b"}
    assert {"encoder.a", "encoder.c"} <= touched(net)


@given(available=patterns(3))
@settings(max_examples=15)
def test_the_loss_of_any_batch_is_finite(available: Bools) -> None:
    for config in CONFIGS:
        net = net_for(config)
        loss = loss_of(net, config, make_batch(net.spec, available), available)
        loss.total.backward()
        assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def test_rows_with_one_modality_add_nothing_to_subset_and_completion() -> None:
    net, even = lively(MultimodalNet(small_spec(3))), MceConfig(rarity="off", capability="off")
    without, beside = rows_of([7, 3], 3), rows_of([7, 3, 1, 2, 4], 3)
    few = loss_of(net, even, make_batch(net.spec, without), without).parts
    many = loss_of(net, even, make_batch(net.spec, beside), beside).parts
    assert float(many["subset"]) * 5 == pytest.approx(float(few["subset"]) * 2, abs=1e-12)
    assert float(many["completion"]) == pytest.approx(float(few["completion"]), abs=1e-12)
    assert float(few["subset"]) > 0 < float(few["completion"])


@pytest.mark.parametrize("codes", [[1], [1, 2, 4], [2, 2]])
def test_a_batch_of_single_modalities_has_zero_subset_and_completion_loss(codes: list[int]) -> None:
    net = lively(MultimodalNet(small_spec(3)))
    available = rows_of(codes, 3)
    parts = loss_of(net, MceConfig(), make_batch(net.spec, available), available).parts
    assert float(parts["subset"]) == 0.0
    assert float(parts["completion"]) == 0.0


def gradient_of_tokens(detach_target: bool, detach_source: bool) -> torch.Tensor:
    """Of L_comp of one row whose first token is read and whose second one is guessed."""
    net, available = lively(MultimodalNet(small_spec(2))), rows_of([3], 2)
    tokens = torch.randn(1, 2, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    pairs = all_pairs(available)
    plan = hidden_terms(pairs, available)
    only_a = torch.tensor([1.0, 0.0]) if pairs.subset[plan.pair[0]] == 1 else torch.tensor([0.0, 1.0])
    row, member = torch.from_numpy(pairs.row), torch.from_numpy(pairs.member)
    source, target = (tokens.detach() if stop else tokens for stop in (detach_source, detach_target))
    completion_loss(net, source, target, plan, row, member, only_a, "smooth_l1").backward()
    assert tokens.grad is not None
    # Column of the guessed token last.
    return tokens.grad[0] if only_a[1] else tokens.grad[0].flip(0)


def test_gradient_of_a_completion_reaches_its_target_or_its_source_only_where_it_may() -> None:
    stopped = gradient_of_tokens(detach_target=True, detach_source=False)
    assert stopped[0].any()
    assert not stopped[1].any()
    collapsing = gradient_of_tokens(detach_target=False, detach_source=False)
    assert collapsing[0].any()
    assert collapsing[1].any()
    assert not gradient_of_tokens(detach_target=False, detach_source=True)[0].any()


def completion_alone(**choices: Any) -> MultimodalNet:
    """Gradients of L_comp and nothing else: all other parts have weight 0 and the task its own network."""
    config = MceConfig(unimodal_weight=0, subset_weight=0, completion_weight=1, **choices)
    with_it, without = net_for(config), net_for(config)
    available = rows_of([7, 3, 6], 3)
    for net, one in ((with_it, config), (without, config.model_copy(update={"completion_weight": 0.0}))):
        loss_of(net, one, make_batch(net.spec, available), available).total.backward()
    for mine, other in zip(with_it.parameters(), without.parameters(), strict=True):
        if mine.grad is not None and other.grad is not None:
            mine.grad -= other.grad
    return with_it


def moved(net: MultimodalNet, part: str) -> bool:
    return any(p.grad is not None and float(p.grad.abs().max()) > 1e-12 for p in getattr(net, part).parameters())


@pytest.mark.parametrize("target", ["token", "fused_token"])
def test_completion_moves_encoders_through_what_it_reads_unless_that_is_detached(target: str) -> None:
    assert moved(completion_alone(completion_target=target), "encoder")
    assert not moved(completion_alone(completion_target=target, detach_source=True), "encoder")
    assert moved(completion_alone(completion_target=target, detach_source=True, detach_target=False), "encoder")
    assert moved(completion_alone(completion_target=target, detach_source=True), "completion")


def test_the_fused_target_moves_the_fusion_only_if_it_is_not_detached() -> None:
    assert not moved(completion_alone(completion_target="fused_token"), "fusion")
    assert moved(completion_alone(completion_target="fused_token", detach_target=False), "fusion")


@pytest.mark.parametrize("choices", [{}, {"detach_source": True, "detach_target": False}])
def test_a_hidden_token_is_guessed_from_its_own_row(choices: dict[str, Any]) -> None:
    """Tokens of another row have no part in it, neither as source nor as target."""
    config = MceConfig(unimodal_weight=0, subset_weight=0, rarity="off", capability="off", **choices)
    net, available = net_for(config), rows_of([7, 7], 3)
    batch = make_batch(net.spec, available)
    parts = [
        float(loss_of(net, config, make_batch(net.spec, available[:1]), available[:1]).parts["completion"]),
        float(loss_of(net, config, batch, available).parts["completion"]),
    ]
    second = Batch(
        1,
        {n: v[1:] for n, v in batch.values.items()},
        {n: p[:1] for n, p in batch.position.items()},
        batch.targets[1:],
        torch.tensor([0]),
    )
    parts.append(float(loss_of(net, config, second, available[1:]).parts["completion"]))
    assert parts[1] == pytest.approx((parts[0] + parts[2]) / 2, abs=1e-12)


def test_completion_never_reads_the_token_that_it_guesses() -> None:
    net = lively(MultimodalNet(small_spec(3)))
    tokens, member = torch.randn(1, 3, 4), torch.tensor([[True, False, True]])
    changed = tokens.clone()
    changed[0, 1] = float("nan")
    assert torch.equal(net.completion["b"](tokens, member), net.completion["b"](changed, member))


def test_what_a_row_never_held_is_not_completed() -> None:
    net = lively(MultimodalNet(small_spec(3)))
    available = rows_of([3, 3], 3)
    for config in (MceConfig(), EVERYTHING):
        loss_of(net, config, make_batch(net.spec, available), available).total.backward()
        assert {"completion.a", "completion.b"} <= touched(net)
        assert not touched(net) & {"completion.c", "encoder.c", "head.c", "projection.c"}


@pytest.mark.parametrize("choices", [{}, {"train_through": 0.7, "distil_weight": 0.4, "detach_target": False}])
@given(available=patterns(3, min_rows=2))
@settings(max_examples=8)
def test_an_encoder_learns_from_the_rows_that_hold_its_modality_alone(
    choices: dict[str, Any], available: Bools
) -> None:
    net = lively(MultimodalNet(small_spec(3)))
    holding = available[:, 1]
    batch = make_batch(net.spec, available)
    wrong = Batch(batch.rows, batch.values, batch.position, batch.targets.clone())
    wrong.targets[torch.from_numpy(~holding)] = (wrong.targets[torch.from_numpy(~holding)] + 1) % 3
    gradients = []
    for one in (batch, wrong):
        net.zero_grad()
        # The gap is off: through it, rows change the weight of a modality, which is no gradient.
        loss_of(net, MceConfig(capability="off", **choices), one, available).total.backward()
        gradients.append([p.grad for p in net.encoder["b"].parameters()])
    for first, second in zip(*gradients, strict=True):
        if first is None:
            assert not holding.any()
            continue
        assert second is not None
        torch.testing.assert_close(first, second, rtol=0, atol=1e-15)


@pytest.mark.parametrize("config", CONFIGS, ids=NAMED)
@given(noise=st.integers(1, 2**20))
@settings(max_examples=4)
def test_hidden_values_replaced_by_random_numbers_change_no_bit_of_loss_and_gradient(config: Named, noise: int) -> None:
    torch.set_default_dtype(torch.float32)
    site, mask = make_site("x", np.ones((8, 3), dtype=bool)), rows_of([7, 1, 2, 4, 3, 5, 6, 7], 3)
    original = {name: values.copy() for name, values in site.features.items()}
    spec = small_spec(3)
    runs = []
    for seed in (0, noise):
        for column, name in enumerate(spec.names):
            rows = ~mask[:, column]
            scrambled = original[name].copy()
            if seed:
                scrambled[rows] = np.random.default_rng(seed).normal(0, 1e6, scrambled[rows].shape)
            site.features[name][:] = scrambled
        seen = observe(site, SiteMask(site.sample_ids, mask), spec.modalities, "train")
        rows_on_device = DeviceRows(seen, plain_statistics(spec), spec.names, torch.device("cpu"))
        batch, available = rows_on_device.batch(np.arange(8))
        runs.append(bits(spec, config, batch, available))
    assert runs[0] == runs[1]


def bits(spec: NetworkSpec, config: Named, batch: Batch, available: Bools) -> list[bytes]:
    net = net_for(config)
    assert net.spec.names == spec.names
    loss = loss_of(net, config, batch, available)
    loss.total.backward()
    found = [loss.total.detach().numpy().tobytes()]
    return found + [b"" if p.grad is None else p.grad.numpy().tobytes() for p in net.parameters()]
