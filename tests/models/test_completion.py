"""Completed tokens: whose head guesses them, what it reads, and what stays."""

from __future__ import annotations

import pytest
import torch

from fedmce.models import MultimodalNet
from fedmce.models.fusions import FUSIONS
from tests.oracles.net_rows import completed, fused_state
from tests.oracles.worlds import lively, rows_of, small_spec

ROWS, MEMBER = torch.tensor([0, 1, 1, 2]), torch.from_numpy(rows_of([1, 6, 7, 4], 3))


def tokens(seed: int = 0) -> torch.Tensor:
    return torch.randn(3, 3, 4, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_what_a_subset_has_stays_and_what_it_lacks_is_guessed_from_it() -> None:
    net, token = lively(MultimodalNet(small_spec(3))), tokens()
    found, has = net.complete(token, ROWS, MEMBER)
    assert has.all()
    for pair, row in enumerate(ROWS.tolist()):
        own = {name: token[row, i] for i, name in enumerate(net.spec.names) if MEMBER[pair, i]}
        for column, name in enumerate(net.spec.names):
            expected = own[name] if name in own else completed(net, own, tuple(own), name)
            torch.testing.assert_close(found[pair, column], expected)


@torch.no_grad()
def test_completion_reads_nothing_outside_the_subset_not_even_what_the_row_holds() -> None:
    net, token = lively(MultimodalNet(small_spec(3))), tokens()
    member = torch.from_numpy(rows_of([1, 6, 3], 3))
    spoilt = torch.where(member[:, :, None], token, torch.nan)
    for mine, other in zip(
        net.complete(token, torch.arange(3), member), net.complete(spoilt, torch.arange(3), member), strict=True
    ):
        assert torch.equal(mine, other)


@torch.no_grad()
def test_only_modalities_that_are_asked_for_and_whose_head_is_there_are_completed() -> None:
    spec = small_spec(3)
    whole, part = lively(MultimodalNet(spec)), MultimodalNet(spec, ["a", "b"])
    _, has = whole.complete(tokens(), ROWS, MEMBER, ["b"])
    assert has.tolist() == (MEMBER | torch.tensor([False, True, False])).tolist()
    found, has = part.complete(tokens(), ROWS, MEMBER)
    assert has.tolist() == (MEMBER | torch.tensor([True, True, False])).tolist()
    assert not found[~has].any()


@pytest.mark.parametrize("fusion", sorted(FUSIONS))
@torch.no_grad()
def test_states_of_all_pairs_are_those_of_each_row_and_as_long_as_completion_expects(fusion: str) -> None:
    spec = small_spec(3, fusion, completion_target="fused_token")
    net, token = lively(MultimodalNet(spec)), tokens()
    logits, states = net.fuse_states(token, ROWS, MEMBER)
    assert states.shape == (4, FUSIONS[fusion].state_size(spec))
    assert net.completion["a"](token[ROWS], MEMBER).shape == states.shape
    assert torch.equal(logits, net.fuse(token, ROWS, MEMBER))
    for pair, row in enumerate(ROWS.tolist()):
        own = {name: token[row, i] for i, name in enumerate(spec.names) if MEMBER[pair, i]}
        torch.testing.assert_close(states[pair], fused_state(net, own, tuple(own)), rtol=1e-5, atol=1e-6)


def test_completing_gives_gradients_to_the_heads_that_guessed_and_to_no_other() -> None:
    net = lively(MultimodalNet(small_spec(3)))
    found, _ = net.complete(tokens(), torch.arange(3), torch.from_numpy(rows_of([3, 3, 1], 3)), ["b"])
    found.sum().backward()
    assert all(p.grad is not None for p in net.completion["b"].parameters())
    assert all(p.grad is None for name in "ac" for p in net.completion[name].parameters())
