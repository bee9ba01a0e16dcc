"""The figures and the page of a study."""

from __future__ import annotations

import itertools
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedmce.report.study_draw import draw_study, figures
from fedmce.report.study_lattice import _places, lattice, subset_means
from fedmce.report.study_looks import looks, ordered
from fedmce.report.study_map import score_map
from fedmce.report.study_ranks import cliques
from fedmce.report.study_trace import over_rounds
from fedmce.report.study_upset import MOST, patterns, upset
from fedmce.report.style import drawing
from fedmce.study.output import findings
from fedmce.study.results import Lost, Results
from fedmce.study.statistics import Ranks
from tests.report.browser import CHROMIUM, look
from tests.study.made import record, results, study


def made(**changes: Any) -> Results:
    """Four methods and a bound, two data sets, a curve, a bar, one missing method and a trace."""
    settings = {f"a_{x}": {"dataset": "a", "protocol": "mcar", "x": x} for x in (0.1, 0.5)}
    settings |= {"b_rare": {"dataset": "b <i>", "protocol": "rare", "rare": "audio"}}
    methods: dict[str, Any] = {"ours": {}, "plain": {}, "other": {}, "extra": {}, "all_data": {"bound": True}}
    better = {"ours": 0.0, "plain": 0.05, "other": 0.1, "extra": 0.07, "all_data": 0.2}
    bars = [{"name": "above plain", "pair": ["ours", "plain"], "at_least": 0.02, "above": 0.0}]
    rng = np.random.default_rng(0)
    scores = {
        (s, m): (0.6 + better[m] + rng.normal(0, 0.005, 4)).tolist()
        for s in settings
        for m in methods
        if (s, m) != ("b_rare", "other")
    }
    found = results(study(settings=settings, methods=methods, bars=bars, **changes), scores)
    traced = found.records["a_0.1", "ours", 0]
    traced["trace"] = [
        {
            "round": r,
            "contributions_by_site": {
                "north": {"image": 0.1 * r, "audio": None},
                "south": {"image": -0.1, "audio": 0.2},
            },
            "weights": {"encoder.image": {"north": 0.7, "south": 0.3}, "fusion": {"north": 0.5, "south": 0.5}},
        }
        for r in range(1, 6)
    ]
    return found


def test_every_figure_is_drawn_without_a_warning() -> None:
    found = made()
    with drawing(), warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = figures(found, findings(found))
        for figure in drawn.values():
            assert figure is not None
            figure.canvas.draw()  # type: ignore[attr-defined]
    assert set(drawn) == {
        "bars", "scores", "differences", "ranks", "curves", "lattice-a_0.1", "lattice-b_rare", "availability-a_0.1",
        "over_rounds",
    }  # fmt: skip


def test_a_study_without_runs_still_has_a_page(tmp_path: Path) -> None:
    empty = results(study(), {}, lost=(Lost("easy/ours/seed 0", "DataError: <gone>"),), open=11)
    page = draw_study(tmp_path, empty, findings(empty)).read_text()
    assert "DataError: &lt;gone&gt;" in page
    assert "11 runs are still to do" in page
    assert "<img" not in page


def test_the_page_is_one_file_without_a_foreign_address_and_says_it_all(tmp_path: Path) -> None:
    found = made(title="A <b>study</b>")
    page = draw_study(tmp_path, found, findings(found)).read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "A &lt;b&gt;study&lt;/b&gt;" in page
    assert page.count("<img") == len(list((tmp_path / "figures").glob("*.png"))) == 9
    assert all(len(alt) > 20 for alt in re.findall(r'alt="([^"]*)"', page))
    for part in ("masks of a_0.1 by seed", "above plain", "all_data (bound)", "x: 0.5"):
        assert part in page


def test_equal_results_give_equal_bytes_and_old_figures_go(tmp_path: Path) -> None:
    found = made()
    first = draw_study(tmp_path, found, findings(found)).read_bytes()
    (tmp_path / "figures" / "old.png").write_bytes(b"")
    assert draw_study(tmp_path, found, findings(found)).read_bytes() == first
    assert not (tmp_path / "figures" / "old.png").exists()


def test_the_reference_comes_first_then_competitors_and_bounds_by_their_mean() -> None:
    assert ordered(made()) == ["ours", "other", "extra", "plain", "all_data"]
    found = looks(made())
    assert len({look.colour for look in found.values()}) == 5
    assert found["ours"].width > found["plain"].width


