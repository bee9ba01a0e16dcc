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
from fedmce.missingness import SiteMask, draw_site_mask, observe
from fedmce.models import MultimodalNet, NetworkSpec, State, Statistics, load_state
from fedmce.scope import participants
from fedmce.streams import generator
from fedmce.subsets import LISTED, scored_subsets
from fedmce.training import (
    DeviceRows,
    Predictions,
    empty_tally,
    measure,
    pick_device,
    predict_subsets,
    rows_at_site,
    stand_in_counts,
)
from server.detail import add_detail, completion_quality, own_patterns


class TestRows:
    """The test rows of the sites that take part, with their natural gaps only, to be scored in every round.

    Validation rows under the masks of training, as their sites see them, are looked at once, at the end.

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
        self._device = pick_device(config.training.device)
        self._config, self._dataset, self._statistics = config, dataset, statistics
        self._contributions, self._seed = config.contributions, config.seed
        self._metric, self._empty_value = dataset.task.metric, empty_value
        self._net = MultimodalNet(spec).to(self._device)
        self._net.use_blanks(statistics)
        self._rows: dict[str, DeviceRows] = {}
        for name in sorted(participants(config, dataset.sites)):
            site = dataset.sites[name]
            rows = observe(site, SiteMask(site.sample_ids, site.available), dataset.modalities, "test")
            if rows.rows:
                self._rows[name] = rows_at_site(config, dataset, rows, statistics, self._device)

    def score(self, state: State, last: bool = False) -> dict[str, Any]:
        """Fields of the ``evaluation`` event: scores, calibration, contributions, interactions, seconds.

        Args:
            state: the model.
            last: nothing is trained after it; then also scores with what each row has, and completion of
                hidden entries.
        """
        began = time.perf_counter()
        load_state(self._net, state)
        names = self._net.spec.names
        found, tallies = {}, {}
        for site, rows in self._rows.items():
            found[site], tallies[site] = self._predicted(site, rows)
        fields = summary({site: p.cells() for site, p in found.items()}, self._metric, names)
        add_detail(fields, found, names)
        whole = reduce(add, tallies.values(), empty_tally(self._contributions, len(names)))
        fields["contributions"] = whole.contributions(names, self._empty_value)
        fields["contributions_se"] = whole.standard_errors(names, self._empty_value)
        fields["interactions"] = whole.interactions(names, self._empty_value)
        if (use := self._net.spec.use_completion) != "off":
            apart = {site: predict_subsets(self._net, rows, use).cells() for site, rows in self._rows.items()}
            fields["completed"] = completed_summary(apart, self._metric, names, use)
        if self._metric == "auc_within_sites":
            fields["secondary"]["auc_pooled"] = _pooled_auc(found, names)
        if (counts := stand_in_counts(self._rows)) is not None:
            fields["imputation"] = counts
        if last:
            by_split = {"test": self._rows, "validation": self._masked_validation()}
            fields["as_available"] = {split: own_patterns(self._net, r, self._metric) for split, r in by_split.items()}
            fields["completion_quality"] = completion_quality(self._net, self._rows, self._metric)
        return {"split": "test", "where": "server", **fields, "seconds": time.perf_counter() - began}

    def _masked_validation(self) -> dict[str, DeviceRows]:
        found = {}
        for name in sorted(participants(self._config, self._dataset.sites)):
            mask, _ = draw_site_mask(
                self._dataset, self._dataset.sites[name], self._config.missingness, self._config.seed
            )
            rows = observe(self._dataset.sites[name], mask, self._dataset.modalities, "validation")
            if rows.rows:
                found[name] = rows_at_site(self._config, self._dataset, rows, self._statistics, self._device)
        return found

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
