"""Comparisons, pairs, bars and curves of made results."""

from __future__ import annotations

from typing import Any

import pytest

from fedmce.study.bars import Verdict, verdicts
from fedmce.study.compare import Comparison, comparisons
from fedmce.study.curves import areas, curves
from fedmce.study.output import findings
from fedmce.study.pairing import differing, mismatches
from fedmce.study.results import Results
from fedmce.study.standing import ranked
from fedmce.study.statistics import holm
from fedmce.study.summary import brief, summary
from tests.study.made import results, study

OURS, PLAIN, OTHER = [0.80, 0.82, 0.84, 0.86], [0.70, 0.73, 0.74, 0.77], [0.79, 0.82, 0.84, 0.86]


def table(**changes: list[float]) -> dict[tuple[str, str], list[float]]:
    base = {"ours": OURS, "plain": PLAIN, "other": OTHER} | changes
    return {(setting, method): scores for setting in ("easy", "hard") for method, scores in base.items()}


def found(made: Results) -> list[Comparison]:
    return comparisons(made, mismatches(made))


def one(made: Results, second: str = "plain", setting: str = "easy") -> Comparison:
    return next(c for c in found(made) if (c.second, c.setting, c.metric) == (second, setting, "mean_subset"))


def test_a_comparison_is_paired_by_seed() -> None:
    c = one(results(study(), table()))
    # Differences .10, .09, .10, .09: mean .095, deviation .0057735, t(.975, 3) = 3.182446.
    assert (c.first, c.pairs, c.wins) == ("ours", 4, 4)
    assert c.difference == pytest.approx(0.095)
    assert c.high == pytest.approx(0.095 + 3.182446 * 0.00577350 / 2, abs=1e-6)
    assert (c.first_mean, c.second_mean) == (pytest.approx(0.83), pytest.approx(0.735))
    assert c.is_clear
    assert not one(results(study(), table()), "other").is_clear


def test_seeds_that_one_side_lacks_are_left_out() -> None:
    made = results(study(), table(plain=PLAIN[:2]))
    assert one(made).pairs == 2
    assert one(made).first_mean == pytest.approx(0.81)


def test_a_pair_without_a_common_run_is_no_comparison() -> None:
    made = results(study(), {("easy", "ours"): OURS, ("hard", "plain"): PLAIN})
    assert found(made) == []


def test_p_values_are_adjusted_for_the_pairs_of_a_setting() -> None:
    family = [c for c in found(results(study(), table())) if c.setting == "easy" and c.metric == "mean_subset"]
    assert len(family) == 2
    assert [c.t_p_holm for c in family] == pytest.approx(holm([c.t_p for c in family if c.t_p is not None]))


def test_contrasts_and_further_metrics_are_compared_too() -> None:
    made = results(study(contrasts=[["other", "plain"]], more_metrics=["worst_subset", "subset:audio"]), table())
    pairs = {(c.first, c.second, c.metric) for c in found(made)}
    assert ("other", "plain", "mean_subset") in pairs
    assert ("ours", "plain", "worst_subset") in pairs
    assert ("ours", "plain", "subset:audio") in pairs


def test_the_rare_subset_of_a_setting_is_compared_there() -> None:
    made = results(study(settings={"easy": {"rare": "audio"}, "hard": {}}), table())
    rare = [c for c in found(made) if c.metric == "rare"]
    assert {c.setting for c in rare} == {"easy"}
    # made records: image, audio, both at -.1, 0, +.1
    assert rare[0].first_mean == pytest.approx(0.83)


def spoiled(place: tuple[str, str, int], what: str, value: Any) -> Results:
    made = results(study(), table())
    made.records[place]["hashes"] = made.records[place]["hashes"] | {what: value}
    return made


@pytest.mark.parametrize("what", ["masks", "splits"])
def test_a_run_with_other_masks_or_splits_is_no_pair_and_is_named(what: str) -> None:
    made = spoiled(("easy", "plain", 2), what, "others")
    assert [str(m) for m in mismatches(made)] == [f"easy/plain/seed 2: other {what} than ours"]
    assert one(made).pairs == 3
    assert one(made, "other").pairs == 4
    assert one(made, setting="hard").pairs == 4


def test_other_initial_weights_of_the_same_component_are_no_pair() -> None:
    made = spoiled(("easy", "plain", 2), "initial", {"encoder.image": "shape:9999", "fusion": "f:1"})
    assert [m.what for m in mismatches(made)] == ["initial weights of encoder.image"]


def test_components_of_other_shapes_may_start_otherwise() -> None:
    first = {"masks": "m", "splits": "s", "initial": {"fusion": "small:1", "encoder.a": "x:1"}}
    assert differing(first, first | {"initial": {"fusion": "large:2", "encoder.a": "x:1"}}) == []
    assert differing(first, first | {"initial": {"fusion": "small:2"}}) == ["initial weights of fusion"]


