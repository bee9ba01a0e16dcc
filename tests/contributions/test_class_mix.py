"""What a mix of classes lets expect of a modality."""

from __future__ import annotations

import pytest

from fedmce.contributions import class_factors

NAMES = ("image", "audio")
IMAGE, AUDIO, BOTH = 1, 2, 3


def cells(recalls: dict[int, dict[int, float]], rows: float = 10.0) -> dict[str, dict[int, list[float]]]:
    """Class -> subset -> recall, as sums of ``rows`` rows each."""
    return {
        f"recall:{c}": {code: [value * rows, rows] for code, value in by_subset.items()}
        for c, by_subset in recalls.items()
    }


# Class 0 is told by images alone, class 1 by audio alone; class 1 is the more frequent one, so naming it is worth 0 and 1.
TOLD = {
    0: {IMAGE: 0.8, AUDIO: 0.0, BOTH: 0.8},
    1: {IMAGE: 1.0, AUDIO: 1.0, BOTH: 1.0},
    2: {IMAGE: 0.0, AUDIO: 0.6, BOTH: 0.6},
}


def test_a_worked_example() -> None:
    rows = {"x": [10, 20, 10], "y": [20, 20, 0], "z": [0, 20, 20]}
    found = class_factors({"x": cells(TOLD)}, rows, NAMES)
    # phi of images: .8, 0, 0 for the three classes; of audio: 0, 0, .6. Shares of all rows: 1/4, 1/2, 1/4.
    assert found["x"] == pytest.approx({"image": 1.0, "audio": 1.0})
    assert found["y"] == pytest.approx({"image": 2.0, "audio": 0.2})  # 0 at the least, but never below a fifth
    assert found["z"] == pytest.approx({"image": 0.2, "audio": 2.0})


def test_recalls_of_sites_add_up_before_they_are_compared() -> None:
    rows = {"x": [10, 20, 10], "y": [20, 20, 0]}
    halves = {"x": cells(TOLD, 4.0), "y": cells(TOLD, 6.0)}
    assert class_factors(halves, rows, NAMES) == class_factors({"x": cells(TOLD, 10.0)}, rows, NAMES)
    assert class_factors(dict(reversed(halves.items())), rows, NAMES) == class_factors(halves, rows, NAMES)


def test_sites_of_one_mix_have_factors_of_one() -> None:
    rows = {"x": [10, 20, 10], "y": [100, 200, 100]}
    assert class_factors({"x": cells(TOLD)}, rows, NAMES) == {s: {"image": 1.0, "audio": 1.0} for s in rows}


def test_what_is_not_known_changes_nothing() -> None:
    rows = {"x": [10, 0], "y": [0, 10]}
    one = {s: {"image": 1.0, "audio": 1.0} for s in rows}
    assert class_factors({}, rows, NAMES) == one
    part = {0: {IMAGE: 0.8, BOTH: 0.9}, 1: {IMAGE: 0.5, AUDIO: 0.5}}  # no class with every subset
    assert class_factors({"x": cells(part)}, rows, NAMES) == one
    useless = {c: {IMAGE: v, AUDIO: v, BOTH: v} for c, v in ((0, 1.0), (1, 0.0))}  # always the most frequent class
    assert class_factors({"x": cells(useless)}, rows, NAMES) == one
