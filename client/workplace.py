"""What a site keeps warm between messages: its observed rows, on the device.

Everything here can be built again from the configuration and the site's data, so a process that dies
loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import torch

import fedmce.data as data
from client.heldout import heldout_rows, take_rows, without
from fedmce.config.privacy import PrivacyConfig
from fedmce.config.schema import FoldersConfig, RunConfig
from fedmce.data import FederatedDataset, Modality, SiteRows, Split, Task
from fedmce.data.folders import is_elsewhere
from fedmce.errors import ConfigError, DataError
from fedmce.folders.digests import split_digest, too_large_batch
from fedmce.folders.layout import SiteFile
from fedmce.folders.plan import site_files
from fedmce.folders.release import Release
from fedmce.missingness import ObservedRows, SiteMask, draw_site_mask, join_rows, keep_modalities, observe
from fedmce.missingness.away import away_modalities
from fedmce.models import MultimodalNet, NetworkSpec, Statistics, private_keys
from fedmce.networks import spec_for
from fedmce.scope import nodes, participants
from fedmce.site_errors import SiteError
from fedmce.streams import generator
from fedmce.training import DeviceRows, compiled, pick_device, with_neighbours


@dataclass
class Workplace:
    """One site's data, reduced to what the masks leave.

    Attributes:
        site: the site's name.
        config: the checked configuration.
        modalities: of the data set, in order.
        task: classes and metric.
        spec: the whole network; the site builds only what it holds.
        train: observed training rows.
        validation: observed validation rows.
        unmasked: training rows with their natural gaps only; there with ``missingness.bind=position`` alone.
        heldout: observed rows that never train; there with ``contributions.source=heldout`` alone.
        test: test rows with their natural gaps only; there where sites end with models of their own, or where nobody
            else has the rows.
        release: the site's own floors, from its folder; None where the data are no folder of the site's.
        splits: digest of which row is in which split; empty where the data are no folder of the site's.
    """

    site: str
    config: RunConfig
    modalities: tuple[Modality, ...]
    task: Task
    spec: NetworkSpec
    train: ObservedRows
    validation: ObservedRows
    unmasked: ObservedRows | None = None
    heldout: ObservedRows | None = None
    test: ObservedRows | None = None
    release: Release | None = None
    splits: str = ""
    policies: dict[PrivacyConfig, object] = field(default_factory=dict)  # of client.policy, made once
    _device_rows: dict[tuple[str, ...], tuple[DeviceRows, ...]] = field(default_factory=dict)
    _nets: dict[tuple[str, ...], MultimodalNet] = field(default_factory=dict)
    _private: dict[tuple[str, ...], frozenset[str]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Modality names in data set order."""
        return tuple(m.name for m in self.modalities)

    def net(self, held: tuple[str, ...]) -> MultimodalNet:
        """The site's own copy of the components of these modalities; a received state overwrites all of it.

        Kept between messages: drawing initial values that are overwritten at once costs more than a step.
        """
        if held not in self._nets:
            net = MultimodalNet(self.spec, held).to(pick_device(self.config.training.device))
            self._nets = {held: compiled(net) if self.config.training.compile else net}
        return self._nets[held]

    def on_device(self, statistics: dict[str, Statistics]) -> tuple[DeviceRows, DeviceRows]:
        """Training and validation rows with the given modalities, normalised, on the device; made once."""
        return self._rows_on_device(statistics)[:2]  # type: ignore[return-value]

    def rows_to_train(self, statistics: dict[str, Statistics]) -> DeviceRows:
        """Rows that local training visits: the training rows, unless masks belong to positions."""
        return self._rows_on_device(statistics)[-1 if self.unmasked is not None else 0]

    def heldout_on_device(self, statistics: dict[str, Statistics]) -> DeviceRows:
        """Rows that never train; only with ``contributions.source=heldout``."""
        return self._rows_on_device(statistics)[2]

    def test_on_device(self, statistics: dict[str, Statistics]) -> DeviceRows:
        """Test rows, normalised; only where there are any to be scored here."""
        assert self.test is not None, "this site was not asked to keep test rows"
        donors = keep_modalities(self.train, self.names, statistics)
        imputer = with_neighbours(self.config, self.test, donors, statistics, self.names)
        device = pick_device(self.config.training.device)
        return DeviceRows(self.test, statistics, self.names, device, imputer=imputer)

    @property
    def prior(self) -> npt.NDArray[np.float64]:
        """Shares of the classes in the training rows, ``(classes,)``."""
        counts = np.bincount(self.train.targets, minlength=len(self.task.classes))
        shares: npt.NDArray[np.float64] = counts / max(counts.sum(), 1)
        return shares

    def private_keys(self, kinds: tuple[str, ...]) -> frozenset[str]:
        """Keys of the whole network that never leave a site."""
        if kinds not in self._private:
            self._private[kinds] = private_keys(MultimodalNet(self.spec), kinds) if kinds else frozenset()
        return self._private[kinds]

    def away(self, round_number: int, held: tuple[str, ...]) -> tuple[str, ...]:
        """Modalities that are away in this round (``missingness.away``); never all that the site holds."""
        return away_modalities(self.config.missingness, self.config.seed, self.site, round_number, held)

    def _rows_on_device(self, statistics: dict[str, Statistics]) -> tuple[DeviceRows, ...]:
        key = tuple(f"{n}:{s.mean.tobytes().hex()}:{s.std.tobytes().hex()}" for n, s in sorted(statistics.items()))
        if key not in self._device_rows:
            training = self.config.training
            whole = [rows for rows in (self.train, self.validation, self.heldout, self.unmasked) if rows is not None]
            parts = [keep_modalities(rows, self.names, statistics) for rows in whole]
            device = pick_device(training.device)
            on_device = tuple(
                DeviceRows(
                    rows,
                    statistics,
                    self.names,
                    device,
                    training.resident,
                    with_neighbours(self.config, rows, parts[0], statistics, self.names),
                )
                for rows in parts
            )
            self._device_rows = {key: on_device}
        return self._device_rows[key]


