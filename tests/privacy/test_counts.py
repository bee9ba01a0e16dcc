"""What a site tells of how many rows it has."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmce.config.privacy import PrivacyConfig
from fedmce.contributions import size_counts
from fedmce.data import Modality
from fedmce.models import EntrySums, FeatureSums, entry_sums, feature_sums, pool
from fedmce.privacy import Cohort, cohort, rounded, told_entries, told_modalities, told_rows, told_sums
from fedmce.subsets import pattern_codes
from tests.privacy.made import floors, quiet

OPEN = PrivacyConfig.model_validate({})
TABULAR = Modality("blood", "tabular", (3,), "mmol/l")
IMAGE = Modality("image", "image", (1, 4, 4), "ink", pooled_axes=(0, 1, 2))


def available(rows: int, modalities: int, seed: int) -> npt.NDArray[np.bool_]:
    draw = np.random.default_rng(seed)
    found: npt.NDArray[np.bool_] = draw.random((rows, modalities)) < draw.random(modalities)
    return found[found.any(axis=1)]


ROWS = st.builds(available, st.integers(0, 400), st.integers(1, 5), st.integers(0, 10**6))
FLOORS = st.builds(lambda k, s: quiet(k_min=k, count_step=s), st.integers(1, 30), st.integers(1, 12))


@given(ROWS)
def test_open_counts_are_exact(rows: npt.NDArray[np.bool_]) -> None:
    told = cohort(rows, OPEN, tells_patterns=True)
    codes, counts = np.unique(pattern_codes(rows), return_counts=True)
    assert told.patterns == dict(zip(codes.tolist(), counts.tolist(), strict=True))
    assert told.sizes == size_counts(rows)
    assert told.rows == len(rows)
    assert told.rows_by_modality == tuple(rows.sum(axis=0).tolist())
    assert told.other == 0
    assert told_rows(rows, told).all()


@given(ROWS, FLOORS, st.booleans())
@settings(max_examples=200)
def test_every_told_number_is_a_large_enough_multiple_and_none_is_too_high(
    rows: npt.NDArray[np.bool_], config: PrivacyConfig, tells: bool
) -> None:
    told = cohort(rows, config, tells_patterns=tells)
    parts = [*(told.patterns or {}).values(), told.other, *told.other_by_modality, told.total]
    parts += [] if tells else list(told.sizes.values())
    for count in parts:
        assert count % config.count_step == 0
        assert count == 0 or count >= config.k_min
    true = rows.sum(axis=0)
    assert told.rows <= len(rows)
    for held, real, is_told in zip(told.rows_by_modality, true, told_modalities(rows, config), strict=True):
        assert held <= real
        assert held <= told.rows
        assert (held > 0) == bool(is_told), "whoever is told to hold a modality has rows to show for it"


@given(ROWS, FLOORS)
def test_what_subtraction_leaves_is_a_told_count(rows: npt.NDArray[np.bool_], config: PrivacyConfig) -> None:
    """Totals less their told parts: the merged rows as they were told themselves, never a hidden remainder."""
    told = cohort(rows, config, tells_patterns=True)
    assert told.patterns is not None
    assert told.rows - sum(told.patterns.values()) == told.other
    for bit, held in enumerate(told.rows_by_modality):
        in_patterns = sum(n for code, n in told.patterns.items() if code >> bit & 1)
        assert held - in_patterns == told.other_by_modality[bit]
        assert in_patterns == sum(n for (m, _), n in told.sizes.items() if m == bit)


@given(ROWS, FLOORS)
def test_rows_that_count_in_claims_are_those_of_told_patterns(
    rows: npt.NDArray[np.bool_], config: PrivacyConfig
) -> None:
    told = cohort(rows, config, tells_patterns=True)
    assert told.patterns is not None
    kept = told_rows(rows, told)
    assert set(pattern_codes(rows[kept]).tolist()) == set(told.patterns)


@pytest.mark.parametrize(("count", "expected"), [(9, 0), (10, 10), (14, 10), (15, 15), (163, 160), (0, 0)])
def test_counts_go_down_to_multiples_and_vanish_below_the_least(count: int, expected: int) -> None:
    assert rounded(count, quiet()) == expected


def test_the_server_reckons_rows_of_a_component_as_the_site_does() -> None:
    """Else an honest site would claim more rows than its profile."""
    from server.roster import Roster, RowCounts, SiteProfile

    names = ("image", "sound", "blood")
    for seed in range(30):
        told = cohort(available(200, 3, seed), quiet(), tells_patterns=True)
        by = dict(zip(names, told.rows_by_modality, strict=True))
        counts = RowCounts(told.patterns, told.sizes, told.other)
        profile = SiteProfile("a", 1, told.rows, 0, by, counts, None, (told.rows,), {})
        for whole in (False, True):
            roster = Roster({"a": profile}, names, whole, (), None)  # type: ignore[arg-type]
            for component in ("fusion", "encoder.image", "completion.sound", "head.blood"):
                assert roster.rows_of("a", component) == told.rows_of(component, names, whole_model=whole)


def test_sums_of_too_few_rows_are_not_told() -> None:
    values = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    told = told_sums(feature_sums(values, TABULAR), TABULAR, quiet())
    assert not told.total.any()
    assert not told.square.any()
    assert not told.count.any()
    assert not told_entries(entry_sums(values), feature_sums(values, TABULAR), quiet()).total.any()


def test_a_column_with_holes_is_counted_by_itself() -> None:
    values = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    values[7:, 1] = np.nan
    told = told_sums(feature_sums(values, TABULAR), TABULAR, quiet())
    assert told.count.tolist() == [60, 0, 60]


@pytest.mark.parametrize("modality", [TABULAR, IMAGE], ids=["tabular", "image"])
@pytest.mark.parametrize("rows", [23, 163])
def test_told_sums_pool_to_nearly_the_same_mean_and_spread(modality: Modality, rows: int) -> None:
    draw = np.random.default_rng(rows)
    sites = {s: draw.normal(3, 2, (rows, *modality.shape)).astype(np.float32) for s in "ab"}
    exact = pool({s: feature_sums(v, modality) for s, v in sites.items()})
    told = pool({s: told_sums(feature_sums(v, modality), modality, quiet()) for s, v in sites.items()})
    assert np.abs(told.mean - exact.mean).max() < 0.01 * exact.std.max()
    assert np.abs(told.std / exact.std - 1).max() < 0.01
    one = told_sums(feature_sums(sites["a"], modality), modality, quiet())
    per_row = np.prod(modality.shape) / np.prod(modality.statistics_shape)
    assert set((one.count / per_row).ravel().tolist()) == {rows // 5 * 5.0}


def test_the_mean_of_whole_numbers_does_not_tell_how_many_there_were() -> None:
    """A mean p/q to full precision has one small q; three digits of the spread leave many."""
    values = np.random.default_rng(3).integers(0, 17, (163, 3)).astype(np.float32)
    told = told_sums(feature_sums(values, TABULAR), TABULAR, quiet())
    mean = float(told.total[0] / told.count[0])
    fits = [n for n in range(160, 165) if abs(mean * n - round(mean * n)) < n * 0.005]
    assert len(fits) > 1, "any count that rounds to the told one explains the mean"
    exact = float(values[:, 0].mean(dtype=np.float64))
    assert [n for n in range(160, 165) if abs(exact * n - round(exact * n)) < 1e-6] == [163]


def test_open_sums_are_the_very_same() -> None:
    sums = FeatureSums(*(np.ones(3) for _ in range(3)))
    entries = EntrySums(np.ones(3), np.ones(3))
    assert told_sums(sums, TABULAR, OPEN) is sums
    assert told_entries(entries, sums, OPEN) is entries


def test_a_cohort_of_nobody_has_no_rows() -> None:
    nobody: Any = np.zeros((0, 3), dtype=bool)
    for tells in (True, False):
        told = cohort(nobody, floors(), tells_patterns=tells)
        assert isinstance(told, Cohort)
        assert (told.rows, told.rows_by_modality) == (0, (0, 0, 0))
