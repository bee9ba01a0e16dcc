"""Sums over hidden tokens: by hand, against torchmetrics, and over any split."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional import cosine_similarity

from fedmce.metrics import CompletionSums


def tokens(entries: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=(entries, 5)), draw.normal(1.0, 2.0, size=(entries, 5))


def test_completion_sums_by_hand() -> None:
    """Truths (1, 0) and (0, 1): distance 1/2 each from their mean; one guess is right, the other is (1, 0) again."""
    found = CompletionSums.of(np.array([[2.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert found.cosine_similarity() == pytest.approx((1 + 0) / 2)
    assert found.normalised_error() == pytest.approx((1 + 2) / (0.5 + 0.5))


@given(entries=st.integers(2, 30), seed=st.integers(0, 99))
def test_cosine_is_torchmetrics_and_the_error_is_relative_to_the_variance(entries: int, seed: int) -> None:
    guess, truth = tokens(entries, seed)
    found = CompletionSums.of(guess, truth)
    expected = cosine_similarity(torch.from_numpy(guess), torch.from_numpy(truth), reduction="mean")
    assert found.cosine_similarity() == pytest.approx(float(expected), abs=1e-6)  # it computes in single precision
    assert found.normalised_error() == pytest.approx(((guess - truth) ** 2).mean() / truth.var(axis=0).mean())


@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_sums_add_up_over_any_split(sizes: list[int]) -> None:
    parts = [tokens(n, i) for i, n in enumerate(sizes)]
    found = reduce(add, [CompletionSums.of(*part) for part in parts])
    whole = CompletionSums.of(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    assert found.rows == whole.rows
    assert found.cosine_similarity() == pytest.approx(whole.cosine_similarity())
    assert found.normalised_error() == pytest.approx(whole.normalised_error())


def test_a_perfect_guess_has_error_0_and_the_mean_itself_error_1() -> None:
    _, truth = tokens(8, 0)
    perfect = CompletionSums.of(truth, truth)
    assert (perfect.cosine_similarity(), perfect.normalised_error()) == (pytest.approx(1), 0.0)
    mean = CompletionSums.of(np.tile(truth.mean(axis=0), (8, 1)), truth)
    assert mean.normalised_error() == pytest.approx(1)


def test_what_does_not_vary_or_has_no_direction_is_undefined() -> None:
    assert CompletionSums.of(*tokens(0, 0)).cosine_similarity() is None
    assert CompletionSums.of(*tokens(0, 0)).normalised_error() is None
    assert CompletionSums.of(*tokens(1, 0)).normalised_error() is None
    alike = np.full((7, 5), 0.1)
    assert CompletionSums.of(alike + 1, alike).normalised_error() is None
    half = CompletionSums.of(np.array([[1.0], [1.0]]), np.array([[0.0], [1.0]]))
    assert (half.rows, half.angles, half.cosine_similarity()) == (2, 1, 1.0)
