"""Speech features in numpy: log-mel bands and cepstral coefficients of 8 kHz recordings.

One recipe for synthetic and real speech: 8,250 samples (1.03 s), 32 frames of 256 samples at a hop of
250 (32 and 31.25 ms), Hann window, power spectrum, 20 triangular mel bands from 50 to 4,000 Hz
(mel = 2595 log10(1 + f / 700)), natural logarithm of power + 1e-7.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 8000
SAMPLES = 8250
FRAMES = 32
FRAME = 256
HOP = 250
BANDS = 20
LOWEST_HZ, HIGHEST_HZ = 50.0, 4000.0
FLOOR = 1e-7


@lru_cache(maxsize=1)
def mel_bands() -> npt.NDArray[np.float64]:
    """Weights of the triangular bands, ``(20, 129)``: bands x bins of 31.25 Hz."""
    low, high = (2595.0 * np.log10(1.0 + f / 700.0) for f in (LOWEST_HZ, HIGHEST_HZ))
    edges = 700.0 * (10.0 ** (np.linspace(low, high, BANDS + 2) / 2595.0) - 1.0)
    bins = np.fft.rfftfreq(FRAME, 1.0 / SAMPLE_RATE)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    return np.maximum(0.0, np.minimum(rising, falling))


def log_mel(recording: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Log power in mel bands.

    Args:
        recording: mono samples in [-1, 1] at 8 kHz, any length; cut or zero-padded to 8,250.

    Returns:
        ``(20, 32)``: bands x frames, natural logarithm of power.
    """
    padded = np.zeros(SAMPLES)
    kept = min(len(recording), SAMPLES)
    padded[:kept] = recording[:kept]
    frames = padded[np.arange(FRAMES)[:, None] * HOP + np.arange(FRAME)] * np.hanning(FRAME)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    return np.asarray(np.log(mel_bands() @ power.T + FLOOR), dtype=np.float64)


@lru_cache(maxsize=4)
def cosines(bands: int, coefficients: int) -> npt.NDArray[np.float64]:
    """Orthonormal DCT-II, ``(coefficients, bands)``; square ones lose nothing."""
    order, band = np.arange(coefficients)[:, None], np.arange(bands)
    scale = np.where(order == 0, np.sqrt(1.0 / bands), np.sqrt(2.0 / bands))
    waves = np.cos(np.pi * order * (2 * band + 1) / (2 * bands))
    return np.asarray(scale * waves, dtype=np.float64)


def cepstrum(bands: npt.NDArray[np.floating], coefficients: int) -> npt.NDArray[np.float64]:
    """Cepstral coefficients of log-mel bands.

    Args:
        bands: ``(..., bands, frames)``.
        coefficients: how many to keep, at most the number of bands.

    Returns:
        ``(..., coefficients, frames)``.
    """
    return np.asarray(cosines(bands.shape[-2], coefficients) @ bands, dtype=np.float64)


def resample(samples: npt.NDArray[np.floating], up: int, down: int) -> npt.NDArray[np.float64]:
    """Change the sampling rate by up / down with an ideal low-pass filter.

    The spectrum of the zero-padded recording is cut at the new Nyquist frequency, so nothing folds back.

    Args:
        samples: mono recording, ``(n,)``.
        up: numerator of the ratio, e.g. 160 from 22,050 to 8,000 Hz.
        down: denominator, e.g. 441; not smaller than up.

    Returns:
        Recording at the new rate, of about ``n * up / down`` samples.
    """
    # Silence of two blocks at the end keeps the circular transform from wrapping the word's end into its start.
    blocks = -(-len(samples) // down) + 2
    spectrum = np.fft.rfft(samples, blocks * down)
    out = blocks * up
    return np.asarray(np.fft.irfft(spectrum[: out // 2 + 1], out) * (up / down), dtype=np.float64)