def site_name(config: RunConfig, node: Mapping[str, object]) -> str:
    """The site that a node stands for: its own word, that of its folder, or its place in the list of sites."""
    if "site" in node:
        return str(node["site"])
    if (folder := folder_of(node)) is not None:
        return SiteFile.read(Path(folder)).site
    names = nodes(config, data.dataset_of(config).sites)
    place, count = int(str(node["partition-id"])), int(str(node["num-partitions"]))
    if count != len(names):
        raise ConfigError(f"{count} nodes for {len(names)} sites ({', '.join(names)}); start one node per site")
    return names[place]


def folder_of(node: Mapping[str, object]) -> str | None:
    """The site folder that a node was started with; None where the configuration says where the data are."""
    return str(node["folder"]) if node.get("folder") else None


@lru_cache(maxsize=64)
def open_workplace(config_json: str, site: str, folder: str | None = None) -> Workplace:
    """Load the site's rows and remove what its mask hides; the full rows are not kept.

    Args:
        config_json: the configuration as it travels.
        site: the site's name.
        folder: the site folder that holds the rows, which nobody else has; None = the data set of the configuration.

    Raises:
        ConfigError: no such site, or rows that are said to be elsewhere.
        DataError: the data cannot be read, or the folder is that of another site.
        SiteError: ``out_of_memory``: one batch is more than the memory that is free.
    """
    config = RunConfig.model_validate_json(config_json)
    torch.set_num_threads(config.training.threads)
    dataset = data.dataset_of(config) if folder is None else _own_dataset(config, site, folder)
    if folder is None and is_elsewhere(config.dataset):
        raise ConfigError(f"site {site!r}: dataset=folders without a path, and the node has no folder of its own")
    if site not in nodes(config, dataset.sites) and site not in dataset.sites:
        raise ConfigError(f"site {site!r}: not in {dataset.name}; known: {', '.join(dataset.sites)}")
    by_position = config.missingness.bind == "position"
    train = _masked(dataset, config, site, "train")
    unmasked = _natural(dataset, config, site, "train") if by_position else None
    heldout = None
    if config.contributions.source == "heldout":
        stream = generator(config.seed, "heldout", site)
        heldout = take_rows(train, heldout_rows(train, config.contributions.heldout_share, stream))
        train = without(train, heldout.sample_ids)
        unmasked = without(unmasked, heldout.sample_ids) if unmasked is not None else None
    return Workplace(
        site=site,
        config=config,
        modalities=dataset.modalities,
        task=dataset.task,
        spec=spec_for(dataset, config),
        train=train,
        validation=_masked(dataset, config, site, "validation"),
        unmasked=unmasked,
        heldout=heldout,
        test=_test_rows(dataset, config, site) if config.scores_at_sites or folder is not None else None,
        release=_release(config, site, folder),
        splits=_splits(dataset.sites[site]) if folder is not None else "",
    )


