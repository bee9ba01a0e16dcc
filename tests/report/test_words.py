"""Laws of intervals, subset order and numbers as text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from fedmce.report.reader import read
from fedmce.report.scores import wilson
from fedmce.report.subset_axis import positions
from fedmce.report.words import listed, number, percent


@pytest.mark.parametrize(("hits", "rows"), [(0, 7), (7, 7), (3, 10), (412, 1000)])
def test_the_interval_is_scipys_wilson_interval(hits: int, rows: int) -> None:
    oracle = binomtest(hits, rows).proportion_ci(method="wilson")
    assert np.allclose(wilson(hits / rows, rows), (oracle.low, oracle.high), atol=1e-9)


def test_an_undefined_number_is_never_a_zero() -> None:
    assert number(None) == "–"
    assert number(0.0) == "0.000"
    assert number(-0.0625) == "−0.062"


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (1.0, "100 %"), (0.001, "0.1 %"), (0.999, "99.9 %"), (0.5, "50 %")]
)
def test_almost_nothing_is_not_nothing(share: float, text: str) -> None:
    assert percent(share) == text


def test_long_lists_are_counted_not_spelt() -> None:
    assert listed("abc") == "a, b and c"
    assert listed("abcdefgh", 3) == "a, b and 6 more"


def test_subsets_are_listed_by_size_then_in_data_set_order(wide: Path) -> None:
    subsets = read(wide).subsets
    assert len(subsets) == 63
    assert subsets[:7] == ["vitals", "ecg", "labs", "imaging", "text", "history", "vitals+ecg"]
    assert subsets[-1] == read(wide).full_subset
    assert positions(subsets)[6] - positions(subsets)[5] > 1
