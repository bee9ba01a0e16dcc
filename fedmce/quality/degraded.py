"""``degraded``: one modality's sensor measures wrongly at chosen sites."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fedmce.config.agreement import quality_problems
from fedmce.config.explain import config_error
from fedmce.config.quality import DegradedConfig
from fedmce.data.dataset import FederatedDataset, Modality, SiteRows
from fedmce.errors import ConfigError
from fedmce.quality.kinds import KINDS, can_swap
from fedmce.quality.quality import quality
from fedmce.streams import generator, keyed_uniforms

WORDS = {
    "misaligned": "{share:.0%} of the rows hold values of other rows of their site",
    "noise": "noise of {level:g} standard deviations added",
    "gain": "a gain that drifts up to exp({level:g})",
    "swap": "channels, or halves of a vector, swapped in {share:.0%} of the rows",
}


@quality("degraded")
def degraded(config: DegradedConfig, dataset: FederatedDataset, seed: int) -> FederatedDataset:
    """Replace the values of one modality at the chosen sites, in the rows of the chosen splits.

    Labels, splits, availability, other modalities and other sites stay as they are. Each site and split is
    degraded from a stream of its own.

    Raises:
        ConfigError: unknown names, a site that has no such values, or a vector of one entry to swap.
    """
    modality, sites = _modality(config, dataset), degraded_sites(dataset, config, seed)
    if config.kind == "swap" and not can_swap(modality.shape):
        raise ConfigError(
            f"quality.kind: given swap for {modality.name} of shape {modality.shape}; needed two channels or two "
            "entries. use misaligned, noise or gain"
        )
    spread = _spread(dataset, modality)
    changed = {name: _site(dataset, dataset.sites[name], modality, config, spread, seed) for name in sites}
    what = WORDS[config.kind].format(level=config.level, share=min(config.level, 1.0))
    where = f"in the {' and '.join(config.splits)} rows of {', '.join(sites)}" if sites else "nowhere (quality.sites=0)"
    told = dataset.provenance.get(modality.name)
    note = f"degraded by seed {where}: {what}"
    return replace(
        dataset,
        sites=dataset.sites | changed,
        provenance=dataset.provenance | {modality.name: f"{told}; {note}" if told else note},
        caution=(*dataset.caution, *([f"{modality.name} is {note}"] if sites else [])),
    )


def degraded_sites(dataset: FederatedDataset, config: DegradedConfig, seed: int) -> tuple[str, ...]:
    """The sites whose sensor is degraded, in the data set's order.

    Args:
        dataset: after the partition.
        config: modality, splits and either names or a share of the sites that hold the modality in these splits.
            A larger share contains the sites of a smaller one; any share above 0 is one site at least.
        seed: root of the draw.

    Raises:
        ConfigError: unknown names, or a site without such rows.
    """
    modality = _modality(config, dataset)
    holders = [name for name, site in dataset.sites.items() if _rows(dataset, site, modality, config.splits).size]
    if not isinstance(config.sites, float | int):
        if without := [name for name in config.sites if name not in holders]:
            raise ConfigError(
                f"quality.sites: {', '.join(without)} have no {modality.name} in {' or '.join(config.splits)} rows; "
                f"needed out of {', '.join(holders) or 'none'}"
            )
        return tuple(name for name in holders if name in config.sites)
    if not holders:
        raise ConfigError(f"quality: no site has {modality.name} in {' or '.join(config.splits)} rows; needed one")
    count = max(int(np.floor(config.sites * len(holders) + 0.5)), int(config.sites > 0))
    drawn = keyed_uniforms(seed, "quality-sites", modality.name, holders, ["site"])[:, 0]
    chosen = {holders[place] for place in np.argsort(drawn, kind="stable")[:count]}
    return tuple(name for name in holders if name in chosen)


def _modality(config: DegradedConfig, dataset: FederatedDataset) -> Modality:
    if problems := list(quality_problems(config, [m.name for m in dataset.modalities], list(dataset.sites))):
        raise config_error(problems, f"configuration for data set {dataset.name}")
    return next(m for m in dataset.modalities if config.modality in (None, m.name))


def _rows(
    dataset: FederatedDataset, site: SiteRows, modality: Modality, splits: tuple[str, ...]
) -> npt.NDArray[np.int64]:
    """Rows of these splits that naturally hold the modality."""
    column = [m.name for m in dataset.modalities].index(modality.name)
    return np.flatnonzero(site.available[:, column] & np.isin(site.split, splits))


def _site(
    dataset: FederatedDataset,
    site: SiteRows,
    modality: Modality,
    config: DegradedConfig,
    spread: npt.NDArray[np.float64],
    seed: int,
) -> SiteRows:
    values = site.features[modality.name].copy()
    for split in config.splits:
        rows = _rows(dataset, site, modality, (split,))
        rng = generator(seed, "quality", config.kind, modality.name, site.name, split)
        values[rows] = KINDS[config.kind](values[rows], config.level, spread, rng)
    return replace(site, features=site.features | {modality.name: values})


def _spread(dataset: FederatedDataset, modality: Modality) -> npt.NDArray[np.float64]:
    """Standard deviation of the modality over the training rows of all sites, pooled as normalisation pools it."""
    parts = []
    for _, site in sorted(dataset.sites.items()):
        parts.append(site.features[modality.name][_rows(dataset, site, modality, ("train",))])
    values = np.ma.masked_invalid(np.concatenate(parts).astype(np.float64))
    axes = (0, *(axis + 1 for axis in modality.pooled_axes))
    # A column that nobody recorded has no spread.
    return np.ma.filled(values.std(axis=axes), 0.0).reshape(modality.statistics_shape)
