"""Sums of test rows at the gate: honest ones come through whole, others cost the site its scores and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.metrics import add_tables
from fedmce.missingness import SiteMask, observe
from fedmce.models import MultimodalNet
from fedmce.networks import spec_for
from fedmce.training import DeviceRows, ScoredRows, pick_device, score_rows, with_last
from fedmce.training.scored_columns import PREFIX, cell_columns, scored_columns
from server.claims import Claim
from server.gate.due import DueSums
from server.gate.stop import Stop
from server.gate.tested import read_tested
from tests.oracles.worlds import lively
from tests.server.made import made_config, made_dataset
from tests.server.test_sources import SCALES

CONFIG, DATASET = made_config(objective__use_completion="mean"), made_dataset()
NAMES = tuple(m.name for m in DATASET.modalities)


def on_device(split: str) -> DeviceRows:
    site = DATASET.sites["ash"]
    rows = observe(site, SiteMask(site.sample_ids, site.available), DATASET.modalities, split)  # type: ignore[arg-type]
    return DeviceRows(rows, SCALES, NAMES, pick_device("cpu"))


def scored() -> ScoredRows:
    net = lively(MultimodalNet(spec_for(DATASET, CONFIG))).eval()
    rows = on_device("test")
    found, _ = score_rows(net, rows, CONFIG, "ash")
    return with_last(found, net, rows, on_device("validation"))


SCORED = scored()
DUE = DueSums(
    rows=10, validation_rows=6, classes=3, names=NAMES, width=CONFIG.model.width, contributions=CONFIG.contributions
)
HONEST: dict[str, Any] = scored_columns(SCORED, NAMES)


def read(report: dict[str, Any], due: DueSums = DUE) -> ScoredRows:
    return read_tested(report, SCORED.cells, due)


def test_honest_sums_come_through_whole() -> None:
    found = read(HONEST)
    assert (found.cells, found.completed) == (SCORED.cells, SCORED.completed)
    assert (found.own, found.own_validation) == (SCORED.own, SCORED.own_validation)
    for name in ("classes", "calibration"):
        there, here = getattr(found, name), getattr(SCORED, name)
        assert there.keys() == here.keys()
        assert all(np.array_equal(there[code], here[code]) for code in here)
    assert found.tally == SCORED.tally
    assert found.hidden is not None
    assert SCORED.hidden is not None
    assert found.hidden.without == SCORED.hidden.without
    assert found.hidden.with_completed == SCORED.hidden.with_completed
    for name, sums in SCORED.hidden.tokens.items():
        again = found.hidden.tokens[name]
        assert (again.rows, again.angles, again.cosine, again.error) == (
            sums.rows,
            sums.angles,
            sums.cosine,
            sums.error,
        )
        np.testing.assert_array_equal(again.total, sums.total)
    add_tables({"a": found.classes, "b": SCORED.classes})  # of one shape


def test_no_row_is_in_them() -> None:
    longest = max(len(column) for column in HONEST.values() if isinstance(column, list))
    assert longest == 7 * 4 * 16  # calibration of seven subsets, whatever the rows
    assert all(isinstance(number, int | float) for column in HONEST.values() for number in column)


def test_they_fit_into_what_the_size_check_allows() -> None:
    assert sum(len(column) for column in HONEST.values()) <= DUE.most_numbers


Change = Callable[[list[Any]], list[Any]]


def first(value: Any) -> Change:
    return lambda column: [value, *column[1:]]


def times(factor: float) -> Change:
    return lambda column: [type(number)(number * factor) for number in column]


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("classes.sums", first(math.nan)),
        ("classes.sums", first(1e300)),
        ("classes.sums", times(3)),
        ("classes.sums", lambda c: c[:-1]),
        ("classes.subset", first(0)),
        ("classes.subset", first(8)),
        ("classes.subset", lambda c: [c[0], c[0], *c[2:]]),
        ("calibration.sums", times(3)),
        ("calibration.sums", times(-1)),
        ("calibration.sums", first("1")),
        ("calibration.subset", lambda c: "no list"),
        ("value.rows", times(3)),
        ("value.total", times(1e9)),
        ("value.square", times(-1)),
        ("share.total", times(1e9)),
        ("share.modality", first(7)),
        ("share.rows", first(True)),
        ("own.accuracy.count", times(5)),
        ("own_validation.accuracy.count", times(5)),
        ("completed.accuracy.total", times(1e9)),
        ("without.accuracy.subset", first(-1)),
        ("hidden.rows", times(5)),
        ("hidden.angles", times(5)),
        ("hidden.cosine", times(1e6)),
        ("hidden.error", times(-1)),
        ("hidden.total", lambda c: c[1:]),
        ("hidden.modality", first(3)),
        ("hidden.modality", lambda c: c + c),
    ],
)
def test_sums_that_no_rows_have_are_refused(column: str, change: Change) -> None:
    name = PREFIX + column
    assert name in HONEST
    with pytest.raises((Stop, Claim)):
        read(HONEST | {name: change(HONEST[name])})


def test_a_column_that_nobody_agreed_upon_is_refused() -> None:
    for name in ("rows", "classes.names", "own.f1.total", "more.accuracy.total"):
        with pytest.raises(Stop):
            read(HONEST | {PREFIX + name: [1.0]})


def test_of_a_site_with_fewer_rows_than_it_scores_nothing_is_taken() -> None:
    with pytest.raises((Stop, Claim)):
        read(HONEST, DueSums(3, 6, 3, NAMES, CONFIG.model.width, CONFIG.contributions))


ANYTHING = st.one_of(
    st.none(), st.text(max_size=3), st.lists(st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=2)))
)


@given(st.dictionaries(st.sampled_from(sorted(HONEST)), ANYTHING, min_size=1, max_size=4))
def test_arbitrary_columns_are_refused_or_finite(changed: dict[str, Any]) -> None:
    try:
        found = read(HONEST | changed)
    except Exception:  # the gate makes a note of any
        return
    assert all(np.isfinite(sums).all() for tables in (found.classes, found.calibration) for sums in tables.values())
    assert all(np.isfinite(cell).all() for by in (found.own or {}).values() for cell in by.values())


def test_a_site_without_rows_sends_nothing_and_is_read_as_such() -> None:
    cells = cell_columns({}, "score.")
    found = read_tested(cells, {}, DueSums(0, 0, 3, NAMES, CONFIG.model.width, CONFIG.contributions))
    assert (found.cells, found.classes, found.own, found.tally.rows(NAMES)) == ({}, {}, None, dict.fromkeys(NAMES, 0))
