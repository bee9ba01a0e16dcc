"""Law 6 for completion: where its gradient goes, and what it never reads."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fedmce.config.schema import MceConfig
from fedmce.models import Batch, MultimodalNet
from fedmce.objectives.completion import completion_loss, hidden_terms
from fedmce.objectives.pairs import all_pairs
from tests.objectives.test_gradients import EVERYTHING, loss_of, net_for, touched
from tests.oracles.worlds import lively, make_batch, rows_of, small_spec


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


def test_a_copy_without_the_head_of_a_modality_completes_the_others_all_the_same() -> None:
    spec, available = small_spec(3), rows_of([7, 3], 3)
    net = lively(MultimodalNet(spec, held=("a", "b")))
    tokens = torch.randn(2, 3, spec.width, generator=torch.Generator().manual_seed(2))
    pairs = all_pairs(available)
    plan, weight = hidden_terms(pairs, available), torch.tensor([1.0, 2.0, 5.0], dtype=tokens.dtype)
    row, member = torch.from_numpy(pairs.row), torch.from_numpy(pairs.member)
    found = completion_loss(net, tokens, tokens, plan, row, member, weight, "mse")
    expected = torch.zeros((), dtype=tokens.dtype)
    for pair in range(len(pairs.row)):
        for column, name in enumerate(("a", "b")):
            if available[pairs.row[pair], column] and not pairs.member[pair, column]:
                guess = net.completion[name](tokens[row[pair]][None], member[pair][None])[0]
                expected = expected + weight[column] * (guess - tokens[row[pair], column]).square().mean()
    torch.testing.assert_close(found, expected / plan.total)
