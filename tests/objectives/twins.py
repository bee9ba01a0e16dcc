"""The objective and its row-by-row twin on the same batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fedmce.config.schema import MceConfig
from fedmce.models import MultimodalNet, NetworkSpec
from fedmce.objectives import OBJECTIVES, SiteFacts
from tests.oracles.mce_rows import MceTwin, rows_in
from tests.oracles.worlds import Bools, facts_of, lively, make_batch, rows_of, small_spec

CONFIG = MceConfig(unimodal_weight=0.7, subset_weight=1.3, completion_weight=0.4, smoothing=0.6, capability_floor=0.2)
Gradients = dict[str, torch.Tensor | None]
Run = tuple[list[dict[str, float]], Gradients]


def changed(**choices: Any) -> MceConfig:
    """The config of these tests with some choices, checked; ``published`` by its switches."""
    return MceConfig.model_validate(CONFIG.model_dump() | choices)


def fresh(spec: NetworkSpec) -> MultimodalNet:
    return lively(MultimodalNet(spec), seed=5)


def batches_of(modalities: int) -> list[Bools]:
    """Three batches: mixed rows, one that lacks the last modality, one whose rows hold one modality each."""
    full = 2**modalities - 1
    low = full >> 1
    return [
        rows_of([full, 1, 1, 3, full - 1, 1, full, 2], modalities),
        rows_of([1, 3, low, 1, low], modalities),
        rows_of([full, full, 1, 3], modalities),
    ]


def facts_for(spec: NetworkSpec, batches: list[Bools], **known: Any) -> SiteFacts:
    """Of the site whose rows are those of the batches, one after another."""
    return facts_of(spec, np.concatenate(batches), {"a": 20, "b": 4, "c": 1}, **known)


def frozen_reference(batches: list[Bools]) -> Any:
    rows, modalities = np.concatenate(batches).shape
    return np.random.default_rng(3).random((rows, modalities)).astype(np.float32)


def vectorised(spec: NetworkSpec, config: MceConfig, facts: SiteFacts, batches: list[Bools]) -> Run:
    """Parts of the loss of the batches by one objective, and the gradient of the last."""
    net, rule = fresh(spec), OBJECTIVES["mce"](config, facts, np.random.default_rng(0))
    losses, first = [], 0
    for seed, available in enumerate(batches):
        net.zero_grad()
        loss = rule(net, make_batch(spec, available, seed, first), available)
        loss.total.backward()
        losses.append({"total": float(loss.total.detach())} | {n: float(p) for n, p in loss.parts.items()})
        first += len(available)
    return losses, {name: p.grad for name, p in net.named_parameters()}


def looped(spec: NetworkSpec, config: MceConfig, facts: SiteFacts, batches: list[Bools]) -> Run:
    net, twin = fresh(spec), MceTwin(config, facts)
    losses, first = [], 0
    for seed, available in enumerate(batches):
        net.zero_grad()
        rows = rows_in(make_batch(spec, available, seed, first))
        before = twin.weights
        total = twin.loss(net, rows)
        total.backward()
        assert twin.weights is before
        losses.append({"total": float(total.detach())})
        first += len(available)
    return losses, {name: p.grad for name, p in net.named_parameters()}


def agree(mine: Run, twin: Run) -> None:
    assert [m["total"] for m in mine[0]] == pytest.approx([t["total"] for t in twin[0]], abs=1e-10, rel=1e-10)
    assert mine[1].keys() == twin[1].keys()
    for name, expected in twin[1].items():
        found = mine[1][name]
        if expected is None:
            assert found is None or not found.any(), name
        else:
            assert found is not None, name
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10, msg=name)


def check(
    config: MceConfig, modalities: int = 3, fusion: str = "residual", batches: list[Bools] | None = None, **known: Any
) -> None:
    """The objective is its twin on some batches, loss and every gradient."""
    batches = batches_of(modalities) if batches is None else batches
    spec = small_spec(modalities, fusion, completion_target=config.completion_target)
    if config.reference == "frozen":
        known["reference"] = frozen_reference(batches)
    facts = facts_for(spec, batches, **known)
    agree(vectorised(spec, config, facts, batches), looped(spec, config, facts, batches))
