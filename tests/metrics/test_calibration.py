"""Calibration and F1 from sums against torchmetrics and scikit-learn, and that sums add up over any split."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk
from torchmetrics.functional.classification import binary_calibration_error, multiclass_f1_score

from fedmce.metrics import (
    Tables,
    add_tables,
    brier_score,
    calibration_error,
    calibration_sums,
    class_sums,
    macro_f1,
    pooled_table,
)
from tests.metrics.test_sums import Scored, scored


def smooth(pairs: int, classes: int, seed: int, subsets: int = 3) -> Scored:
    """Pairs with probabilities of any confidence, some of them certain."""
    numbers = np.random.default_rng(seed)
    probability = numbers.dirichlet(np.full(classes, 0.3), pairs)
    probability[::7] = np.eye(classes)[numbers.integers(0, classes, len(probability[::7]))]
    return numbers.integers(1, subsets + 1, pairs), probability, numbers.integers(0, classes, pairs)


def same(found: Tables, expected: Tables) -> None:
    assert found.keys() == expected.keys()
    for code, sums in expected.items():
        np.testing.assert_allclose(found[code], sums, rtol=1e-12, atol=1e-12)


@given(pairs=st.integers(1, 60), classes=st.integers(2, 5), seed=st.integers(0, 999))
def test_calibration_error_is_torchmetrics_of_the_pooled_rows(pairs: int, classes: int, seed: int) -> None:
    subset, probability, target = smooth(pairs, classes, seed)
    sums = calibration_sums(subset, probability, target)
    confidence = torch.from_numpy(probability.max(axis=1))
    right = torch.from_numpy((probability.argmax(axis=1) == target).astype(np.int64))
    for code in np.unique(subset).tolist():
        here = torch.from_numpy(subset == code)
        # In its binary form torchmetrics takes confidence and hit as they are and keeps them in double precision.
        expected = binary_calibration_error(confidence[here], right[here], n_bins=15)
        assert calibration_error(sums[code]) == pytest.approx(float(expected), abs=1e-9)
    whole = binary_calibration_error(confidence, right, n_bins=15)
    assert calibration_error(pooled_table(sums)) == pytest.approx(float(whole), abs=1e-9)


@given(pairs=st.integers(1, 40), seed=st.integers(0, 999))
def test_brier_of_two_classes_is_twice_scikit_learn_s(pairs: int, seed: int) -> None:
    _, probability, target = smooth(pairs, 2, seed)
    sums = calibration_sums(np.ones(pairs, np.int64), probability, target)
    expected = sk.brier_score_loss(target, probability[:, 1], pos_label=1)
    assert brier_score(sums[1]) == pytest.approx(2 * expected, abs=1e-9)


@given(pairs=st.integers(1, 60), classes=st.integers(2, 5), seed=st.integers(0, 999))
def test_macro_f1_is_that_of_scikit_learn_and_torchmetrics(pairs: int, classes: int, seed: int) -> None:
    subset, probability, target = scored(pairs, classes, seed)
    counts, guess = class_sums(subset, probability, target), probability.argmax(axis=1)
    for code in np.unique(subset).tolist():
        here = subset == code
        found = macro_f1(counts[code])
        assert found == pytest.approx(sk.f1_score(target[here], guess[here], average="macro"))
        theirs = multiclass_f1_score(
            torch.from_numpy(guess[here]), torch.from_numpy(target[here]), num_classes=classes, average="macro"
        )
        assert found == pytest.approx(float(theirs), abs=1e-6)


@given(sizes=st.lists(st.integers(0, 20), min_size=1, max_size=5), classes=st.integers(2, 4))
def test_calibration_and_f1_add_up_over_any_split_of_the_rows(sizes: list[int], classes: int) -> None:
    parts = {f"site{i}": smooth(n, classes, i) for i, n in enumerate(sizes)}
    together = tuple(np.concatenate(columns) for columns in zip(*parts.values(), strict=True))
    for sums in (calibration_sums, class_sums):
        same(add_tables({site: sums(*part) for site, part in parts.items()}), sums(*together))


def test_calibration_by_hand() -> None:
    """Four rows at confidence 0.6, three right; one at 0.9, wrong."""
    probability = np.array([[0.6, 0.4]] * 4 + [[0.1, 0.9]])
    sums = calibration_sums(np.ones(5, np.int64), probability, np.array([0, 0, 0, 1, 0]))[1]
    assert calibration_error(sums) == pytest.approx((abs(3 - 4 * 0.6) + abs(0 - 0.9)) / 5)
    assert brier_score(sums) == pytest.approx((3 * 2 * 0.4**2 + 2 * 0.6**2 + 2 * 0.9**2) / 5)


def test_a_model_that_is_certain_and_right_is_calibrated_and_one_that_is_certain_and_wrong_is_not() -> None:
    certain, one = np.array([[1.0, 0.0]]), np.ones(1, np.int64)
    right, wrong = (calibration_sums(one, certain, np.array([t]))[1] for t in (0, 1))
    assert (calibration_error(right), brier_score(right)) == (0.0, 0.0)
    assert (calibration_error(wrong), brier_score(wrong)) == (1.0, 2.0)


def test_macro_f1_by_hand() -> None:
    """Class 0: one hit, occurs twice, predicted once; class 1: one hit, occurs once, predicted twice; 2: nowhere."""
    probability = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]])
    assert macro_f1(class_sums(np.ones(3, np.int64), probability, np.array([0, 0, 1]))[1]) == pytest.approx(2 / 3)


def test_macro_f1_does_not_care_which_of_both_is_the_truth() -> None:
    draw = np.random.default_rng(0)
    one, two = draw.integers(0, 4, 30), draw.integers(0, 4, 30)
    swapped = [
        class_sums(np.ones(30, np.int64), np.eye(4)[guess], truth)[1] for guess, truth in ((one, two), (two, one))
    ]
    assert macro_f1(swapped[0]) == macro_f1(swapped[1])


def test_what_no_row_defines_is_undefined() -> None:
    assert calibration_error(None) is brier_score(None) is macro_f1(None) is pooled_table({}) is None
    assert calibration_error(np.zeros((4, 16))) is brier_score(np.zeros((4, 16))) is macro_f1(np.zeros((3, 2))) is None


def test_adding_up_changes_no_part() -> None:
    parts = {site: calibration_sums(*smooth(9, 3, i)) for i, site in enumerate("xy")}
    add_tables(parts)
    for i, site in enumerate("xy"):
        same(parts[site], calibration_sums(*smooth(9, 3, i)))