def test_beyond_six_competitors_methods_share_a_grey() -> None:
    methods: dict[str, Any] = {f"m{i}": {} for i in range(9)}
    found = results(study(methods=methods, reference="m0"), {("easy", f"m{i}"): [0.1 * i] * 4 for i in range(9)})
    assert [look.named for look in looks(found).values()] == [True] * 6 + [False] * 3


def test_the_best_competitor_of_a_column_has_a_frame_and_the_bound_has_none() -> None:
    from matplotlib.patches import Rectangle

    figure = score_map(made())
    assert figure is not None
    frames = [p for axes in figure.axes for p in axes.patches if isinstance(p, Rectangle) and not p.get_fill()]
    # Rows: ours, other, extra, plain, all_data. "other" has no run in b_rare; the bound is above all.
    assert [round(p.get_y() + 0.47) for p in frames] == [1, 1, 2]


def test_the_lattice_has_every_subset_on_the_level_of_its_size() -> None:
    places = _places(("a", "b", "c"))
    assert len(places) == 7
    assert places["a+b+c"] == (0.0, 3.0)
    assert sorted(x for x, y in places.values() if y == 2) == [-1.0, 0.0, 1.0]


def test_the_lattice_shows_means_over_seeds_and_stops_at_five_modalities() -> None:
    found = results(study(), {("easy", "ours"): [0.4, 0.6]})
    assert subset_means(found, "easy", "ours") == pytest.approx({"image": 0.4, "audio": 0.5, "image+audio": 0.6})
    assert lattice(found, "easy") is not None
    six = tuple("abcdef")
    found.records["easy", "ours", 0] = record("easy", "ours", 0, 0.5, six)
    assert lattice(found, "easy") is None


def test_patterns_are_added_over_sites_from_the_first_seed() -> None:
    names, counts = patterns(made(), "a_0.1")
    assert names == ["image", "audio"]
    assert counts == {"image": 30, "image+audio": 120}
    assert patterns(results(study(), {}), "easy") == ([], {})


def test_the_upset_plot_has_a_bar_per_pattern_and_one_for_the_rare_ones() -> None:
    names = ["a", "b", "c", "d", "e"]
    counts = {"+".join(n for bit, n in enumerate(names) if code >> bit & 1): code for code in range(1, 32)}
    figure = upset(names, counts)
    assert figure is not None
    heights = [bar.get_height() for bar in figure.axes[0].patches]  # type: ignore[attr-defined]
    assert len(heights) == MOST + 1
    assert heights[:2] == [31, 30]
    assert heights[-1] == sum(range(1, 32 - MOST))
    assert upset(names, {}) is None


def test_the_dots_under_a_bar_are_its_modalities() -> None:
    figure = upset(["a", "b", "c"], {"a+c": 5, "b": 3, "a": 1})
    assert figure is not None
    coloured = [line for line in figure.axes[1].lines if line.get_markersize() == 6]
    held = {(float(x), float(y)) for line in coloured for x, y in line.get_xydata()}
    assert held == {(0, 0), (0, 2), (1, 1), (2, 0)}
    (joint,) = [line for line in figure.axes[1].lines if line.get_marker() == "None"]
    assert joint.get_xydata().tolist() == [[0, 0], [0, 2]]
    held_rows = [bar.get_width() for bar in figure.axes[2].patches]  # type: ignore[attr-defined]
    assert held_rows == [6, 3, 5]


def test_methods_within_the_critical_difference_are_joined() -> None:
    found = Ranks(10, {"a": 1.0, "b": 1.8, "c": 2.6, "d": 4.6}, 0.01, 1.0)
    assert cliques(found) == [(1.0, 1.8), (1.8, 2.6)]
    assert cliques(Ranks(10, {"a": 1.0, "b": 3.0}, 0.01, 1.0)) == []
    assert cliques(Ranks(10, {"a": 1.0, "b": 1.5, "c": 2.0}, 0.9, 1.0)) == [(1.0, 2.0)]


def test_a_run_that_measured_nothing_has_no_picture_over_rounds() -> None:
    empty = record("easy", "ours", 0, 0.5) | {"trace": [{"round": 1, "weights": {}, "contributions_by_site": {}}]}
    assert over_rounds(empty) is None


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium to lay the page out")
def test_the_page_lies_within_the_window_of_a_phone_and_of_a_desk(tmp_path: Path) -> None:
    found = made()
    page = draw_study(tmp_path, found, findings(found))
    layouts, said = look([(page, 375), (page, 1400)], tmp_path)
    for layout in layouts:
        assert layout.scroll <= layout.width
        assert layout.out == []
        assert layout.blank == 0
        assert all(b - a <= 1 for a, b in itertools.pairwise(layout.headings))
    assert not said
