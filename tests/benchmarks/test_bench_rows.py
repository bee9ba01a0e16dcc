"""What a benchmark hands on."""

from __future__ import annotations

import json
import math

import pytest

from benchmarks import estimators, gate, memory, oracle
from benchmarks.row import Figure, table
from fedmce.contributions.estimators import METHODS


@pytest.mark.parametrize(
    ("value", "at_least", "ok"),
    [(1.3, False, True), (1.5, False, False), (1.4, False, True), (1.3, True, False), (1.5, True, True)],
)
def test_a_goal_is_a_limit_from_the_side_that_it_says(value: float, at_least: bool, ok: bool) -> None:
    assert Figure("a", value, "ratio", 1.4, at_least).ok is ok


@pytest.mark.parametrize("at_least", [False, True])
def test_what_is_not_a_number_reaches_no_goal(at_least: bool) -> None:
    assert not Figure("a", math.nan, "ratio", 1.4, at_least).ok


def test_a_row_of_the_file_has_five_keys_whatever_the_side_of_the_goal() -> None:
    for at_least in (False, True):
        row = json.loads(json.dumps(Figure("a", 1.23456, "ratio", 2.0, at_least).row()))
        assert row == {"name": "a", "value": 1.2346, "unit": "ratio", "goal": 2.0, "ok": not at_least}


def test_the_table_shows_the_side_of_a_goal_and_who_missed_it() -> None:
    lines = table([Figure("low", 1, "ratio", 2), Figure("high", 1, "ratio", 2, at_least=True)]).splitlines()
    assert "<= 2  ok" in lines[0]
    assert ">= 2  MISSED" in lines[1]


def test_the_step_beats_its_twin_and_says_so_from_below() -> None:
    (figure,) = oracle.oracle_ratio(batch_size=8)
    assert figure.at_least
    assert figure.value > 1


def test_the_gate_is_timed_on_a_large_reply_and_on_many_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "LARGE_ROWS", 100)
    monkeypatch.setattr(gate, "REPLIES", 3)
    monkeypatch.setattr(gate, "REPEATS", 2)
    large, small = gate.gate_cost()
    assert not large.at_least
    assert small.at_least
    assert 0 < large.value < 1000
    assert small.value > 0


def test_estimators_are_scored_at_every_budget_on_every_game() -> None:
    figures = estimators.estimator_quality(games=1, draws=1)
    assert len(figures) == len({f.name for f in figures}) == 2 * 3 * len(METHODS) * 2
    assert {f.at_least for f in figures if f.name.endswith("coverage")} == {True}


def test_memory_of_a_step_is_the_peak_of_what_lives_at_one_time() -> None:
    import torch

    def work() -> None:
        first = torch.empty(1 << 20)
        del first
        second, third = torch.empty(1 << 18), torch.empty(1 << 18)
        del second, third

    assert memory.torch_peak(work) == 4 << 20
