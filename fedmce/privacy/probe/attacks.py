"""Two attacks of whoever sees an update in the clear: read rows out of a first layer, and tell members from others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
RECOVERED = 0.9  # centred cosine from which a row counts as recovered


def read_out(weight: Floats, bias: Floats, rows: Floats, centre: Floats) -> Floats:
    """Which rows a dense layer's change gives away, bool ``(rows,)``.

    For rows x_i the change of unit j is sum_i d_ij x_i and that of its bias sum_i d_ij, so that their ratio is a mean of
    the rows that the unit answered to: one row alone where only one did.

    Source: Phong et al., "Privacy-preserving deep learning via additively homomorphic encryption", 2018, section 3.

    Args:
        weight: change of the layer, ``(units, inputs)``.
        bias: change of its bias, ``(units,)``.
        rows: that trained it, ``(rows, inputs)``.
        centre: of such data, taken off before comparing, ``(inputs,)``: a typical row is no find.
    """
    moved = np.abs(bias) > 1e-9
    if not moved.any():
        return np.zeros(len(rows), dtype=np.bool_)
    guess = _unit(weight[moved] / bias[moved, None] - centre)
    found: Floats = (guess @ _unit(rows - centre).T).max(axis=0) > RECOVERED
    return found


def _unit(rows: Floats) -> Floats:
    found: Floats = rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-12)
    return found


def area(members: Floats, others: Floats) -> float:
    """Probability that a member scores above another row, ties half: the area under the ROC curve."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, members, side="left") + np.searchsorted(ordered, members, side="right")
    return float(below.mean() / 2 / len(others))


def membership(before: Floats, after: Floats, members: int) -> tuple[float, float]:
    """How well a fall of the loss tells members: areas for the fall and for the fall relative to the loss before.

    Source: Yeom et al., "Privacy risk in machine learning", CSF 2018 (loss); the reference model is the one that was
    sent, as in Carlini et al., "Membership inference attacks from first principles", 2022.

    Args:
        before: losses of rows under the model that was sent, ``(rows,)``.
        after: of the same rows under the one that came back.
        members: the first so many rows are the site's.
    """
    fall = before - after
    share = fall / np.maximum(before, 1e-12)
    return area(fall[:members], fall[members:]), area(share[:members], share[members:])
