"""Thirty-two modalities end to end: profile, sampled contributions, gate, weights, scores of a panel."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from client.app import app as client_app
from client.profile import profile
from client.workplace import open_workplace
from fedmce.config.schema import NaturalConfig, RunConfig
from fedmce.data import FederatedDataset, Modality, SiteRows, Task
from fedmce.errors import ConfigError
from fedmce.flower_compat import identity
from fedmce.models import MultimodalNet, state_of
from fedmce.networks import spec_for
from fedmce.subsets import PANEL, scored_codes, scored_subsets
from server.gate import Accepted
from server.scoring import TestRows as ScoredRows
from server.state import GlobalState
from server.strategy import ComponentStrategy
from simulations.engines.inprocess import InProcessGrid
from tests.server.made import CLASSES, Federation, made_config, roster_of, use

NAMES = tuple(f"part{number:02d}" for number in range(32))
MANY = tuple(Modality(name, "tabular", (2,), "units") for name in NAMES)


def many_site(name: str, lacks: int) -> SiteRows:
    draw = np.random.default_rng(lacks)
    targets = draw.integers(0, len(CLASSES), 22)
    available = draw.random((22, 32)) < 0.7
    available[:, lacks] = False
    available[:, 31] = True
    features = {}
    for column, part in enumerate(NAMES):
        values = targets[:, None] * np.array([1.0, -1.0]) + draw.normal(size=(22, 2))
        features[part] = np.where(available[:, [column]], values, np.nan).astype(np.float32)
    split = np.repeat(["train", "validation", "test"], [12, 4, 6])
    ids = tuple(f"{name}-{row}" for row in range(22))
    return SiteRows(name, ids, targets.astype(np.int64), split, features, available)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> FederatedDataset:
    sites = {name: many_site(name, place) for place, name in enumerate(("oak", "yew", "elm"))}
    return use(monkeypatch, FederatedDataset("av_digits", MANY, Task(CLASSES), sites))


def config_of(**changes: Any) -> RunConfig:
    return made_config(missingness=NaturalConfig().model_dump(), **changes)


def committed(config: RunConfig, dataset: FederatedDataset) -> Federation:
    with identity(1) as run:
        spec = spec_for(dataset, config)
        grid = InProcessGrid(client_app, len(dataset.sites), run)
        roster = roster_of(grid, config, spec, len(dataset.sites))
        initial = GlobalState(0, state_of(MultimodalNet(spec, seed=config.seed)))
        found = Federation(grid, ComponentStrategy(config, spec, roster, roster.statistics(spec), initial), initial)
        found.commit(found.train_replies().values())
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"contributions__estimator": "stratified", "contributions__source": "heldout"},
        {"contributions__estimator": "kernel", "contributions__value": "probability"},
        {"contributions__index": "banzhaf"},
        {"contributions__index": "leave_one_out"},
    ],
    ids=["antithetic", "stratified", "kernel", "banzhaf", "leave one out"],
)
def test_a_round_of_thirty_two_modalities_is_accepted_and_weighed(
    many: FederatedDataset, changes: dict[str, Any]
) -> None:
    outcome = committed(config_of(**changes), many).strategy.outcome
    assert outcome is not None
    assert all(isinstance(v, Accepted) for v in outcome.verdicts.values()), outcome.verdicts
    assert outcome.insight is not None
    assert outcome.insight.by_site["oak"]["part00"] is None
    assert outcome.insight.by_site["oak"]["part31"] is not None
    assert outcome.insight.standard_errors["part31"] is not None
    measured = {m for m, phi in outcome.insight.by_site["oak"].items() if phi is not None}
    assert set(outcome.insight.quality["oak"]) == measured
    assert len(measured) > 20


def test_no_pattern_of_a_row_travels(many: FederatedDataset) -> None:
    numbers, _ = profile(open_workplace(config_of().to_json(), "oak"))
    assert not any(key.endswith(("patterns", "pattern_rows")) for key in numbers)
    assert sum(numbers["train.size.rows"]) == sum(numbers["rows_by_modality"])  # type: ignore[arg-type]


def test_scores_are_of_the_panel_and_contributions_add_up_on_complete_rows(many: FederatedDataset) -> None:
    sites = {
        name: dataclasses.replace(
            site,
            available=np.ones_like(site.available),
            features={m: np.nan_to_num(v) for m, v in site.features.items()},
        )
        for name, site in many.sites.items()
    }
    complete = dataclasses.replace(many, sites=sites)
    strategy = committed(config_of(), many).strategy
    statistics = strategy.roster.statistics(strategy.spec)
    fields = ScoredRows(complete, config_of(), strategy.spec, statistics, 0.25).score(strategy.state.model)
    assert list(fields["per_subset"]) == list(scored_subsets(NAMES))
    assert fields["full"] == fields["per_subset"]["+".join(NAMES)]
    assert set(fields["rows"].values()) == {18}
    assert sum(fields["contributions"].values()) == pytest.approx(fields["full"] - 0.25)
    assert fields["interactions"] == {}


def test_the_panel_holds_single_modalities_everything_and_everything_but_one() -> None:
    codes = scored_codes(32).tolist()
    full = (1 << 32) - 1
    assert len(codes) == len(set(codes)) == PANEL
    assert codes == sorted(codes) == scored_codes(32).tolist()
    assert {full, *(1 << m for m in range(32)), *(full ^ (1 << m) for m in range(32))} <= set(codes)
    assert all(0 < code <= full for code in codes)
    assert scored_codes(3).tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert len(scored_codes(8)) == 255
    assert len(scored_codes(9)) == PANEL


def test_a_budget_that_pays_no_order_is_refused(many: FederatedDataset) -> None:
    from fedmce.contributions import is_exact

    with pytest.raises(ConfigError, match=r"contributions\.budget: given 32; antithetic needs at least 62"):
        is_exact(config_of(contributions__budget=32).contributions, 32)
