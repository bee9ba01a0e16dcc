"""A robust rule against what sites hold, before the first round: K05."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from client.app import app as client_app
from fedmce.cli.bearable import bearable_lines
from fedmce.cli.progress import progress
from fedmce.config.schema import RunConfig
from fedmce.errors import ConfigError
from fedmce.flower_compat import identity
from fedmce.record import read_record
from server.federation import federate
from server.robustness import bearable_fields
from simulations.engines.inprocess import InProcessGrid
from tests.faults import holders
from tests.server.made import made_config, made_dataset, use


def run(told: RunConfig, folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    dataset = use(patch, made_dataset())
    with identity(1) as stamp:
        federate(InProcessGrid(client_app, len(dataset.sites), stamp), told, folder)
    return read_record(folder)[0]


def test_K05_the_start_of_a_run_says_which_components_have_too_few_holders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of the four sites hold sound or images alone; three of four hold each."""
    table = {"ash": {"sound": 1.0}, "birch": {"sound": 1.0}, "dale": {"image": 1.0}}
    told = made_config(
        rounds=1, missingness__table=table, aggregation__robust__rule="clip_median", objective__name="mce"
    )
    start = run(told, tmp_path, monkeypatch)
    assert start["event"] == "start"
    rows = {row["component"]: row for row in start["bearable"]}
    assert (rows["encoder.sound"]["holders"], rows["encoder.sound"]["rule"], rows["encoder.sound"]["liars"]) == (
        2,
        "clip",
        0,
    )
    assert (rows["encoder.image"]["holders"], rows["encoder.image"]["rule"], rows["encoder.image"]["liars"]) == (
        3,
        "clip_median",
        1,
    )
    assert (rows["fusion"]["holders"], rows["fusion"]["liars"]) == (4, 1)
    warned = {name for name, row in rows.items() if row["warning"]}
    assert {name.partition(".")[2] for name in warned} == {"sound"}
    text = "\n".join(bearable_lines(start))
    assert text.splitlines()[0].split() == ["component", "holders", "rule", "liars", "it", "bears"]
    assert "warning: " in text
    assert "encoder.sound" in next(line for line in text.splitlines() if line.startswith("warning: "))


def test_K05_a_strict_run_with_too_few_holders_is_refused_before_the_first_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {"ash": {"sound": 1.0}, "birch": {"sound": 1.0}, "dale": {"image": 1.0}}
    told = made_config(missingness__table=table, aggregation__robust__rule="median", aggregation__robust__strict=True)
    with pytest.raises(
        ConfigError, match=r"encoder\.sound: median needs 3 holders; with 2 a change is clipped"
    ) as found:
        run(told, tmp_path, monkeypatch)
    assert found.value.exit_code == 2
    assert [row["event"] for row in read_record(tmp_path)] == ["end"]


def test_K05_without_a_robust_rule_nothing_is_said() -> None:
    roster = holders.roster({"x": 3})
    assert bearable_fields(holders.config(), roster) == {}
    assert bearable_lines({"event": "start"}) == []
    assert bearable_lines({"event": "round", "bearable": [{"component": "a"}]}) == []


def test_K05_components_that_stay_at_sites_are_left_out_and_shared_arrays_are_warned_of() -> None:
    roster = holders.roster(dict.fromkeys("abc", 9))
    told = holders.config(aggregation__robust__rule="median", aggregation__private=("encoder",))
    assert [row["component"] for row in bearable_fields(told, roster)["bearable"]] == ["fusion"]
    scaffold = made_config(
        "scaffold", aggregation__robust__rule="median", training__optimiser="sgd", training__momentum=0.0
    )
    first = bearable_fields(scaffold, roster)["bearable"][0]
    assert first["component"] == "shared by scaffold"
    assert first["liars"] == 0
    assert first["warning"]


def test_K05_robust_rules_and_states_per_site_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="robust rules join changes of one common state"):
        made_config("fedmsplit", aggregation__robust__rule="median")


def test_K05_the_table_is_shown_before_the_first_round_and_not_when_quiet() -> None:
    row = {"component": "fusion", "holders": 2, "rule": "clip", "liars": 0, "warning": "median needs 3 holders"}
    for quiet in (False, True):
        stream = io.StringIO()
        with progress(1, is_quiet=quiet, stream=stream) as show:
            show({"event": "start", "bearable": [row]})
        assert ("warning: fusion: median needs 3 holders" in stream.getvalue()) is not quiet


def test_K05_a_long_table_is_cut_and_says_so() -> None:
    rows = [{"component": f"c{i}", "holders": 3, "rule": "median", "liars": 1, "warning": ""} for i in range(50)]
    lines = bearable_lines({"event": "start", "bearable": rows})
    assert len(lines) == 42
    assert lines[-1] == "and 10 components more, in record.jsonl"