def test_a_method_with_other_masks_by_definition_stays_a_pair() -> None:
    methods = {"ours": {}, "plain": {"unpaired_masks": True}, "other": {}}
    made = results(study(methods=methods), table())
    for seed in range(4):
        place = ("easy", "plain", seed)
        made.records[place]["hashes"] = made.records[place]["hashes"] | {"masks": "none"}
    assert mismatches(made) == []
    assert one(made).pairs == 4
    assert "other masks" in summary(made, found(made), [], [])


def bar(made: Results, **asked: Any) -> list[Verdict]:
    given = made.study.model_dump() | {"bars": [{"pair": ["ours", "plain"], **asked}]}
    remade = Results(type(made.study).model_validate(given), made.facts, made.records, (), 0, made.choices, 0.0, 0)
    return verdicts(remade, [])


@pytest.mark.parametrize(
    ("asked", "met"),
    [
        ({"at_least": 0.09}, True),
        ({"at_least": 0.1}, False),
        ({"above": 0.08}, True),
        ({"above": 0.09}, False),
        ({"at_least": 0.01, "above": 0.09}, False),
        ({"not_below": 0.1}, True),
        ({"not_below": 0.11}, False),
        ({"ratio": 1.12}, True),
        ({"ratio": 1.13}, False),
    ],
)
def test_a_bar_is_met_by_what_was_measured(asked: dict[str, float], met: bool) -> None:
    # Difference .095 [.0858, .1042]; .83 / .735 = 1.129.
    found_bars = bar(results(study(), table()), **asked)
    assert [v.met for v in found_bars] == [met, met, met]
    assert found_bars[0].measured.startswith("+0.095 [+0.086, +0.104]")


def test_a_bar_may_need_only_some_of_its_settings() -> None:
    scores = table()
    scores["hard", "plain"] = OURS
    made = results(study(), scores)
    assert [v.met for v in bar(made, above=0.0)] == [True, False, False]
    assert [v.met for v in bar(made, above=0.0, needed=1)] == [True, False, True]
    assert [v.word for v in bar(made, above=0.0, settings="hard")] == ["missed", "missed"]


def test_a_bar_is_open_until_every_seed_is_there() -> None:
    made = results(study(), table(plain=PLAIN[:3]))
    assert [v.word for v in bar(made, above=0.0)] == ["open", "open", "open"]
    assert "(3 of 4 seeds)" in bar(made, above=0.0)[0].measured


def test_the_best_is_the_strongest_competitor_and_no_bound() -> None:
    methods = {"ours": {}, "plain": {}, "other": {"bound": True}}
    made = results(study(methods=methods), table())
    assert bar(made, pair=["ours", "best"], above=0.0)[0].second == "plain"
    made = results(study(), table())
    assert bar(made, pair=["ours", "best"], above=0.0)[0].second == "other"


def curved() -> Results:
    settings = {f"x{x}": {"x": x, "dataset": "d"} for x in (0.0, 1.0, 2.0)} | {"alone": {"dataset": "e", "x": 1.0}}
    scores = {(f"x{x}", m): [1.0 - x * k, 0.5] for x in (0.0, 1.0, 2.0) for m, k in (("ours", 0.25), ("plain", 0.5))}
    return results(study(settings=settings, seeds=[0, 1]), scores)


def test_settings_with_x_make_a_curve_and_its_area_is_the_mean_height() -> None:
    made = curved()
    (curve,) = curves(made)
    assert (curve.x, curve.settings) == ((0.0, 1.0, 2.0), ("x0.0", "x1.0", "x2.0"))
    by_method = areas(made, curve)
    assert by_method["ours"] == {0: pytest.approx(0.75), 1: pytest.approx(0.5)}
    assert by_method["plain"][0] == pytest.approx(0.5)
    assert by_method["other"] == {}
    c = next(c for c in found(made) if c.setting == "curve:d")
    assert c.metric == "area of mean_subset"
    assert c.difference == pytest.approx(0.125)


def test_ranks_leave_out_bounds_and_who_lacks_a_setting() -> None:
    scores = table()
    del scores["hard", "other"]
    found_ranks = ranked(results(study(), scores))
    assert found_ranks is not None
    assert found_ranks.mean == {"ours": 1.0, "plain": 2.0}
    assert ranked(results(study(methods={"ours": {}, "plain": {"bound": True}}), table())) is None


def test_the_summary_names_failures_with_their_reasons_together() -> None:
    from fedmce.study.results import Lost

    lost = tuple(Lost(f"easy/plain/seed {seed}", "DataError: no such file") for seed in range(5))
    made = results(study(), table(), lost=lost, open=3)
    text = summary(made, found(made), [], [])
    assert "easy/plain/seed 0, easy/plain/seed 1, easy/plain/seed 2 and 2 more: DataError: no such file" in text
    assert "3 runs are still to do" in text
    assert "DataError" in brief(made, [], [])
    assert "Nothing is missing" in summary(results(study(), table()), [], [], [])


def test_findings_of_nothing_are_empty() -> None:
    empty = findings(results(study(), {}))
    assert empty.comparisons == []
    assert "No run is there yet." in summary(results(study(), {}, codes=()), [], [], [])
