"""Value functions: what the prediction of a row from a subset is worth, v_i(S) of method.md 1.

All are torch functions without a transfer to the host, so that the training step can use them too.
The value of the empty set is that of a predictor that always answers the shares of the classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

VALUES: dict[str, tuple[float, float]] = {
    "accuracy": (0.0, 1.0),
    "probability": (0.0, 1.0),
    "soft_dice": (0.0, 1.0),
    "negative_squared_error": (-2.0, 0.0),
}
"""Smallest and largest value of a row by value function, for probabilities over classes."""


def row_values(kind: str, probability: Tensor, target: Tensor) -> Tensor:
    """Value of each prediction.

    With p the probabilities and y the one-hot target, both over classes and grid:

    * ``accuracy``: 1 where the most probable class is right, mean over the grid;
    * ``probability``: p of the right class, mean over the grid;
    * ``soft_dice``: 2 <p, y> / (<p, p> + <y, y>), products over classes and grid;
    * ``negative_squared_error``: - sum over classes of (p - y)^2, mean over the grid: the negative Brier score.

    Args:
        kind: a name in :data:`VALUES`.
        probability: ``(pairs, classes, *grid)``, each on the simplex over classes.
        target: class index, int64 ``(pairs, *grid)``.

    Returns:
        ``(pairs,)`` in the type of ``probability``, within the bounds of the kind.

    Raises:
        ValueError: unknown kind.
    """
    if kind == "accuracy":
        return _over_grid(probability.argmax(dim=1).eq(target).to(probability.dtype))
    right = probability.gather(1, target.unsqueeze(1)).squeeze(1)
    if kind == "probability":
        return _over_grid(right)
    squares = probability.square().sum(dim=1)
    if kind == "soft_dice":
        # <y, y> is the number of grid cells, since y is one-hot in each.
        return 2 * _over_grid(right) / (_over_grid(squares) + 1)
    if kind == "negative_squared_error":
        # sum (p - y)^2 = <p, p> - 2 p_y + 1; rounding must not make a certain answer better than perfect.
        return -_over_grid((squares - 2 * right + 1).clamp(min=0))
    raise ValueError(f"value: given {kind!r}; needed one of {', '.join(VALUES)}")


def regression_values(prediction: Tensor, target: Tensor) -> Tensor:
    """Value of predicted numbers: - (prediction - target)^2, mean over what a row predicts; ``(pairs,)``."""
    return -_over_grid((prediction - target).square())


def prior_value(kind: str, class_shares: Sequence[float]) -> float:
    """v(nothing): mean value of always answering the class shares, over rows that have these shares.

    Args:
        kind: a name in :data:`VALUES`.
        class_shares: share or count of each class; at least one positive.

    Raises:
        ValueError: unknown kind, or no positive share.
    """
    total = float(sum(class_shares))
    if total <= 0:
        raise ValueError(f"class shares: given {list(class_shares)}; needed a positive sum")
    if kind == "accuracy":  # ties go to the first class, whose share is the same
        return float(max(class_shares)) / total
    share = torch.tensor([float(s) / total for s in class_shares], dtype=torch.float64)
    every_class = torch.arange(len(share))
    values = row_values(kind, share.expand(len(share), -1), every_class)
    return float((share * values).sum())


def value_bounds(kind: str) -> tuple[float, float]:
    """Smallest and largest value of a row.

    Raises:
        ValueError: unknown kind.
    """
    if kind not in VALUES:
        raise ValueError(f"value: given {kind!r}; needed one of {', '.join(VALUES)}")
    return VALUES[kind]


def _over_grid(value: Tensor) -> Tensor:
    """Mean over all dimensions but the first; a value without a grid as it is."""
    return value if value.dim() == 1 else value.flatten(1).mean(dim=1)
