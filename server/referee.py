"""Contributions measured by the server itself, on validation rows that it holds (simulation).

The only source that a site cannot dress up: what the site returned is put into the global model and
measured on rows that the site never sees.
"""

from __future__ import annotations

from fedmce.config.schema import RunConfig
from fedmce.contributions import Tally, is_exact
from fedmce.data import FederatedDataset
from fedmce.errors import ConfigError
from fedmce.missingness import ObservedRows, SiteMask, keep_modalities, observe
from fedmce.models import MultimodalNet, NetworkSpec, State, Statistics, load_state
from fedmce.scope import participants
from fedmce.streams import generator
from fedmce.training import DeviceRows, empty_tally, measure, pick_device


def check_measurable(dataset: FederatedDataset, config: RunConfig) -> None:
    """Refuse contributions that cannot be measured on this data set, before a run begins.

    Raises:
        ConfigError: no validation rows for ``source=server``, or an estimator that does not fit the modalities.
    """
    is_exact(config.contributions, len(dataset.modalities))  # raises where estimator or budget do not fit
    sites = (dataset.sites[name] for name in participants(config, dataset.sites))
    if config.contributions.source == "server" and not any((site.split == "validation").any() for site in sites):
        raise ConfigError(
            f"contributions.source: given server, but {dataset.name} has no validation rows; needed at least one. "
            "use received or heldout, or give the data set validation rows"
        )


class ServerRows:
    """Validation rows of all sites that take part, with their natural gaps only.

    Args:
        dataset: the data set.
        config: contributions, device and seed.
        spec: the network.
        statistics: pooled mean and standard deviation per modality.

    Raises:
        ConfigError: the data set has no validation rows.
    """

    def __init__(
        self, dataset: FederatedDataset, config: RunConfig, spec: NetworkSpec, statistics: dict[str, Statistics]
    ) -> None:
        self._config, self._statistics = config, statistics
        self._net = MultimodalNet(spec).to(pick_device(config.training.device))
        self._net.use_blanks(statistics)
        check_measurable(dataset, config)
        self._observed: list[ObservedRows] = []
        for name in sorted(participants(config, dataset.sites)):
            site = dataset.sites[name]
            rows = observe(site, SiteMask(site.sample_ids, site.available), dataset.modalities, "validation")
            if rows.rows:
                self._observed.append(rows)
        self._rows: dict[tuple[str, ...], list[DeviceRows]] = {}

    def __call__(self, model: State, held: tuple[str, ...], round_number: int) -> Tally:
        """Tally of the modalities ``held`` with this model, over all rows reduced to them.

        The same subsets are drawn for every site of a round, so sites are compared on equal terms.
        """
        load_state(self._net, model)
        stream = generator(self._config.seed, "contributions", "server", round_number)
        total = empty_tally(self._config.contributions, len(self._net.spec.names))
        for rows in self._reduced(held):
            total = total + measure(self._net, rows, self._config.contributions, stream)[1]
        return total

    def _reduced(self, held: tuple[str, ...]) -> list[DeviceRows]:
        if held not in self._rows:
            names, training = self._net.spec.names, self._config.training
            device = pick_device(training.device)
            kept = (keep_modalities(rows, names, held) for rows in self._observed)
            scales = {m: self._statistics[m] for m in held}
            self._rows[held] = [DeviceRows(rows, scales, names, device, training.resident) for rows in kept]
        return self._rows[held]
