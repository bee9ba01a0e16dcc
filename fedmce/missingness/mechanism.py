"""What a missingness mechanism is, and the registry of mechanisms.

A mechanism looks at one site at a time and at nothing that the training could learn from: it gets the
site's rows and returns which entries to hide. Draws are keyed by site and sample id, so a site's mask
does not depend on which other sites take part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.registry import registrar
from fedmce.streams import keyed_uniforms


@dataclass(frozen=True)
class SiteView:
    """What a mechanism may know of a site.

    Attributes:
        site: its name.
        site_order: all sites of the data set in its own order; rules such as "the first k" use it.
        modalities: names in data set order.
        sample_ids: the rows that may be masked.
        available: natural availability of these rows, bool ``(rows, modalities)``.
        seed: root seed.
        site_rows: training rows of every site of the data set; empty = nothing is known of them.
    """

    site: str
    site_order: tuple[str, ...]
    modalities: tuple[str, ...]
    sample_ids: tuple[str, ...]
    available: npt.NDArray[np.bool_]
    seed: int
    site_rows: Mapping[str, int] = field(default_factory=dict)

    @property
    def training_sites(self) -> tuple[str, ...]:
        """Sites with training rows, in data set order; what "so many sites" counts."""
        return tuple(site for site in self.site_order if self.site_rows.get(site, 1) > 0)

    def uniforms(self, purpose: str) -> npt.NDArray[np.float64]:
        """One uniform number per (row, modality), keyed by sample id."""
        return keyed_uniforms(self.seed, purpose, self.site, self.sample_ids, self.modalities)


Rates = dict[str, float]
Mechanism = Callable[[Any, SiteView], tuple[npt.NDArray[np.bool_], Rates]]
MECHANISMS: dict[str, Mechanism] = {}
# its config, a site -> hidden (rows, modalities), rate per modality
mechanism = registrar(MECHANISMS, "mechanism")


def hide_by_rates(view: SiteView, rates: Rates, draw: str) -> npt.NDArray[np.bool_]:
    """Hide each modality's rows completely at random at its own rate.

    Args:
        view: the site.
        rates: missing share per modality, of the rows that naturally hold it.
        draw: ``exact`` hides ``round(rate * rows)`` rows (halves round up), ``independent`` each row by itself.

    Returns:
        bool ``(rows, modalities)``; True = hide. May leave rows with nothing: see :func:`restore_empty`.
    """
    uniform = view.uniforms("missingness")
    hidden = np.zeros_like(view.available)
    for column, modality in enumerate(view.modalities):
        rate, held = rates.get(modality, 0.0), view.available[:, column]
        if draw == "independent":
            hidden[:, column] = held & (uniform[:, column] < rate)
            continue
        count = int(np.floor(rate * held.sum() + 0.5))
        rows = np.flatnonzero(held)
        hidden[rows[np.argsort(uniform[rows, column], kind="stable")[:count]], column] = True
    return hidden


def restore_empty(view: SiteView, hidden: npt.NDArray[np.bool_], rates: Rates) -> npt.NDArray[np.bool_]:
    """Give one modality back to each row that would hold nothing.

    The modality is drawn among those that the row naturally held with probability proportional to
    1 - rate, so a modality that the site lacks (rate 1) never comes back unless there is no other.

    Returns:
        bool ``(rows, modalities)``: what is hidden after all.
    """
    hidden = hidden.copy()
    empty = np.flatnonzero(view.available.any(axis=1) & ~(view.available & ~hidden).any(axis=1))
    keep = np.array([1.0 - rates.get(m, 0.0) for m in view.modalities])
    draws = keyed_uniforms(view.seed, "restore", view.site, [view.sample_ids[row] for row in empty], ["row"])
    for row, draw in zip(empty, draws[:, 0], strict=True):
        share = np.where(view.available[row], keep, 0.0)
        share = share if share.sum() > 0 else view.available[row].astype(float)
        hidden[
            row, int(np.searchsorted(np.cumsum(share / share.sum()), draw, side="right").clip(max=len(keep) - 1))
        ] = False
    return hidden
