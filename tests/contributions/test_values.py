"""Value functions, against loops over rows, classes and grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fedmce.contributions.values import VALUES, prior_value, regression_values, row_values, value_bounds

SHAPES = [(7, 3), (5, 2, 4), (4, 3, 2, 3)]


def drawn(shape: tuple[int, ...], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    numbers = torch.Generator().manual_seed(seed)
    probability = torch.randn(shape, generator=numbers, dtype=torch.float64).mul(2).softmax(dim=1)
    return probability, torch.randint(shape[1], (shape[0], *shape[2:]), generator=numbers)


def by_hand(kind: str, probability: np.ndarray, target: np.ndarray) -> float:
    """One row, from the definitions: p and y as whole arrays over classes and grid."""
    one_hot = np.moveaxis(np.eye(len(probability))[target], -1, 0)
    if kind == "accuracy":
        return float((probability.argmax(axis=0) == target).mean())
    if kind == "probability":
        return float((probability * one_hot).sum(axis=0).mean())
    if kind == "soft_dice":
        return float(2 * (probability * one_hot).sum() / ((probability**2).sum() + (one_hot**2).sum()))
    return float(-((probability - one_hot) ** 2).sum(axis=0).mean())


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("shape", SHAPES, ids=["no grid", "line", "plane"])
def test_values_are_those_of_the_definition(kind: str, shape: tuple[int, ...]) -> None:
    probability, target = drawn(shape)
    found = row_values(kind, probability, target)
    assert found.shape == (shape[0],)
    assert found.dtype == probability.dtype
    for row in range(shape[0]):
        assert float(found[row]) == pytest.approx(by_hand(kind, probability[row].numpy(), target[row].numpy()))


@pytest.mark.parametrize("kind", VALUES)
def test_a_certain_right_answer_has_the_best_value_and_a_certain_wrong_one_the_worst(kind: str) -> None:
    certain = torch.eye(3, dtype=torch.float32)
    low, high = value_bounds(kind)
    assert row_values(kind, certain, torch.arange(3)).tolist() == pytest.approx([high] * 3)
    assert row_values(kind, certain, torch.tensor([1, 2, 0])).tolist() == pytest.approx([low] * 3)


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_values_stay_within_their_bounds_in_single_precision(kind: str, scale: float) -> None:
    numbers = torch.Generator().manual_seed(1)
    probability = torch.randn(4000, 5, generator=numbers).mul(scale).softmax(dim=1)
    found = row_values(kind, probability, torch.randint(5, (4000,), generator=numbers))
    low, high = value_bounds(kind)
    assert low <= float(found.min()) <= float(found.max()) <= high


@pytest.mark.parametrize("kind", VALUES)
def test_the_prior_value_is_the_mean_of_always_answering_the_shares(kind: str) -> None:
    counts = [1, 5, 3, 1]
    share = torch.tensor(counts, dtype=torch.float64) / 10
    target = torch.tensor([c for c, n in enumerate(counts) for _ in range(n)])
    mean = float(row_values(kind, share.expand(10, -1), target).mean())
    assert prior_value(kind, counts) == pytest.approx(mean)
    assert prior_value(kind, [n / 10 for n in counts]) == pytest.approx(mean)


def test_numbers_are_worth_their_negative_squared_error() -> None:
    prediction = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    target = torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    assert regression_values(prediction, target).tolist() == [-2.0, -12.5]
    assert regression_values(prediction[:, 0], target[:, 0]).tolist() == [0.0, -9.0]


def test_an_unknown_value_and_no_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="needed one of accuracy"):
        row_values("f1", *drawn((2, 3)))
    with pytest.raises(ValueError, match="needed one of accuracy"):
        value_bounds("f1")
    with pytest.raises(ValueError, match="positive sum"):
        prior_value("accuracy", [0, 0])
