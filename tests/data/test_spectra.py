"""Speech features against independent implementations and known signals."""

import numpy as np
import pytest

from fedmce.data.spectra import SAMPLE_RATE, SAMPLES, cepstrum, cosines, log_mel, mel_bands, resample

TIME = np.arange(SAMPLES) / SAMPLE_RATE


def test_a_tone_is_loudest_in_the_band_that_holds_its_frequency() -> None:
    centres = np.fft.rfftfreq(256, 1 / SAMPLE_RATE)[mel_bands().argmax(axis=1)]
    for tone in (200.0, 700.0, 1500.0, 3000.0):
        loudest = log_mel(np.sin(2 * np.pi * tone * TIME)).mean(axis=1).argmax()
        assert abs(loudest - np.abs(centres - tone).argmin()) <= 1


def test_ten_times_the_amplitude_adds_the_logarithm_of_a_hundred_to_every_band() -> None:
    sound = np.random.default_rng(0).standard_normal(SAMPLES)
    np.testing.assert_allclose(log_mel(10 * sound) - log_mel(sound), np.log(100.0), rtol=1e-6)


def test_short_and_long_recordings_give_the_same_shape_and_ignore_what_is_cut() -> None:
    sound = np.random.default_rng(0).standard_normal(SAMPLES + 500)
    assert log_mel(sound[:100]).shape == (20, 32)
    np.testing.assert_array_equal(log_mel(sound), log_mel(sound[:SAMPLES]))


def test_the_cosine_transform_is_orthonormal_and_equals_scipy() -> None:
    np.testing.assert_allclose(cosines(20, 20) @ cosines(20, 20).T, np.eye(20), atol=1e-12)
    fft = pytest.importorskip("scipy.fft")
    bands = np.random.default_rng(0).standard_normal((3, 20, 32))
    np.testing.assert_allclose(cepstrum(bands, 13), fft.dct(bands, axis=1, norm="ortho")[:, :13], atol=1e-12)


@pytest.mark.oracle
def test_the_bands_equal_librosa_with_the_same_mel_scale() -> None:
    librosa = pytest.importorskip("librosa")
    theirs = librosa.filters.mel(sr=8000, n_fft=256, n_mels=20, fmin=50, fmax=4000, htk=True, norm=None)
    np.testing.assert_allclose(mel_bands(), theirs, atol=1e-5)


def test_resampling_keeps_a_low_tone_and_removes_one_above_the_new_nyquist_frequency() -> None:
    time = np.arange(22050) / 22050
    window = np.hanning(22050)  # no jump at the ends
    low, high = (resample(window * np.sin(2 * np.pi * f * time), 160, 441) for f in (1000.0, 5000.0))
    expected = np.interp(np.arange(8000) / 8000, time, window) * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
    np.testing.assert_allclose(low[:8000], expected, atol=2e-4)
    assert np.abs(high).max() < 1e-3
