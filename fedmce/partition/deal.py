"""Deal training and validation rows anew over sites by given shares of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fedmce.config.partition import DealtSection
from fedmce.data.dataset import FederatedDataset, SiteRows
from fedmce.data.draws import deal_classes, fill_empty
from fedmce.errors import ConfigError
from fedmce.streams import generator

Ints = npt.NDArray[np.int64]


def deal_anew(
    dataset: FederatedDataset, config: DealtSection, shares: npt.NDArray[np.float64], seed: int, how: str
) -> FederatedDataset:
    """The same rows, those of training and of validation dealt by the same shares, each split by itself.

    Test rows stay where they are, or are dealt alike if the sites are made (``site_count``). Sites without training
    rows are left as they are.

    Args:
        dataset: as loaded.
        config: number of made sites and the least training rows of a site.
        shares: of each class at each site of :func:`site_names`, ``(classes, sites)``, rows summing to 1.
        seed: root of the deal.
        how: the rule of the shares in words, for the provenance of the sites.

    Returns:
        A new data set. Each row lies at exactly one site; before ``least_rows``, a site's training rows of a class
        differ from its share by less than one. A row keeps its id if ids are unique over all sites, else one that
        moves is called ``<origin>:<id>``.

    Raises:
        ConfigError: no training rows, fewer than ``least_rows`` each, or a made site's name is taken.
    """
    names = site_names(dataset, config)
    rows = _Rows.of([site for _, site in sorted(dataset.sites.items()) if _trains(site)])
    home = np.zeros(len(rows.targets), dtype=np.int64)
    for split in ("train", "validation"):
        own, rng = np.flatnonzero(rows.split == split), generator(seed, "partition", config_name(config), split)
        dealt = deal_classes(rows.targets[own], len(names), shares, rng)
        if split == "train":
            home[own] = at_least(dealt, len(names), config.least_rows, rng)
        else:
            home[own] = fill_empty(dealt, len(names), rng)
    own = np.flatnonzero(rows.split == "test")
    if config.site_count is None:
        home[own] = np.searchsorted(names, rows.origin[own])
    else:
        rng = generator(seed, "partition", config_name(config), "test")
        home[own] = deal_classes(rows.targets[own], len(names), None, rng)
    ids = _ids_after(dataset, rows, np.array(names)[home])
    made = {name: rows.at(np.flatnonzero(home == place), name, ids) for place, name in enumerate(names)}
    return _described(dataset, _in_order(dataset, made), config, how)


def config_name(config: DealtSection) -> str:
    """Name of the partitioner whose section this is; part of the names of its streams."""
    return str(getattr(config, "name", "deal"))


def site_names(dataset: FederatedDataset, config: DealtSection) -> tuple[str, ...]:
    """The sites that rows are dealt to, sorted: ``site01``, ... or the old ones that have training rows.

    Raises:
        ConfigError: no site has training rows, or a made name belongs to a site that stays.
    """
    where, trainers = f"partition={config_name(config)}", sorted(n for n, s in dataset.sites.items() if _trains(s))
    if not trainers:
        raise ConfigError(f"{where}: no site of {dataset.name} has training rows; needed some to deal")
    if config.site_count is None:
        return tuple(trainers)
    width = max(2, len(str(config.site_count)))
    names = tuple(f"site{number:0{width}d}" for number in range(1, config.site_count + 1))
    if taken := sorted((set(dataset.sites) - set(trainers)) & set(names)):
        raise ConfigError(
            f"{where}: {', '.join(taken)} of {dataset.name} have no training rows and stay; needed other names for "
            "made sites. use partition.site_count=null"
        )
    return names


def at_least(site: Ints, sites: int, least: int, rng: np.random.Generator) -> Ints:
    """Move rows, one at a time and drawn at random, from the site that has most until none has fewer than ``least``.

    Args:
        site: number of the site per row, ``(rows,)``.
        sites: how many.
        least: rows that every site gets.
        rng: stream of this deal.

    Raises:
        ConfigError: fewer rows than ``sites * least``.
    """
    if len(site) < sites * least:
        raise ConfigError(
            f"partition.least_rows: given {least} at {sites} sites; needed at most {len(site) // sites}, as there are "
            f"{len(site)} training rows. lower partition.least_rows or partition.site_count"
        )
    site = site.copy()
    while (counts := np.bincount(site, minlength=sites)).min() < least:
        site[rng.choice(np.flatnonzero(site == counts.argmax()))] = counts.argmin()
    return site


@dataclass(frozen=True)
class _Rows:
    """All rows of some sites in one table, sorted by site and sample id."""

    ids: npt.NDArray[np.str_]
    origin: npt.NDArray[np.str_]
    targets: Ints
    split: npt.NDArray[np.str_]
    features: dict[str, npt.NDArray[np.float32]]
    available: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, sites: Sequence[SiteRows]) -> _Rows:
        order = [np.array(sorted(range(len(s.sample_ids)), key=s.sample_ids.__getitem__)) for s in sites]
        pairs = list(zip(sites, order, strict=True))
        return cls(
            ids=np.concatenate([np.array(s.sample_ids)[o] for s, o in pairs]),
            origin=np.concatenate([np.full(len(o), s.name) for s, o in pairs]),
            targets=np.concatenate([s.targets[o] for s, o in pairs]),
            split=np.concatenate([s.split[o] for s, o in pairs]),
            features={m: np.concatenate([s.features[m][o] for s, o in pairs]) for m in sites[0].features},
            available=np.concatenate([s.available[o] for s, o in pairs]),
        )

    def at(self, rows: Ints, name: str, ids: Sequence[str]) -> SiteRows:
        """These rows as a site."""
        return SiteRows(
            name=name,
            sample_ids=tuple(ids[row] for row in rows),
            targets=self.targets[rows],
            split=self.split[rows],
            features={m: values[rows] for m, values in self.features.items()},
            available=self.available[rows],
        )


def _trains(site: SiteRows) -> bool:
    return bool((site.split == "train").any())


def _ids_after(dataset: FederatedDataset, rows: _Rows, home: npt.NDArray[np.str_]) -> list[str]:
    every = [sample_id for site in dataset.sites.values() for sample_id in site.sample_ids]
    ids: list[str] = rows.ids.tolist()
    if len(set(every)) == len(every):
        return ids
    places = zip(ids, rows.origin.tolist(), home.tolist(), strict=True)
    return [sample_id if old == new else f"{old}:{sample_id}" for sample_id, old, new in places]


def _in_order(dataset: FederatedDataset, made: dict[str, SiteRows]) -> dict[str, SiteRows]:
    """Old names in the data set's order; made ones first, then the sites that stay."""
    stay = {name: site for name, site in dataset.sites.items() if not _trains(site)}
    if set(made) <= set(dataset.sites) and len(made) + len(stay) == len(dataset.sites):
        return {name: made.get(name, site) for name, site in dataset.sites.items()}
    return made | stay


def _described(
    dataset: FederatedDataset, sites: dict[str, SiteRows], config: DealtSection, how: str
) -> FederatedDataset:
    count = len(site_names(dataset, config))
    tests = "test rows stay" if config.site_count is None else "test rows dealt evenly"
    told = f"training and validation rows dealt anew by seed to {count} sites, {how}; {tests}"
    before = dataset.provenance.get("sites")
    caution = f"a site is no longer one source of data: partition={config_name(config)} dealt the rows anew" + (
        ", but each site's test rows are those of the source that it is named after"
        if config.site_count is None
        else ""
    )
    return replace(
        dataset,
        sites=sites,
        provenance=dataset.provenance | {"sites": f"{before}; {told}" if before else told},
        caution=(*dataset.caution, caution),
    )
