"""What becomes of a row that would hold nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.missingness.mechanism import Hidden, Rates, SiteView
from fedmce.streams import keyed_uniforms


def settle_empty(view: SiteView, hidden: Hidden, rates: Rates, on_empty: str) -> Hidden:
    """What is hidden after the rule for empty rows was applied.

    Args:
        view: the site.
        hidden: bool ``(rows, modalities)``.
        rates: nominal missing rate per modality at this site.
        on_empty: ``restore``, ``redraw`` or ``drop`` (nothing is done here; an empty row is not observed).

    Returns:
        bool ``(rows, modalities)``. Rows that naturally hold nothing stay empty.
    """
    if on_empty == "drop":
        return hidden
    return (restore_empty if on_empty == "restore" else redraw_empty)(view, hidden, rates)


def restore_empty(view: SiteView, hidden: Hidden, rates: Rates) -> Hidden:
    """Give one modality back to each row that would hold nothing.

    The modality is drawn among those that the row naturally held with probability proportional to
    1 - rate, so a modality that the site lacks (rate 1) never comes back unless there is no other.
    """
    hidden = hidden.copy()
    empty = _empty(view, hidden)
    keep = _keep(view, rates)
    draws = keyed_uniforms(view.seed, "restore", view.site, [view.sample_ids[row] for row in empty], ["row"])
    for row, draw in zip(empty, draws[:, 0], strict=True):
        share = np.where(view.available[row], keep, 0.0)
        share = share if share.sum() > 0 else view.available[row].astype(float)
        hidden[
            row, int(np.searchsorted(np.cumsum(share / share.sum()), draw, side="right").clip(max=len(keep) - 1))
        ] = False
    return hidden


def redraw_empty(view: SiteView, hidden: Hidden, rates: Rates) -> Hidden:
    """Draw each row that would hold nothing anew, modality by modality at its rate, until it holds something.

    That is a draw from the independent distribution given that something is held, and it is drawn so at once:
    going through the modalities, the next one is kept with probability (1 - rate) / (1 - product of the rates from
    here on) as long as nothing was kept yet. A row that could never hold anything at these rates is restored.
    """
    hidden = hidden.copy()
    empty = _empty(view, hidden)
    keep = _keep(view, rates)
    draws = keyed_uniforms(view.seed, "redraw", view.site, [view.sample_ids[row] for row in empty], view.modalities)
    for row, uniform in zip(empty, draws, strict=True):
        share = np.where(view.available[row], keep, 0.0)
        candidates = np.flatnonzero(share)
        with np.errstate(divide="ignore"):  # a share of 1 is certain: log 0
            log_gone = np.cumsum(np.log1p(-share)[::-1])[::-1]
        something = -np.expm1(log_gone)  # chance that this modality or a later one is kept
        held = False
        for column in candidates:
            chance = share[column] if held else share[column] / something[column]
            kept = bool(uniform[column] < chance or (not held and column == candidates[-1]))
            hidden[row, column] = not kept
            held = held or kept
    return restore_empty(view, hidden, rates)


def _empty(view: SiteView, hidden: Hidden) -> npt.NDArray[np.int64]:
    return np.flatnonzero(view.available.any(axis=1) & ~(view.available & ~hidden).any(axis=1))


def _keep(view: SiteView, rates: Rates) -> npt.NDArray[np.float64]:
    return np.array([1.0 - rates.get(m, 0.0) for m in view.modalities])
