"""From shares to whole numbers of rows, by a rule that the record names."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fedmce.missingness.mechanism import Hidden, Rates, SiteView

# 0.29 * 100 is 28.999999999999996: shares are meant as decimals, so what lies this close below counts as reached.
SLACK = 1e-9


def count(share: float, rows: int, rounding: str) -> int:
    """How many of ``rows`` a share is.

    Args:
        share: in [0, 1].
        rows: of which it is taken.
        rounding: ``floor``; ``nearest`` or ``largest_remainder`` (halves go to the share).

    Returns:
        At most ``rows``.
    """
    half = 0.0 if rounding == "floor" else 0.5
    return min(rows, math.floor(share * rows + half + SLACK))


def counts(weights: npt.NDArray[np.float64], rows: int, rounding: str, least: int = 0) -> npt.NDArray[np.int64]:
    """How many of ``rows`` each of several parts gets.

    Args:
        weights: shares that add up to 1, or to less where some rows are to be left over; ``(parts,)``.
        rows: to be dealt.
        rounding: ``floor`` each part; ``nearest`` (halves up) each part; or ``largest_remainder``: floor, then one
            more for the largest fractions until the sum is the rounded sum of the shares.
        least: rows that every part of positive weight gets at least.

    Returns:
        int64 ``(parts,)``, never more than ``rows`` in all: where rows do not suffice, large parts are served first.
    """
    exact = weights * rows
    found = np.floor(exact + (0.5 if rounding == "nearest" else 0.0) + SLACK).astype(np.int64)
    found = np.maximum(found, np.where(weights > 0, least, 0))
    if rounding == "largest_remainder":
        missing = math.floor(exact.sum() + 0.5) - int(found.sum())
        found[np.argsort(-(exact - found), kind="stable")[: max(missing, 0)]] += 1
    # What all are promised comes before what large parts get beyond it.
    order = np.argsort(-weights, kind="stable")
    promised = _served(np.minimum(found, least), order, rows)
    return promised + _served(found - np.minimum(found, least), order, rows - int(promised.sum()))


def _served(wanted: npt.NDArray[np.int64], order: npt.NDArray[np.int64], rows: int) -> npt.NDArray[np.int64]:
    """What each part gets of what it wants if the rows are handed out in this order of parts."""
    found = np.zeros_like(wanted)
    before = np.cumsum(wanted[order]) - wanted[order]
    found[order] = np.minimum(wanted[order], np.maximum(rows - before, 0))
    return found


def hide_by_rates(view: SiteView, rates: Rates, draw: str, rounding: str = "nearest") -> Hidden:
    """Hide each modality's rows completely at random at its own rate.

    Args:
        view: the site.
        rates: missing share per modality, of the rows that naturally hold it; what is not named is not hidden.
        draw: ``exact`` hides the rounded count of rows, ``independent`` each row by itself.
        rounding: of exact counts, see :func:`count`.

    Returns:
        bool ``(rows, modalities)``; True = hide. May leave rows with nothing.
    """
    uniform = view.uniforms("missingness")
    hidden = np.zeros_like(view.available)
    for column, modality in enumerate(view.modalities):
        rate, held = rates.get(modality, 0.0), view.available[:, column]
        if draw == "independent":
            hidden[:, column] = held & (uniform[:, column] < rate)
            continue
        rows = np.flatnonzero(held)
        chosen = np.argsort(uniform[rows, column], kind="stable")[: count(rate, len(rows), rounding)]
        hidden[rows[chosen], column] = True
    return hidden


def each(view: SiteView, rate: float, single: Mapping[str, float]) -> Rates:
    """One rate for every modality, but for those that are named."""
    return dict.fromkeys(view.modalities, rate) | dict(single)
