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
