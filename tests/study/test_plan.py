"""Which cells a study runs, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from fedmce.cli.compose import load_config
from fedmce.config.study import StudyConfig
from fedmce.errors import ConfigError
from fedmce.study.cell import Cell
from fedmce.study.plan import Plan

LR = "training.lr"


def plan(**changes: Any) -> Plan:
    tree: dict[str, Any] = {
        "name": "made",
        "common": ["rounds=2"],
        "settings": {"a": ["dataset=av_digits"], "b": ["dataset=av_digits", "rounds=3"]},
        "methods": {"ours": ["method=fedmce"], "plain": ["method=fedavg_owner"]},
        "reference": "ours",
        "seeds": [3, 1],
    }
    code = changes.pop("code", "")
    return Plan(StudyConfig.model_validate(tree | changes), load_config, changes.pop("extra", ()), code)


def tuned(**changes: Any) -> Plan:
    return plan(tuning={"seeds": [10, 11], "grid": {LR: [0.1, 0.2, 0.4]}}, **changes)


def done(p: Plan, cells: Iterable[Cell], validation: float | None = 0.5) -> dict[str, dict[str, Any]]:
    return {p.key(cell): {"status": "done", "validation": validation} for cell in cells}


def scored(p: Plan, method: str, setting: str, scores: dict[float, float | None]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for values, cells in p.tuning_cells(method, setting).items():
        found |= done(p, cells, scores[float(values[0][1])])
    return found


def test_without_tuning_every_method_runs_in_every_setting_on_every_seed_seeds_first() -> None:
    cells = plan().open_cells({})
    assert [(c.setting, c.method, c.seed) for c in cells[:4]] == [
        ("a", "ours", 3),
        ("a", "plain", 3),
        ("b", "ours", 3),
        ("b", "plain", 3),
    ]
    assert len(cells) == 8
    assert [c.seed for c in cells] == [3] * 4 + [1] * 4


def test_overrides_of_settings_methods_and_the_command_line_win_in_this_order() -> None:
    p = plan(
        common=["rounds=2", "training.batch_size=8", "training.lr=0.1"],
        settings={"a": ["dataset=av_digits", "rounds=3", "training.batch_size=9"]},
        methods={"ours": ["method=fedmce", "training.batch_size=10"]},
    )
    config = p.config(Cell("a", "ours", 1))
    assert (config.rounds, config.training.batch_size, config.training.lr, config.seed) == (3, 10, 0.1, 1)
    study = p.study
    assert Plan(study, load_config, ["rounds=7"]).config(Cell("a", "ours", 1)).rounds == 7


def test_tuning_comes_first_on_its_own_seeds_with_as_many_runs_for_every_method() -> None:
    p = tuned()
    cells = p.open_cells({})
    assert {c.seed for c in cells} == {10, 11}
    assert all(c.tunes for c in cells)
    assert {
        (c.method, c.setting): sum(o.method == c.method and o.setting == c.setting for o in cells) for c in cells
    } == {(method, setting): 6 for method in ("ours", "plain") for setting in ("a", "b")}


def test_the_values_with_the_best_mean_validation_score_are_compared() -> None:
    p = tuned()
    settled = scored(p, "ours", "a", {0.1: 0.5, 0.2: 0.7, 0.4: 0.6})
    choice = p.choice("ours", "a", settled)
    assert choice.values == ((LR, 0.2),)
    finals = [c for c in p.open_cells(settled) if not c.tunes]
    assert [(c.setting, c.method, c.seed, c.values) for c in finals] == [
        ("a", "ours", seed, ((LR, 0.2),)) for seed in (3, 1)
    ]
    assert p.config(finals[0]).training.lr == 0.2


def test_of_equal_scores_the_first_values_are_taken() -> None:
    p = tuned()
    assert p.choice("ours", "a", scored(p, "ours", "a", dict.fromkeys((0.1, 0.2, 0.4), 0.5))).values == ((LR, 0.1),)


def test_values_that_lost_a_run_are_not_chosen() -> None:
    p = tuned()
    settled = scored(p, "ours", "a", {0.1: 0.5, 0.2: 0.6, 0.4: 0.9})
    lost = p.tuning_cells("ours", "a")[((LR, 0.4),)][0]
    settled[p.key(lost)] = {"status": "failed"}
    choice = p.choice("ours", "a", settled)
    assert choice.values == ((LR, 0.2),)
    assert dict(choice.scores)[((LR, 0.4),)] is None


def test_a_method_all_of_whose_tuning_failed_is_not_compared_and_says_why() -> None:
    p = tuned()
    settled = scored(p, "ours", "a", dict.fromkeys((0.1, 0.2, 0.4)))
    assert p.choice("ours", "a", settled).values is None
    assert "no combination has a validation score" in p.choice("ours", "a", settled).reason
    assert not [c for c in p.open_cells(settled) if c.method == "ours" and c.setting == "a"]


def test_values_may_be_chosen_once_per_data_set_on_its_first_setting() -> None:
    p = plan(tuning={"seeds": [10], "grid": {LR: [0.1, 0.2]}, "per": "dataset"})
    assert {c.setting for c in p.open_cells({})} == {"a"}
    settled = done(p, p.tuning_cells("ours", "b")[((LR, 0.1),)], 0.1) | done(
        p, p.tuning_cells("ours", "b")[((LR, 0.2),)], 0.9
    )
    assert {p.choice("ours", setting, settled).values for setting in ("a", "b")} == {((LR, 0.2),)}


def test_a_method_tuned_as_another_tunes_nothing_itself() -> None:
    p = tuned(
        methods={"ours": ["method=fedmce"], "kin": {"overrides": ["method=fedmce", "rounds=4"], "tuned_as": "ours"}}
    )
    assert {c.method for c in p.open_cells({})} == {"ours"}
    settled = scored(p, "ours", "a", {0.1: 0.5, 0.2: 0.7, 0.4: 0.6})
    assert p.choice("kin", "a", settled).values == ((LR, 0.2),)


def test_a_grid_of_all_combinations_and_one_of_a_method() -> None:
    tuning = {"seeds": [10], "grid": {LR: [0.1, 0.2], "training.batch_size": [8, 16]}}
    own = {"overrides": ["method=fedavg_owner"], "grid": {LR: [0.3]}}
    p = plan(tuning=tuning, methods={"ours": ["method=fedmce"], "plain": own})
    assert len(p.tuning_cells("ours", "a")) == 4
    assert p.choice("plain", "a", {}).values == ((LR, 0.3),)  # one combination is no choice: no run is spent on it


def test_what_is_settled_is_not_run_again_and_equal_configurations_run_once() -> None:
    p = plan(methods={"ours": ["method=fedmce"], "twin": ["method=fedmce"]})
    cells = p.open_cells({})
    assert {c.method for c in cells} == {"ours"}
    assert len(cells) == 4
    assert p.open_cells(done(p, cells)) == []
    assert sum(p.outlook({}).values()) == 4


def test_the_outlook_counts_what_cannot_start_yet() -> None:
    p = tuned()
    assert sum(p.outlook({}).values()) == 2 * 2 * 6 + 2 * 2 * 2
    assert sum(p.outlook(done(p, p.open_cells({}))).values()) == 8


def test_other_code_or_another_configuration_is_another_cell() -> None:
    cell = Cell("a", "ours", 3)
    keys = {plan().key(cell), plan(code="x").key(cell), plan(common=["rounds=2", "training.lr=0.5"]).key(cell)}
    keys |= {plan().key(Cell("a", "ours", 1))}
    assert len(keys) == 4
    # Neither folders nor the engine decide numbers.
    assert plan(common=["rounds=2", "data_dir=/else/where"]).key(cell) == plan().key(cell)


def test_wrong_overrides_are_found_before_anything_runs_all_in_one_message() -> None:
    with pytest.raises(ConfigError) as error:
        plan(settings={"a": ["dataset=av_digit", "rounds=x"], "b": ["training.lrr=1"]})
    text = str(error.value)
    assert text.startswith("study made: 3 problems")
    assert "a with ours and 1 more: dataset: unknown choice 'av_digit'" in text
    assert "rounds: given 'x'" in text
    assert "b with ours and 1 more: training.lrr: unknown key" in text


def test_other_site_folders_are_other_cells_though_their_fingerprint_is_the_same() -> None:
    settings = {name: ["dataset=folders", f"dataset.path={name}"] for name in ("a", "b")}
    p = plan(settings=settings, seeds=[0], methods={"ours": ["method=fedmce"]})
    first, second = p.open_cells({})
    assert p.config(first).fingerprint() == p.config(second).fingerprint()
    assert p.key(first) != p.key(second)
