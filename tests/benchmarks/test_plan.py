from benchmarks.arms import BY_NAME
from benchmarks.cells import Cell
from benchmarks.plan import SEEDS, final_cells, open_cells, open_of, outlook, tuning
from benchmarks.study import TUNING_SEEDS

REFERENCE, THROUGH, MEAN = BY_NAME["reference"], BY_NAME["through"], BY_NAME["through_mean"]
SETTING = "av_digits"


def _tuned(arm: str, scores: dict[float, float | None]) -> dict[Cell, float | None]:
    return {Cell(SETTING, arm, lr, seed): score for lr, score in scores.items() for seed in TUNING_SEEDS}


def test_tuning_comes_first_and_on_its_own_seeds() -> None:
    cells = open_of(REFERENCE, SETTING, {})
    assert {cell.seed for cell in cells} == set(TUNING_SEEDS)
    assert len(cells) == 6
    assert not set(TUNING_SEEDS) & set(SEEDS)
    assert final_cells(REFERENCE, SETTING, {}) == []


def test_the_best_step_by_validation_is_run_on_the_compared_seeds() -> None:
    settled = _tuned("reference", {0.004: 0.5, 0.008: 0.7, 0.016: 0.6})
    assert open_of(REFERENCE, SETTING, settled) == [Cell(SETTING, "reference", 0.008, seed) for seed in SEEDS]
    settled |= {Cell(SETTING, "reference", 0.008, seed): 0.5 for seed in SEEDS}
    assert open_of(REFERENCE, SETTING, settled) == []


def test_an_edge_that_is_best_adds_one_step_beyond_it_and_no_second() -> None:
    settled = _tuned("reference", {0.004: 0.5, 0.008: 0.6, 0.016: 0.7})
    assert {cell.lr for cell in open_of(REFERENCE, SETTING, settled)} == {0.032}
    settled |= _tuned("reference", {0.032: 0.8})
    assert tuning(REFERENCE, SETTING, settled) == ([], 0.032)
    settled = _tuned("reference", {0.002: 0.4, 0.004: 0.5, 0.008: 0.4, 0.016: 0.3})
    assert tuning(REFERENCE, SETTING, settled) == ([], 0.004)


def test_a_step_whose_runs_failed_is_not_chosen() -> None:
    settled = _tuned("reference", {0.004: 0.5, 0.008: 0.6, 0.016: None})
    assert tuning(REFERENCE, SETTING, settled) == ([], 0.008)
    nothing = _tuned("reference", {0.004: None, 0.008: None, 0.016: None})
    assert open_of(REFERENCE, SETTING, nothing) == []


def test_an_arm_tuned_as_another_tunes_nothing_itself() -> None:
    assert {cell.arm for cell in open_of(MEAN, SETTING, {})} == {"through"}
    settled = _tuned("through", {0.004: 0.5, 0.008: 0.7, 0.016: 0.6})
    assert {(cell.arm, cell.lr) for cell in open_of(MEAN, SETTING, settled)} == {("through_mean", 0.008)}
    assert open_of(BY_NAME["through_full"], SETTING, settled) == open_of(THROUGH, SETTING, settled)


def test_urgent_arms_run_first_and_no_cell_twice() -> None:
    arms = [BY_NAME[name] for name in ("published", "through_mean", "through", "through_full", "reference")]
    cells = open_cells(arms, ["leaves100", SETTING], {})
    assert len(set(cells)) == len(cells)
    assert [(c.arm, c.setting) for c in cells[::6]] == [
        (arm, setting) for arm in ("reference", "through", "published") for setting in (SETTING, "leaves100")
    ]


def test_the_outlook_counts_what_cannot_start_yet() -> None:
    assert outlook([REFERENCE], [SETTING], {}) == 6 + 5
    assert outlook([THROUGH, MEAN, BY_NAME["through_full"]], [SETTING], {}) == 6 + 5 + 5
    settled = _tuned("reference", {0.004: 0.5, 0.008: 0.7, 0.016: 0.6})
    assert outlook([REFERENCE], [SETTING], settled) == 5
