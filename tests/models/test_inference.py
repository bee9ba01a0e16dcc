"""Completed tokens at inference: what they may read, and what ``off``, ``full`` and ``mean`` are."""

from __future__ import annotations

import pytest
import torch

from fedmce.models import MultimodalNet, logits_with_completion
from tests.oracles.worlds import lively, small_spec

SPEC = small_spec(3)
NET = lively(MultimodalNet(SPEC), seed=3)
MEMBER = torch.tensor([[True, False, False], [True, True, False], [True, True, True]])
ROW = torch.tensor([0, 1, 1])


def tokens(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, SPEC.width, generator=generator, dtype=next(NET.parameters()).dtype)


def logits(use: str, token: torch.Tensor) -> torch.Tensor:
    plain = NET.fuse(token, ROW, MEMBER)
    return logits_with_completion(NET, token, ROW, MEMBER, plain, use)


def test_off_is_the_plain_prediction() -> None:
    assert torch.equal(logits("off", tokens()), NET.fuse(tokens(), ROW, MEMBER))


def test_full_reads_the_guess_of_each_head_in_place_of_what_the_subset_lacks() -> None:
    token = tokens()
    for pair, (row, member) in enumerate(zip(ROW.tolist(), MEMBER, strict=True)):
        filled = token[row].clone()
        for column, name in enumerate(SPEC.names):
            if not member[column]:
                filled[column] = NET.completion[name](token[row][None], member[None])[0]
        expected = NET.fuse(filled[None], torch.zeros(1, dtype=torch.int64), torch.ones(1, 3, dtype=torch.bool))
        torch.testing.assert_close(logits("full", token)[pair], expected[0])


def test_mean_is_the_mean_of_both_probabilities() -> None:
    token = tokens()
    both = (logits("off", token).softmax(dim=1) + logits("full", token).softmax(dim=1)) / 2
    torch.testing.assert_close(logits("mean", token).softmax(dim=1), both)


@pytest.mark.parametrize("use", ["off", "full", "mean"])
def test_what_a_subset_lacks_is_never_read(use: str) -> None:
    token = tokens()
    hidden = token.clone()
    hidden[0, 1:] = torch.nan
    assert torch.equal(logits(use, token)[0], logits(use, hidden)[0])


def test_a_subset_that_lacks_nothing_needs_no_completion() -> None:
    torch.testing.assert_close(logits("full", tokens())[2], logits("off", tokens())[2])
