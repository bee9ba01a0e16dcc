"""The draws of rows that every data set shares, from streams keyed by site and purpose (``fedmce.streams``)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.data.dataset import SPLITS
from fedmce.errors import ConfigError


def stratified_split(
    targets: npt.NDArray[np.int64], validation: float, test: float, rng: np.random.Generator
) -> npt.NDArray[np.str_]:
    """Deal rows to train, validation and test, class by class.

    Args:
        targets: class per row, ``(rows,)``.
        validation: share of each class for validation, in [0, 1).
        test: share of each class for test, in [0, 1); what is left is for training.
        rng: stream of this site and purpose.

    Returns:
        Name of the split per row, ``(rows,)``. Counts are rounded per class, so each differs from its
        share by half a row at most, and a class of few rows may miss validation.
    """
    split = np.full(targets.shape, SPLITS[0], dtype="<U10")
    for target in np.unique(targets):
        rows = rng.permutation(np.flatnonzero(targets == target))
        n_test = round(len(rows) * test)
        n_validation = min(round(len(rows) * validation), len(rows) - n_test)
        split[rows[:n_test]] = "test"
        split[rows[n_test : n_test + n_validation]] = "validation"
    return split


def balanced_order(targets: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Order of rows whose every beginning is as label-balanced as the rows allow.

    The first n rows are contained in the first n + 1: a larger draw keeps all of the smaller one.

    Args:
        targets: class per row, ``(rows,)``.
        rng: stream of this site and purpose.

    Returns:
        All row numbers, int64 ``(rows,)``.
    """
    turn = np.empty(targets.shape, dtype=np.int64)
    for target in np.unique(targets):
        rows = np.flatnonzero(targets == target)
        turn[rng.permutation(rows)] = np.arange(len(rows))
    return np.lexsort((rng.random(targets.shape), turn)).astype(np.int64)


def draw_rows(
    targets: npt.NDArray[np.int64], count: int | None, rng: np.random.Generator, where: str
) -> npt.NDArray[np.int64]:
    """Draw rows label-balanced; a larger draw from the same stream keeps all of the smaller one.

    Args:
        targets: class per row, ``(rows,)``.
        count: how many; None = all.
        rng: stream of this site and purpose.
        where: config key and site, for the message.

    Returns:
        Numbers of the drawn rows, ascending, int64 ``(count,)``.

    Raises:
        ConfigError: fewer rows than asked for.
    """
    if count is None:
        return np.arange(len(targets))
    if count > len(targets):
        raise ConfigError(f"{where}: {count} rows given; needs at most {len(targets)}, all that there are")
    return np.sort(balanced_order(targets, rng)[:count])


def deal_classes(
    targets: npt.NDArray[np.int64], sites: int, shares: npt.NDArray[np.float64] | None, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Deal rows to made sites, class by class.

    Args:
        targets: class per row, ``(rows,)``.
        sites: how many.
        shares: of each class at each site, ``(classes, sites)``, rows summing to 1; None = every site alike.
        rng: stream of this purpose.

    Returns:
        Number of the site per row, ``(rows,)``. Alike: rows of a class, and of all classes, differ by at most one
        between sites. With shares: a site's rows of a class differ from its share by less than one.
    """
    site = np.zeros(targets.shape, dtype=np.int64)
    order, turn = rng.permutation(sites), 0
    for target in rng.permutation(np.unique(targets)):
        rows = rng.permutation(np.flatnonzero(targets == target))
        if shares is None:
            site[rows] = order[(turn + np.arange(len(rows))) % sites]
            turn += len(rows)
        else:
            # Systematic sampling: evenly spaced points on the shares laid end to end, one random start.
            points = (rng.random() + np.arange(len(rows))) / len(rows)
            site[rows] = np.searchsorted(np.cumsum(shares[target]), points, side="right").clip(max=sites - 1)
    return site


def fill_empty(site: npt.NDArray[np.int64], sites: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Give each site without rows one of the site that has most, while there are rows enough for all.

    Args:
        site: number of the site per row, ``(rows,)``.
        sites: how many.
        rng: stream of this purpose.

    Returns:
        Number of the site per row; unchanged if no site was empty or there are fewer rows than sites.
    """
    site = site.copy()
    if len(site) < sites:
        return site
    while (counts := np.bincount(site, minlength=sites)).min() == 0:
        site[rng.choice(np.flatnonzero(site == counts.argmax()))] = counts.argmin()
    return site
