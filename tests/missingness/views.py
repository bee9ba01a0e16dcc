"""Views of made-up sites, for the tests of mechanisms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.data.dataset import FederatedDataset
from fedmce.missingness import MECHANISMS, SiteView
from fedmce.missingness.mask_set import view_of
from tests.oracles.worlds import Bools, make_dataset, make_site


def full(rows: int, modalities: int = 3) -> Bools:
    return np.ones((rows, modalities), dtype=bool)


def even(sites: int, rows: int = 20, modalities: int = 3) -> FederatedDataset:
    """Sites ``s00``, ``s01``, ... with complete training rows."""
    return make_dataset([make_site(f"s{number:02d}", full(rows, modalities)) for number in range(sites)])


def view(available: Bools, seed: int = 0, splits: Sequence[str] | None = None, split: str = "train") -> SiteView:
    """The only site of a data set, with values and classes."""
    dataset = make_dataset([make_site("x", available, splits)])
    return view_of(dataset, dataset.sites["x"], split, seed)


def hide(config: Any, shown: SiteView) -> tuple[Bools, dict[str, float]]:
    """What a mechanism hides by itself, before empty rows are settled."""
    return MECHANISMS[config.name](config, shown)


def held_by_site(dataset: FederatedDataset, config: Any, seed: int = 0) -> dict[str, tuple[bool, ...]]:
    """Per site, which modalities its training rows hold at all, by the mechanism alone."""
    found = {}
    for name, site in dataset.sites.items():
        shown = view_of(dataset, site, "train", seed)
        hidden, _ = hide(config, shown)
        found[name] = tuple((shown.available & ~hidden).any(axis=0).tolist())
    return found


def hidden_by_site(dataset: FederatedDataset, config: Any, seed: int = 0) -> dict[str, npt.NDArray[np.bool_]]:
    """Per site, what the mechanism alone hides in training rows."""
    return {n: hide(config, view_of(dataset, s, "train", seed))[0] for n, s in dataset.sites.items()}


def near(share: float, expected: float, draws: int, errors: float = 4.5) -> bool:
    """Whether a share of independent draws lies within so many standard errors of its expectation."""
    return bool(abs(share - expected) <= errors * np.sqrt(max(expected * (1 - expected), 1e-12) / draws) + 1e-12)
