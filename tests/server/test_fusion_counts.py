"""What a site's fusion counts by: its rows, or the pairs from which it learns to join modalities."""

from __future__ import annotations

import numpy as np
import pytest

from client.app import app
from fedmce.data import FederatedDataset
from fedmce.flower_compat import identity
from fedmce.missingness import draw_masks
from tests.server.made import made_config, open_federation


def weights_of(made: FederatedDataset, counts: str) -> dict[str, dict[str, float]]:
    config = made_config(aggregation__fusion_counts=counts, aggregation__saturation_rows=None)
    with identity(1) as run:
        federation = open_federation(config, made, app, run)
        federation.commit(federation.train_replies().values())
    assert federation.strategy.outcome is not None
    return federation.strategy.outcome.weights


def pairs_per_row(made: FederatedDataset) -> dict[str, float]:
    config = made_config()
    masks = draw_masks(made, config.missingness, config.seed)
    found = {}
    for name, site in made.sites.items():
        held = masks.sites[name].available[site.split == "train"].sum(axis=1)
        found[name] = float((2.0 ** held[held > 0] - 1).mean())
    return found


def test_fusion_goes_by_pairs_where_asked_and_nothing_else_does(made: FederatedDataset) -> None:
    by_rows, by_pairs, pairs = weights_of(made, "rows"), weights_of(made, "pairs"), pairs_per_row(made)
    raw = {site: weight * pairs[site] for site, weight in by_rows["fusion"].items()}
    assert by_pairs["fusion"] == pytest.approx({site: value / sum(raw.values()) for site, value in raw.items()})
    assert len({round(value, 6) for value in pairs.values()}) > 1  # the sites of this federation do differ
    for component in set(by_rows) - {"fusion"}:
        assert by_pairs[component] == by_rows[component]


def test_a_site_whose_rows_hold_two_modalities_has_three_pairs_per_row(made: FederatedDataset) -> None:
    config = made_config()
    with identity(1) as run:
        roster = open_federation(config, made, app, run).strategy.roster
    assert np.isclose(roster.pairs_per_row("birch"), 3.0)  # image and blood in every row
