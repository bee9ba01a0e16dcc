"""Normalisation: sums of sites against numpy on everybody's observed entries at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.data.dataset import Modality
from fedmce.models import FeatureSums, Statistics, feature_sums, normalise, pool

SPECTROGRAM = Modality("sound", "spectrogram", (1, 3, 4), "dB", pooled_axes=(0, 2))
IMAGE = Modality("image", "image", (1, 3, 4), "grey", pooled_axes=(0, 1, 2))
TABLE = Modality("table", "tabular", (5,), "mixed")


def samples(modality: Modality, rows: int, seed: int, holes: float) -> np.ndarray:
    numbers = np.random.default_rng(seed)
    values = numbers.normal(3, 2, size=(rows, *modality.shape)).astype(np.float32)
    values[numbers.random(values.shape) < holes] = np.nan
    return values


@pytest.mark.parametrize("modality", [SPECTROGRAM, IMAGE, TABLE], ids=lambda m: m.name)
@given(rows=st.lists(st.integers(0, 9), min_size=1, max_size=4), holes=st.sampled_from([0.0, 0.3]))
def test_pooled_sums_equal_numpy_on_all_observed_entries(modality: Modality, rows: list[int], holes: float) -> None:
    by_site = {f"site{i}": samples(modality, n, i, holes) for i, n in enumerate([*rows, 6])}
    found = pool({site: feature_sums(values, modality) for site, values in by_site.items()})
    everything = np.concatenate(list(by_site.values())).astype(np.float64)
    axes = (0, *(axis + 1 for axis in modality.pooled_axes))
    assert found.mean.shape == found.std.shape == modality.statistics_shape
    np.testing.assert_allclose(found.mean.ravel(), np.nanmean(everything, axis=axes).ravel(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.std.ravel(), np.nanstd(everything, axis=axes).ravel(), rtol=1e-4, atol=1e-5)


def test_the_order_of_sites_changes_no_bit() -> None:
    sums = {f"s{i}": feature_sums(samples(TABLE, 7, i, 0.2), TABLE) for i in range(5)}
    there, back = pool(sums), pool(dict(reversed(sums.items())))
    assert there.mean.tobytes() == back.mean.tobytes()
    assert there.std.tobytes() == back.std.tobytes()


def test_a_column_that_nobody_observed_and_a_constant_one_stay_finite() -> None:
    values = np.array([[np.nan, 5.0], [np.nan, 5.0]], dtype=np.float32)
    found = pool({"x": feature_sums(values, Modality("t", "tabular", (2,), "none"))})
    assert found.mean.tolist() == [0.0, 5.0]
    assert found.std.tolist() == [1.0, 1.0]


def test_no_rows_at_all_give_mean_zero_and_deviation_one() -> None:
    found = pool({"x": feature_sums(np.zeros((0, 5), np.float32), TABLE)})
    assert not found.mean.any()
    assert (found.std == 1).all()


def test_observed_entries_come_out_with_mean_zero_and_deviation_one_and_holes_as_zero() -> None:
    values = samples(SPECTROGRAM, 400, 0, 0.25)
    scaled = normalise(values, pool({"x": feature_sums(values, SPECTROGRAM)}))
    assert scaled.dtype == np.float32
    observed = np.isfinite(values)
    assert not scaled[~observed].any()
    for band in range(3):
        seen = scaled[:, :, band][observed[:, :, band]]
        assert seen.mean() == pytest.approx(0, abs=1e-4)
        assert seen.std() == pytest.approx(1, abs=1e-4)


def test_normalising_leaves_its_input_alone() -> None:
    values = np.array([[1.0, np.nan]], dtype=np.float32)
    normalise(values, Statistics(np.ones(2, np.float32), np.ones(2, np.float32)))
    assert values[0, 0] == 1
    assert np.isnan(values[0, 1])


def test_sums_add_up_over_any_cut_of_the_rows() -> None:
    values = samples(TABLE, 12, 3, 0.3)
    whole = feature_sums(values, TABLE)
    parts: FeatureSums = feature_sums(values[:5], TABLE) + feature_sums(values[5:], TABLE)
    np.testing.assert_allclose(parts.total, whole.total)
    np.testing.assert_allclose(parts.square, whole.square)
    np.testing.assert_array_equal(parts.count, whole.count)
