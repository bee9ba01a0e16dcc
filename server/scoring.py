"""Scores of the global model on test rows that the server itself holds (simulation).

Between real sites the server holds no rows and this room stays empty; the sites then score what they
hold, with the components that they were given.
"""

from __future__ import annotations

import time
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from fedmce.config.schema import RunConfig
from fedmce.contributions import Tally, is_exact
from fedmce.data import FederatedDataset
from fedmce.metrics import completed_summary, concordance, summary
from fedmce.missingness import SiteMask, observe
from fedmce.models import MultimodalNet, NetworkSpec, State, Statistics, load_state
from fedmce.streams import generator
from fedmce.subsets import LISTED, scored_subsets
from fedmce.training import DeviceRows, Predictions, empty_tally, measure, pick_device, predict_subsets


class TestRows:
    """The test rows of the sites that take part, with their natural gaps only, to be scored in every round.

    Args:
        dataset: the data set.
        config: device and threads.
        spec: the network.
        statistics: pooled mean and standard deviation per modality.
        empty_value: v(nothing) of the value tables.
    """

    def __init__(
        self,
        dataset: FederatedDataset,
        config: RunConfig,
        spec: NetworkSpec,
        statistics: dict[str, Statistics],
        empty_value: float,
    ) -> None:
        device = pick_device(config.training.device)
        self._contributions, self._seed = config.contributions, config.seed
        self._metric, self._empty_value = dataset.task.metric, empty_value
        self._net = MultimodalNet(spec).to(device)
        self._rows: dict[str, DeviceRows] = {}
        for name in sorted(config.sites or dataset.sites):
            site = dataset.sites[name]
            rows = observe(site, SiteMask(site.sample_ids, site.available), dataset.modalities, "test")
            if rows.rows:
                self._rows[name] = DeviceRows(rows, statistics, spec.names, device)

    def score(self, state: State) -> dict[str, Any]:
        """Fields of the ``evaluation`` event: scores, contributions, interactions, seconds."""
        began = time.perf_counter()
        load_state(self._net, state)
        names = self._net.spec.names
        found, tallies = {}, {}
        for site, rows in self._rows.items():
            found[site], tallies[site] = self._predicted(site, rows)
        fields = summary({site: p.cells() for site, p in found.items()}, self._metric, names)
        whole = reduce(add, tallies.values(), empty_tally(self._contributions, len(names)))
        fields["contributions"] = whole.contributions(names, self._empty_value)
        fields["contributions_se"] = whole.standard_errors(names, self._empty_value)
        fields["interactions"] = whole.interactions(names, self._empty_value)
        if (use := self._net.spec.use_completion) != "off":
            apart = {site: predict_subsets(self._net, rows, use).cells() for site, rows in self._rows.items()}
            fields["completed"] = completed_summary(apart, self._metric, names, use)
        if self._metric == "auc_within_sites":
            fields["secondary"]["auc_pooled"] = _pooled_auc(found, names)
        return {"split": "test", "where": "server", **fields, "seconds": time.perf_counter() - began}

    def _predicted(self, site: str, rows: DeviceRows) -> tuple[Predictions, Tally]:
        stream = generator(self._seed, "contributions", "test", site)
        predictions, tally = measure(self._net, rows, self._contributions, stream)
        modalities = len(self._net.spec.names)
        if modalities > LISTED or not is_exact(self._contributions, modalities):
            predictions = predict_subsets(self._net, rows)  # scores are of other subsets than contributions
        return predictions, tally


def _pooled_auc(found: dict[str, Predictions], names: tuple[str, ...]) -> dict[str, float | None]:
    """AUC over all rows of all sites: it also rewards knowing the site, so it never stands alone."""
    subset = np.concatenate([p.subset for p in found.values()])
    score = np.concatenate([p.probability[:, 1] for p in found.values()])
    positive = np.concatenate([p.target == 1 for p in found.values()])
    scores: dict[str, float | None] = {}
    for name, code in scored_subsets(names).items():
        here = subset == code
        total, pairs = concordance(score[here], positive[here])
        scores[name] = total / pairs if pairs else None
    return scores