def _splits(rows: SiteRows) -> str:
    return split_digest(rows.sample_ids, rows.split.tolist())


def _release(config: RunConfig, site: str, folder: str | None) -> Release | None:
    if folder is not None:
        return SiteFile.read(Path(folder)).release
    if not isinstance(config.dataset, FoldersConfig) or config.dataset.path is None:
        return None
    return next((f.release for f in site_files(Path(config.dataset.path)).values() if f.site == site), None)


def _own_dataset(config: RunConfig, site: str, folder: str) -> FederatedDataset:
    about = SiteFile.read(Path(folder))
    if about.site != site:
        raise DataError(
            f"{folder}: is the folder of site {about.site!r}; needed that of {site!r}. use the right folder"
        )
    free = psutil.virtual_memory().available
    if (finding := too_large_batch(about.modalities, config.training.batch_size, free)) is not None:
        raise SiteError("out_of_memory", str(finding))
    return data.dataset_at(config, Path(folder))


def _masked(dataset: FederatedDataset, config: RunConfig, site: str, split: Split) -> ObservedRows:
    """Rows of the site, or of all sites behind the one of ``scope=pooled``, under their own masks."""
    members = participants(config, dataset.sites) if config.scope == "pooled" else (site,)
    found = []
    for name in sorted(members):
        mask, _ = draw_site_mask(dataset, dataset.sites[name], config.missingness, config.seed)
        found.append(observe(dataset.sites[name], mask, dataset.modalities, split))
    return join_rows(site, found)


def _natural(dataset: FederatedDataset, config: RunConfig, site: str, split: Split) -> ObservedRows:
    members = participants(config, dataset.sites) if config.scope == "pooled" else (site,)
    rows = [dataset.sites[name] for name in sorted(members)]
    return join_rows(site, [observe(r, SiteMask(r.sample_ids, r.available), dataset.modalities, split) for r in rows])


def _test_rows(dataset: FederatedDataset, config: RunConfig, site: str) -> ObservedRows:
    """The site's own test rows, and those of sites that never train.

    Somebody whom no site knows meets the model of any one of them: every site scores such rows, and since scores
    add up as sums, they count as their mean over the sites.
    """
    everybody = participants(config, dataset.sites)
    # Where each site opens its own folder the others have no rows here, and strangers score themselves.
    here = [name for name in everybody if dataset.sites[name].sample_ids]
    strangers = [name for name in here if not (dataset.sites[name].split == "train").any() and config.is_personal]
    rows = [dataset.sites[name] for name in sorted({site, *strangers})]
    return join_rows(site, [observe(r, SiteMask(r.sample_ids, r.available), dataset.modalities, "test") for r in rows])
