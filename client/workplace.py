"""What a site keeps warm between messages: its observed rows, on the device.

Everything here can be built again from the configuration and the site's data, so a process that dies
loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import torch

import fedmce.data as data
from client.heldout import heldout_rows, take_rows, without
from fedmce.config.schema import RunConfig
from fedmce.data import Modality, Task
from fedmce.errors import ConfigError
from fedmce.missingness import ObservedRows, SiteMask, draw_site_mask, keep_modalities, observe
from fedmce.models import MultimodalNet, NetworkSpec, Statistics
from fedmce.networks import spec_for
from fedmce.streams import generator
from fedmce.training import DeviceRows, compiled, pick_device


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
    _device_rows: dict[tuple[str, ...], tuple[DeviceRows, ...]] = field(default_factory=dict)
    _nets: dict[tuple[str, ...], MultimodalNet] = field(default_factory=dict)

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

    def _rows_on_device(self, statistics: dict[str, Statistics]) -> tuple[DeviceRows, ...]:
        key = tuple(f"{n}:{s.mean.tobytes().hex()}:{s.std.tobytes().hex()}" for n, s in sorted(statistics.items()))
        if key not in self._device_rows:
            training = self.config.training
            whole = [rows for rows in (self.train, self.validation, self.heldout, self.unmasked) if rows is not None]
            parts = [keep_modalities(rows, self.names, statistics) for rows in whole]
            device = pick_device(training.device)
            on_device = tuple(DeviceRows(rows, statistics, self.names, device, training.resident) for rows in parts)
            self._device_rows = {key: on_device}
        return self._device_rows[key]


def site_name(config: RunConfig, node: dict[str, object]) -> str:
    """The site that a node stands for: its own word, or its place in the list of sites."""
    if "site" in node:
        return str(node["site"])
    names = config.sites or tuple(data.dataset_of(config).sites)
    place, count = int(str(node["partition-id"])), int(str(node["num-partitions"]))
    if count != len(names):
        raise ConfigError(f"{count} nodes for {len(names)} sites ({', '.join(names)}); start one node per site")
    return names[place]


@lru_cache(maxsize=64)
def open_workplace(config_json: str, site: str) -> Workplace:
    """Load the site's rows and remove what its mask hides; the full rows are not kept."""
    config = RunConfig.model_validate_json(config_json)
    torch.set_num_threads(config.training.threads)
    dataset = data.dataset_of(config)
    if site not in dataset.sites:
        raise ConfigError(f"site {site!r}: not in {dataset.name}; known: {', '.join(dataset.sites)}")
    rows = dataset.sites[site]
    mask, _ = draw_site_mask(dataset, rows, config.missingness, config.seed)
    by_position, natural = config.missingness.bind == "position", SiteMask(rows.sample_ids, rows.available)
    train = observe(rows, mask, dataset.modalities, "train")
    unmasked = observe(rows, natural, dataset.modalities, "train") if by_position else None
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
        validation=observe(rows, mask, dataset.modalities, "validation"),
        unmasked=unmasked,
        heldout=heldout,
    )
