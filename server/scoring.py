"""Scores of the global model on test rows that the server itself holds (simulation).

Between real sites the server holds no rows and this room stays empty; the sites then score what they
hold in the same way (:mod:`fedmce.training.scored`) and send the sums.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fedmce.config.schema import RunConfig
from fedmce.data import FederatedDataset
from fedmce.metrics import concordance
from fedmce.missingness import SiteMask, draw_site_mask, observe
from fedmce.models import MultimodalNet, NetworkSpec, State, Statistics, load_state
from fedmce.scope import participants
from fedmce.subsets import scored_subsets
from fedmce.training import (
    DeviceRows,
    Predictions,
    ScoredRows,
    nothing_scored,
    pick_device,
    rows_at_site,
    score_rows,
    with_last,
)
from server.detail import evaluation_fields


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
        parts, found = self._parts(last)
        fields = evaluation_fields(parts, self._net.spec, self._metric, self._empty_value, last=last)
        if self._metric == "auc_within_sites":
            fields["secondary"]["auc_pooled"] = _pooled_auc(found, self._net.spec.names)
        return {"split": "test", "where": "server", **fields, "seconds": time.perf_counter() - began}

    def _parts(self, last: bool) -> tuple[dict[str, ScoredRows], dict[str, Predictions]]:
        """Sums of each site, and the predictions of its test rows."""
        empty, seen = nothing_scored(self._config, len(self._net.spec.names)), self._masked_validation() if last else {}
        parts, found = {}, {}
        for site in sorted(participants(self._config, self._dataset.sites)):
            rows, parts[site] = self._rows.get(site), empty
            if rows is not None:
                parts[site], found[site] = score_rows(self._net, rows, self._config, site)
            if last:
                parts[site] = with_last(parts[site], self._net, rows, seen.get(site))
        return parts, found

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
