"""Build the embedded data set: real handwriting, synthetic speech.

    python -m fedmce.data.builders.av_digits OUT.npz

Handwriting: the 1,797 images of the UCI optical digits that scikit-learn bundles, each used once.
Speech: the word of the digit, spoken by espeak-ng in one of six voices with its own rate, pitch,
loudness, onset and coloured noise, as 13 mel cepstral coefficients of 32 frames. Everything drawn for
an utterance comes from a stream keyed by the image's number; espeak-ng itself draws nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedmce.data.spectra import HOP, SAMPLE_RATE, SAMPLES, cepstrum, log_mel, resample
from fedmce.streams import generator

SEED = 20250301
COEFFICIENTS = 13
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# Site name -> espeak-ng voice: accent + timbre.
VOICES = {
    "us_f3": "en-us+f3",
    "gb_m3": "en-gb+m3",
    "scotland_m7": "en-gb-scotland+m7",
    "caribbean_f5": "en-029+f5",
    "rp_klatt2": "en-gb-x-rp+klatt2",
    "midlands_croak": "en-gb-x-gbcwmd+croak",
}
RATE_WPM = (110, 260)
PITCH = (15, 85)
AMPLITUDE = (20, 160)
SNR_DB = (0.0, 20.0)
ONSET = 0.3  # latest onset, as a share of the room that the word leaves
NOISE_COLOUR = (0.0, 2.0)
RECIPE = (
    "espeak-ng word at 22050 Hz, silence trimmed, resampled to 8000 Hz by cutting the spectrum (160/441), placed at a "
    "random onset in the first 0.3 of the room in 8250 samples, noise of power spectrum 1/f^colour added at snr_db over the word; 32 frames of 256 "
    "at hop 250, Hann, |rfft|^2, 20 triangular mel bands 50-4000 Hz, log(power + 1e-7), orthonormal DCT-II, "
    "coefficients 0-12, mean of each coefficient over the recording removed, float16"
)


@dataclass(frozen=True)
class Utterance:
    """How one word is spoken: words per minute, espeak pitch and amplitude (0-99, 0-200), onset as a share of
    the room left, noise exponent and signal-to-noise ratio in dB."""

    rate: int
    pitch: int
    amplitude: int
    onset: float
    colour: float
    snr_db: float


def draw(image: int, seed: int = SEED) -> Utterance:
    """Manner of speaking for one image, from the stream of that image alone."""
    rng = generator(seed, "av_digits", "utterance", str(image))
    return Utterance(
        rate=int(rng.integers(*RATE_WPM, endpoint=True)),
        pitch=int(rng.integers(*PITCH, endpoint=True)),
        amplitude=int(rng.integers(*AMPLITUDE, endpoint=True)),
        onset=ONSET * float(rng.random()),
        colour=float(rng.uniform(*NOISE_COLOUR)),
        snr_db=float(rng.uniform(*SNR_DB)),
    )


def espeak_version() -> str:
    """Version that ``espeak-ng --version`` names, e.g. ``1.51``; FileNotFoundError without espeak-ng."""
    text = subprocess.run(["espeak-ng", "--version"], check=True, capture_output=True, text=True).stdout
    return text.split("Data at")[0].rsplit(":", 1)[-1].strip()


def say(word: str, voice: str, how: Utterance) -> npt.NDArray[np.float64]:
    """Speak one word: mono samples in [-1, 1] at 8 kHz, without the silence around it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        manner = ["-v", voice, "-s", str(how.rate), "-p", str(how.pitch), "-a", str(how.amplitude)]
        subprocess.run(["espeak-ng", *manner, "-w", str(path), word], check=True, capture_output=True)
        with wave.open(str(path)) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (22050, 1, 2):
                raise RuntimeError(f"espeak-ng: voice {voice} gave {file.getparams()}; needed 22050 Hz, mono, 16 bit")
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 32768.0
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    return resample(samples[loud[0] : loud[-1] + 1], 160, 441)


def noise(samples: int, colour: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Noise of unit power whose power spectrum falls as 1 / f^colour (0 white, 1 pink, 2 brown)."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum[0] = 0.0
    frequency = np.arange(1, len(spectrum))
    spectrum[1:] *= frequency ** (-colour / 2.0)
    wave_form = np.fft.irfft(spectrum, samples)
    return np.asarray(wave_form / np.sqrt(np.mean(wave_form**2)), dtype=np.float64)


def utter(image: int, digit: int, site: str, seed: int = SEED) -> npt.NDArray[np.float16]:
    """Cepstral coefficients of the word that goes with one image, float16 ``(13, 32)``."""
    how = draw(image, seed)
    word = say(WORDS[digit], VOICES[site], how)[: SAMPLES - HOP]
    recording = np.zeros(SAMPLES)
    start = int(how.onset * (SAMPLES - HOP - len(word)))
    recording[start : start + len(word)] = word
    level = np.sqrt(np.mean(word**2)) * 10.0 ** (-how.snr_db / 20.0)
    recording += level * noise(SAMPLES, how.colour, generator(seed, "av_digits", "noise", str(image)))
    coefficients = cepstrum(log_mel(recording), COEFFICIENTS)
    return np.asarray(coefficients - coefficients.mean(axis=1, keepdims=True), dtype=np.float16)


def deal(digits: npt.NDArray[np.integer], seed: int = SEED) -> npt.NDArray[np.uint8]:
    """Voice of every image, uint8 ``(images,)``: each digit's images are shuffled and dealt round."""
    voice = np.empty(len(digits), dtype=np.uint8)
    dealt = 0
    for digit in range(len(WORDS)):
        images = generator(seed, "av_digits", "deal", str(digit)).permutation(np.flatnonzero(digits == digit))
        # Going on where the last digit ended keeps the sites' totals within one row of each other.
        voice[images] = (dealt + np.arange(len(images))) % len(VOICES)
        dealt += len(images)
    return voice


def build(out: Path, seed: int = SEED) -> None:
    """Write the whole data set as one compressed npz without pickled objects.

    Args:
        out: file to write; its folder must exist.
        seed: root of all draws.
    """
    from sklearn.datasets import load_digits  # only the builder needs scikit-learn

    bundle = load_digits()
    digits = bundle.target.astype(np.uint8)
    voice, names = deal(digits, seed), list(VOICES)
    manner = [draw(image, seed) for image in range(len(digits))]
    mfcc = np.stack([utter(image, int(digit), names[voice[image]], seed) for image, digit in enumerate(digits)])
    np.savez_compressed(
        out,
        image=bundle.images.astype(np.uint8),
        mfcc=mfcc,
        digit=digits,
        voice=voice,
        voices=np.array(names),
        espeak_voices=np.array(list(VOICES.values())),
        rate=np.array([m.rate for m in manner], dtype=np.uint16),
        pitch=np.array([m.pitch for m in manner], dtype=np.uint8),
        amplitude=np.array([m.amplitude for m in manner], dtype=np.uint8),
        colour=np.array([m.colour for m in manner], dtype=np.float32),
        snr_db=np.array([m.snr_db for m in manner], dtype=np.float32),
        sample_rate=np.array(SAMPLE_RATE),
        seed=np.array(seed),
        espeak_version=np.array(espeak_version()),
        recipe=np.array(RECIPE),
        origin=np.array(
            "image: UCI optical recognition of handwritten digits (test part; Alpaydin, Kaynak 1998), real, as bundled "
            "with scikit-learn; mfcc: synthetic speech, espeak-ng with added noise"
        ),
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m fedmce.data.builders.av_digits OUT.npz")
    build(Path(sys.argv[1]))
