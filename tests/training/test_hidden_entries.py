"""Hiding each held modality at once against one entry at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fedmce.metrics import CompletionSums
from fedmce.missingness import SiteMask, observe
from fedmce.models import MultimodalNet
from fedmce.training import DeviceRows
from fedmce.training import hidden_entries as room
from fedmce.training.hidden_entries import HiddenEntries, completes_tokens, hide_each
from tests.oracles.worlds import lively, make_site, plain_statistics, rows_of, small_spec

CODES = [7, 1, 6, 4, 2, 5, 3, 7]  # three rows hold one modality alone: there is nothing to complete it from
SPEC = small_spec(3)
NET = lively(MultimodalNet(SPEC))


def device_rows(codes: list[int] = CODES) -> DeviceRows:
    site = make_site("x", np.ones((len(codes), 3), dtype=bool))
    seen = observe(site, SiteMask(site.sample_ids, rows_of(codes, 3)), SPEC.modalities, "train")
    return DeviceRows(seen, plain_statistics(SPEC), SPEC.names, torch.device("cpu"))


@torch.no_grad()
def one_at_a_time(codes: list[int], modality: int, use: str) -> tuple[CompletionSums, float, float]:
    """Sums of one hidden modality, and right predictions without and with completed tokens."""
    rows, guesses, truths, right = device_rows(codes), [], [], np.zeros(2)
    for row, code in enumerate(codes):
        rest = code & ~(1 << modality)
        if rest in (0, code):
            continue
        batch, _ = rows.batch(np.array([row]))
        token = NET.encode(batch)
        member = torch.from_numpy(rows_of([rest], 3))
        filled = token.clone()
        for m, name in enumerate(SPEC.names):
            if not member[0, m]:
                filled[:, m] = NET.completion[name](token, member)
        guesses.append(filled[0, modality])
        truths.append(token[0, modality])
        plain = NET.fuse(token, torch.tensor([0]), member).softmax(dim=1)
        full = NET.fuse(filled, torch.tensor([0]), torch.ones_like(member)).softmax(dim=1)
        used = full if use == "full" else plain + full
        for place, found in enumerate((plain, used)):
            right[place] += int(found.argmax()) == int(batch.targets[0])
    return CompletionSums.of(torch.stack(guesses).double().numpy(), torch.stack(truths).double().numpy()), *right


def assert_same(found: CompletionSums, expected: CompletionSums) -> None:
    assert (found.rows, found.angles) == (expected.rows, expected.angles)
    for part in ("cosine", "error", "total", "square"):
        np.testing.assert_allclose(getattr(found, part), getattr(expected, part), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("use", ["full", "mean"])
def test_hiding_all_at_once_is_hiding_one_entry_at_a_time(use: str) -> None:
    found = hide_each(NET, device_rows(), use)
    assert list(found.tokens) == list(SPEC.names)
    for m, name in enumerate(SPEC.names):
        sums, without, completed = one_at_a_time(CODES, m, use)
        assert_same(found.tokens[name], sums)
        assert found.without["accuracy"][1 << m] == [without, sums.rows]
        assert found.with_completed["accuracy"][1 << m] == [completed, sums.rows]


def test_rows_are_cut_into_chunks_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = hide_each(NET, device_rows())
    monkeypatch.setattr(room, "CHUNK", 2)
    cut = hide_each(NET, device_rows())
    assert (cut.without, cut.with_completed) == (whole.without, whole.with_completed)
    for name, sums in whole.tokens.items():
        assert_same(cut.tokens[name], sums)


def test_what_a_row_does_not_hold_is_not_graded_and_a_lone_modality_not_hidden() -> None:
    found = hide_each(NET, device_rows([3, 3, 4]))
    assert {name: sums.rows for name, sums in found.tokens.items()} == {"a": 2, "b": 2}
    assert set(found.without["accuracy"]) == {1, 2}


@pytest.mark.parametrize("codes", [[], [1, 2, 4]])
def test_rows_with_nothing_to_hide_give_nothing(codes: list[int]) -> None:
    found = hide_each(NET, device_rows(codes))
    assert found.tokens == {}
    assert found.without.get("accuracy", {}) == found.with_completed.get("accuracy", {}) == {}
    assert HiddenEntries() == hide_each(NET, device_rows([]))


def test_a_head_that_knows_the_token_is_perfect() -> None:
    """Both tokens of a row are the same one, and each head hands on the one that it is given."""
    net = lively(MultimodalNet(small_spec(2)))
    site = make_site("x", np.ones((6, 2), dtype=bool))
    seen = observe(site, SiteMask(site.sample_ids, rows_of([3] * 6, 2)), net.spec.modalities, "train")
    rows = DeviceRows(seen, plain_statistics(net.spec), net.spec.names, torch.device("cpu"))
    for head in net.completion.values():
        head.forward = lambda token, member: torch.where(member[:, :1], token[:, 0], token[:, 1])  # type: ignore[method-assign]
    original = net.encode

    def twins(batch: object) -> torch.Tensor:
        token = original(batch)  # type: ignore[arg-type]
        return torch.stack([token[:, 0], token[:, 0]], dim=1)

    net.encode = twins  # type: ignore[method-assign]
    found = hide_each(net, rows)
    for sums in found.tokens.values():
        assert sums.normalised_error() == pytest.approx(0, abs=1e-6)
        assert sums.cosine_similarity() == pytest.approx(1, abs=1e-6)
    assert found.with_completed["accuracy"][1] == found.with_completed["accuracy"][2]


def test_only_heads_that_guess_tokens_are_graded() -> None:
    assert completes_tokens(NET)
    assert not completes_tokens(MultimodalNet(small_spec(3, completion=False)))
    assert not completes_tokens(MultimodalNet(small_spec(3, completion_target="fused_token")))
