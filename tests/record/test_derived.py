"""Robustness, evenness and cost in ``result.json``: by hand on the made record."""

from __future__ import annotations

from typing import Any

import pytest

from fedmce.record import build_result
from fedmce.record.derived import cost, evenness, robustness
from fedmce.record.scored import Metrics
from fedmce.record.writer import Row
from tests.record.made_record import made_record

PARTS = {"fusion": 4, "encoder.image": 3}


def scores(**changes: Any) -> Metrics:
    per_subset = {"image": 0.6, "audio": 0.4, "image+audio": 0.8}
    per_site = {"north": {"image": 0.8, "audio": None, "image+audio": 1.0}, "new": {"image": 0.5, "audio": 0.2}}
    tree: dict[str, Any] = {"mean_subset": 0.6, "worst_subset": 0.4, "full": 0.8, "rows": {}, "secondary": {}}
    return Metrics.model_validate(tree | {"per_subset": per_subset, "per_site": per_site, "validation": None} | changes)


def test_deployment_weighs_subsets_by_patterns_and_each_site_by_its_own() -> None:
    patterns = {"north": {"image": 1, "image+audio": 3}, "south": {"audio": 4}}
    found = robustness(scores(), patterns, "image+audio")
    assert found.deploy is not None
    assert found.deploy.shares == {"audio": 0.5, "image": 0.125, "image+audio": 0.375}
    assert found.deploy.score == pytest.approx(0.5 * 0.4 + 0.125 * 0.6 + 0.375 * 0.8)
    # The site that never trained has no patterns of its own; its score of everything is not known.
    expected = {"north": 0.25 * 0.8 + 0.75 * 1.0, "new": (0.5 * 0.2 + 0.125 * 0.5) / 0.625}
    assert found.deploy.per_site == {site: pytest.approx(score) for site, score in expected.items()}
    assert found.drop == {"image": pytest.approx(0.2), "audio": pytest.approx(0.4), "image+audio": 0.0}
    assert found.relative_drop["audio"] == pytest.approx(0.5)
    assert found.fairness["mean_subset"].worst_site == "new"
    assert found.fairness["deploy"].mean == pytest.approx(sum(expected.values()) / 2)


@pytest.mark.parametrize("patterns", [{}, {"north": None}, {"north": {"image": 2}, "south": None}])
def test_patterns_that_a_site_does_not_tell_leave_the_deployment_undefined(patterns: dict[str, Any]) -> None:
    found = robustness(scores(), patterns, "image+audio")
    assert found.deploy is None
    assert set(found.fairness) == {"mean_subset"}


def test_evenness_reads_the_accepted_updates_of_all_rounds() -> None:
    rounds: list[Row] = [
        {"sites": {"x": {"update_size": {"a": 1.0, "b": 2.0}}, "y": {"update_size": {}}}},
        {"sites": {"x": {"update_size": {"a": 3.0}}, "y": {}}},
    ]
    found = evenness({"a": 0.3, "b": 0.1}, {}, rounds)
    assert found.update_size == {"a": 2.0, "b": 2.0}
    assert found.learning_imbalance == 0.0
    assert found.equity["gini"] == pytest.approx(0.75)
    assert found.equity_received == {"gini": None, "entropy": None}


def test_a_record_without_sizes_of_updates_has_no_imbalance() -> None:
    result = build_result(made_record())
    assert result.evenness is not None
    assert (result.evenness.update_size, result.evenness.learning_imbalance) == ({}, None)


def test_bytes_by_component_and_by_site_each_add_up_to_all_bytes() -> None:
    record = made_record()
    for row in record:
        for reply in row["sites"].values() if row["event"] in ("round", "scoring") else ():
            reply["bytes_down_by_component"] = dict(PARTS) if reply["bytes_down"] > 9 else {}
    result = build_result(record)
    assert result.cost is not None
    for table in (result.cost.bytes_by_component, result.cost.bytes_by_site):
        assert sum(t.down for t in table.values()) == result.communication.bytes_down
        assert sum(t.up for t in table.values()) == result.communication.bytes_up
    assert result.cost.bytes_by_component["encoder.image"].down == 6 * 3
    assert result.cost.bytes_by_site["north"].down == 10 + 20 + 30 + 5 + 100
    assert result.cost.bytes_per_round == pytest.approx((30 + 40 + 40 + 15 + 50 + 40) / 3)


def test_seconds_add_up_by_site() -> None:
    record = made_record()
    for row in record:
        if row["event"] == "round":
            row["sites"]["north"] |= {"train_s": 0.5, "evaluate_s": 0.25}
    found = {site: seconds.model_dump() for site, seconds in cost(record).seconds_by_site.items()}
    assert found == {"north": {"train_s": 1.5, "evaluate_s": 0.75}, "south": {"train_s": 0.0, "evaluate_s": 0.0}}


def test_a_record_without_rounds_costs_what_its_profile_cost() -> None:
    found = cost([row for row in made_record() if row["event"] == "profile"])
    assert found.bytes_by_component["other"].up == 400
    assert found.bytes_per_round is None


def test_what_stands_beside_the_scores_is_taken_over() -> None:
    record, means = made_record(), {"mean_subset": 0.1, "pooled_subset": None}
    last = [row for row in record if row["event"] == "evaluation" and row["split"] == "test"][-1]
    last |= {"pooled_subset": 0.7, "worst_subset_name": "image", "overall": {"accuracy": means}}
    last |= {"calibration": {"brier": {"per_subset": {"image": 0.2}} | means}, "completion_quality": None}
    found = build_result(record).metrics
    assert (found.pooled_subset, found.worst_subset_name, found.completion_quality) == (0.7, "image", None)
    assert found.overall["accuracy"].mean_subset == 0.1
    assert found.calibration["brier"].per_subset == {"image": 0.2}
