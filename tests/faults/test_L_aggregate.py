"""Aggregation under load: L03 (memory beside the replies) and L08 (many components)."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import server.aggregate
from fedmce.aggregation import change_norms, combine
from fedmce.aggregation.norms import BLOCK
from fedmce.config.trust import RobustConfig
from fedmce.models import component_of
from server.aggregate import aggregate
from server.state import GlobalState
from tests.faults import holders

HOLDERS, ENTRIES = 8, 2_000_000


@pytest.mark.parametrize("rule", ["clip", "clip_median", "trimmed"])
def test_L03_beside_replies_in_files_a_rule_holds_its_result_and_a_block_per_holder(rule: str, tmp_path: Path) -> None:
    """Eight sites of 8 MB each: with a copy of every reply in float64 it would be 128 MB."""
    states: dict[str, dict[str, Any]] = {}
    for site in holders.names(HOLDERS):
        spool = np.memmap(tmp_path / site, np.float32, "w+", shape=(ENTRIES,))
        spool[:] = np.random.default_rng(len(states)).normal(size=ENTRIES)
        states[site] = {"fusion/w": spool}
    old = {"fusion/w": np.zeros(ENTRIES, np.float32)}
    weights = dict.fromkeys(states, 1.0)
    tracemalloc.start()
    norms = {site: change_norms(old, state)["fusion"] for site, state in states.items()}
    config = RobustConfig.model_validate({"rule": rule})
    found = combine(config, old, states, weights, {"fusion": 500.0}, {"fusion": norms})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    result, block = 4 * ENTRIES, 8 * BLOCK * HOLDERS
    assert found.state["fusion/w"].nbytes == result
    assert peak <= result + 4 * block, f"{peak / 1e6:.1f} MB"


class Counted(dict[str, Any]):
    """Counts how often it is looked into."""

    looks = 0

    def __getitem__(self, key: str) -> Any:
        Counted.looks += 1
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        Counted.looks += 1
        return super().__contains__(key)


@pytest.mark.parametrize("changes", [{}, {"aggregation__robust__rule": "clip_median"}])
def test_L08_five_thousand_components_cost_a_fixed_number_of_looks_each(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    told = holders.config(aggregation__claims__bounded=True, **changes)
    counts: dict[int, tuple[int, int]] = {}
    for size in (500, 5000):
        names = tuple(f"encoder.{i:05d}" for i in range(size))
        model = {f"{name}/w": np.zeros(1, np.float32) for name in names}
        update = Counted({key: np.ones(1, np.float32) for key in model})
        roster = holders.roster(dict.fromkeys("abc", 9), names)
        for profile in roster.profiles.values():
            profile.rows_by_modality.update({name.partition(".")[2]: 9 for name in names})
        replies = {site: holders.accepted(update, 9, names) for site in "abc"}
        calls = 0

        def counted(key: str) -> str:
            nonlocal calls
            calls += 1
            return component_of(key)

        monkeypatch.setattr(server.aggregate, "component_of", counted)
        Counted.looks = 0
        step = aggregate(GlobalState(0, model), replies, roster, told, holders.insight())
        assert len(step.weights) == size
        assert all(value[0] == 1 for value in step.state.model.values())
        counts[size] = (Counted.looks, calls)
    assert counts[5000] == (10 * counts[500][0], 10 * counts[500][1])
    assert counts[500][1] == 500
    assert counts[500][0] <= 3 * 2 * 500
