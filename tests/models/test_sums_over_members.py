"""The quick ways of adding up what a subset holds give what the plain ones give."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from fedmce.models import MultimodalNet
from fedmce.models.completion import Reads, _sums
from fedmce.models.fusion import FusionInput, sum_of_bags, sum_over_members
from fedmce.objectives.completion import completion_loss, distance, hidden_terms
from fedmce.objectives.pairs import Pairs, all_pairs, sampled_pairs
from tests.oracles.worlds import small_spec


def some_pairs(modalities: int, rows: int = 40) -> tuple[np.ndarray, Pairs]:
    available = np.random.default_rng(modalities).random((rows, modalities)) < 0.7
    available[~available.any(axis=1), 0] = True
    return available, all_pairs(available)


def plain_completion(net: MultimodalNet, tokens: Tensor, pairs: Pairs, available: np.ndarray, weight: Tensor) -> Tensor:
    """Every head on the tokens of every pair that hides its modality."""
    row, member = torch.from_numpy(pairs.row), torch.from_numpy(pairs.member)
    hidden = torch.from_numpy(available)[row] & ~member
    total = torch.zeros(())
    for column, name in enumerate(net.spec.names):
        if name in net.completion and bool(hidden[:, column].any()):
            here = hidden[:, column]
            guess = net.completion[name](tokens[row[here]], member[here])
            apart = distance("smooth_l1", guess, tokens[row[here], column].detach())
            total = total + weight[column] * apart.sum()
    return total / hidden.sum()


@pytest.mark.parametrize("modalities", [2, 3, 4, 6])
@pytest.mark.parametrize("held", [None, ("a", "b")])
def test_completing_all_heads_at_once_is_completing_with_each(modalities: int, held: tuple[str, ...] | None) -> None:
    net = MultimodalNet(small_spec(modalities), held)
    available, pairs = some_pairs(modalities)
    token = torch.randn(*available.shape, net.spec.width, generator=torch.Generator().manual_seed(1))
    token[~torch.from_numpy(available)] = math.nan  # nothing may read what a row lacks
    weight = torch.rand(modalities, generator=torch.Generator().manual_seed(2))
    found = []
    for way in ("plain", "at once"):
        net.zero_grad()
        leaf = token.clone().requires_grad_()
        if way == "plain":
            loss = plain_completion(net, leaf, pairs, available, weight)
        else:
            row, member = torch.from_numpy(pairs.row), torch.from_numpy(pairs.member)
            plan = hidden_terms(pairs, available)
            loss = completion_loss(net, leaf, leaf.detach(), plan, row, member, weight, "smooth_l1")
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
        found.append({"loss": loss.detach(), "tokens": leaf.grad, **gradients})
    torch.testing.assert_close(found[1], found[0])


def test_one_drawn_modality_of_sampled_subsets_is_completed_by_its_own_head() -> None:
    net = MultimodalNet(small_spec(6))
    available = np.ones((30, 6), np.bool_)
    pairs = sampled_pairs(available, 4, np.random.default_rng(0))
    row, member = torch.from_numpy(pairs.row), torch.from_numpy(pairs.member)
    token = torch.randn(30, 6, net.spec.width)
    plan = hidden_terms(pairs, available, np.random.default_rng(0))
    with torch.no_grad():
        loss = completion_loss(net, token, token, plan, row, member, torch.ones(6), "mse")
        terms = [
            float(scale) * (net.completion[net.spec.names[m]](token[row[p : p + 1]], member[p : p + 1])[0] - token[row[p], m]).square().mean()
            for p, m, scale in zip(plan.pair.tolist(), plan.modality.tolist(), plan.scale, strict=True)
        ]  # fmt: skip
    torch.testing.assert_close(loss, torch.stack(terms).sum() / plan.total)


def test_bags_hold_what_is_kept_by_a_mask() -> None:
    available, pairs = some_pairs(4)
    value = torch.randn(len(available), 4, 5, dtype=torch.float64)
    value[~torch.from_numpy(available)] = math.nan
    row, member = torch.from_numpy(pairs.row), torch.from_numpy(pairs.member)
    found = []
    for way in (sum_of_bags, lambda v, given: torch.where(member[:, :, None], v[row], 0.0).sum(dim=1)):
        leaf = value.clone().requires_grad_()
        total = way(leaf, FusionInput(leaf, None, None, row, member))
        total.square().sum().backward()  # type: ignore[no-untyped-call]
        found.append((total.detach(), leaf.grad))
    torch.testing.assert_close(found[0], found[1])


def test_a_compiled_fusion_adds_up_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    available, pairs = some_pairs(3)
    value = torch.randn(len(available), 3, 5)
    given = FusionInput(value, None, None, torch.from_numpy(pairs.row), torch.from_numpy(pairs.member))
    plain = sum_over_members(value, given)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    monkeypatch.setattr("fedmce.models.fusion.sum_of_bags", None)
    torch.testing.assert_close(sum_over_members(value, given), plain)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is there")
def test_a_gpu_adds_up_the_same() -> None:
    part = torch.randn(7, 3)
    entry, term, start = torch.tensor([0, 6, 1, 2, 6, 6]), torch.tensor([0, 0, 1, 1, 1, 2]), torch.tensor([0, 2, 5])
    used = torch.ones(1, 1, dtype=torch.bool)
    on_gpu = _sums(part.cuda(), Reads(entry.cuda(), term.cuda(), start.cuda(), [3], used.cuda()))
    torch.testing.assert_close(on_gpu.cpu(), _sums(part, Reads(entry, term, start, [3], used)))
