"""KNN imputation: whose values stand in, by which distance, and what must not be looked at."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmce.errors import DataError
from fedmce.missingness import ObservedRows, SiteMask, observe
from fedmce.models import MultimodalNet, Statistics
from fedmce.subsets import members
from fedmce.training import DeviceRows, predict_subsets
from fedmce.training.neighbours import Imputer, nearest
from tests.oracles.worlds import Bools, lively, make_site, rows_of, small_spec

SPEC = small_spec(3, "concat", heads=False, completion=False, absent="knn_input")


def observed(available: Bools, name: str = "x", seed: int = 0) -> ObservedRows:
    site = make_site(name, available, prefix=f"{seed}-")
    return observe(site, SiteMask(site.sample_ids, site.available), SPEC.modalities, "train")


def statistics_of() -> dict[str, Statistics]:
    return {
        m.name: Statistics(
            np.zeros(m.statistics_shape, np.float32),
            np.ones(m.statistics_shape, np.float32),
            np.full(m.shape, 7, np.float32),
        )
        for m in SPEC.modalities
    }


def imputer_of(rows: ObservedRows, donors: ObservedRows | None, count: int = 5) -> Imputer:
    return Imputer(rows, donors, statistics_of(), SPEC.names, count)


def table(columns: list[list[float]]) -> ObservedRows:
    """Rows of two modalities with one entry each; NaN = absent."""
    numbers = np.array(columns, np.float32)
    available = ~np.isnan(numbers)
    values = {name: numbers[available[:, i], i][:, None] for i, name in enumerate("ab")}
    slot = np.where(available, np.cumsum(available, axis=0) - 1, -1)
    ids = tuple(f"{len(columns)}-{row}" for row in range(len(columns)))
    return ObservedRows("x", ids, np.zeros(len(ids), np.int64), available, values, slot)


def test_the_hand_example() -> None:
    query, donors = table([[1, np.nan]]), table([[0, 10], [2, 20], [5, 50]])
    plain = {
        name: Statistics(np.zeros(1, np.float32), np.ones(1, np.float32), np.zeros(1, np.float32)) for name in "ab"
    }
    made = Imputer(query, donors, plain, ("a", "b"), 2).stand_ins(np.array([0]), query.available, 1)
    assert made.tolist() == [[15.0]]


@given(seed=st.integers(0, 9999), count=st.integers(1, 6))
@settings(max_examples=25)
def test_as_scikit_learn_imputes(seed: int, count: int) -> None:
    impute = pytest.importorskip("sklearn.impute")
    draw = np.random.default_rng(seed)
    donors = observed(rows_of(draw.integers(1, 8, 12).tolist(), 3), "d", seed)
    rows = observed(rows_of(draw.integers(1, 8, 6).tolist(), 3), "q", seed)
    sizes = [m.shape[0] for m in SPEC.modalities]
    edges = np.cumsum([0, *sizes])

    def wide(held: ObservedRows) -> np.ndarray:
        found = np.full((held.rows, edges[-1]), np.nan)
        for column, name in enumerate(SPEC.names):
            here = held.available[:, column]
            found[here, edges[column] : edges[column + 1]] = held.values[name][held.slot[here, column]]
        return found

    expected = impute.KNNImputer(n_neighbors=count, keep_empty_features=True).fit(wide(donors)).transform(wide(rows))
    imputer = imputer_of(rows, donors, count)
    for column in range(3):
        lacks = np.flatnonzero(~rows.available[:, column])
        made = imputer.stand_ins(lacks, rows.available[lacks], column)
        by_mean = imputer.without_donor(lacks, rows.available[lacks], column)
        # Where no donor can be compared scikit-learn takes the mean of its column, we the federated one.
        near = np.flatnonzero((made != 7).any(axis=1))
        assert by_mean == len(lacks) - len(near)
        np.testing.assert_allclose(made[near], expected[lacks[near], edges[column] : edges[column + 1]], rtol=1e-4)


def test_without_a_donor_the_federated_mean_stands_in_and_is_counted() -> None:
    rows = observed(rows_of([1, 3, 1], 3))
    # None at all, none that holds c, none that shares an entry.
    for donors in (None, observed(rows_of([3, 3], 3), "d"), observed(rows_of([4], 3), "d")):
        imputer = imputer_of(rows, donors)
        assert (imputer.stand_ins(np.arange(3), rows.available, 2) == 7).all()
        assert imputer.without_donor(np.arange(3), rows.available, 2) == 3
    imputer = imputer_of(rows, observed(rows_of([6], 3), "d"))  # shares b with the second row alone
    assert imputer.without_donor(np.arange(3), rows.available, 2) == 2


def test_donors_that_share_nothing_are_never_taken_and_ties_go_by_number() -> None:
    apart, shared = np.array([[0.0, 4.0, 4.0, 1.0]]), np.array([[0, 2, 2, 1]])
    assert nearest(apart, shared, np.ones(4, dtype=bool), 3).tolist() == [[3, 1, 2]]
    assert nearest(apart, shared, np.array([True, False, True, False]), 3).tolist() == [[2, -1, -1]]


def test_a_row_is_never_its_own_donor() -> None:
    rows = observed(rows_of([7] * 6, 3))
    hidden = np.tile([True, True, False], (6, 1))
    made = imputer_of(rows, rows, 1).stand_ins(np.arange(6), hidden, 2)
    for number in range(6):
        own = rows.values["c"][rows.slot[number, 2]]
        assert not np.allclose(made[number], own)
        assert any(np.allclose(made[number], rows.values["c"][other]) for other in range(6) if other != number)


@pytest.mark.parametrize("junk", [1e6, float("nan")])
def test_what_a_subset_hides_changes_nothing(junk: float) -> None:
    """The distance looks at the subset alone, not at what the row holds besides."""
    donors, plain = observed(rows_of([7] * 8, 3), "d"), observed(rows_of([7] * 4, 3), "q")
    spoilt = observed(rows_of([7] * 4, 3), "q")
    spoilt.values["b"][:] = junk
    spoilt.values["c"][:] = junk
    subset = np.tile([True, False, False], (4, 1))
    for column in (1, 2):
        first = imputer_of(plain, donors).stand_ins(np.arange(4), subset, column)
        assert first.tobytes() == imputer_of(spoilt, donors).stand_ins(np.arange(4), subset, column).tobytes()


def test_holes_count_neither_in_the_distance_nor_in_how_many_entries_there_are() -> None:
    query, donors = observed(rows_of([3], 3), "q"), observed(rows_of([7, 7, 7], 3), "d")
    donors.values["a"][:, 1] = np.nan
    hidden = query.available
    made = imputer_of(query, donors, 1).stand_ins(np.array([0]), hidden, 2)
    own = np.concatenate([query.values["a"][0, :1], query.values["b"][0]])
    apart = [
        np.square(np.concatenate([donors.values["a"][d, :1], donors.values["b"][d]]) - own).mean() for d in range(3)
    ]
    np.testing.assert_allclose(made[0], donors.values["c"][int(np.argmin(apart))], rtol=1e-6)


def device_rows(rows: ObservedRows, donors: ObservedRows | None) -> DeviceRows:
    scales = statistics_of()
    imputer = None if donors is None else imputer_of(rows, donors, 2)
    return DeviceRows(rows, scales, SPEC.names, torch.device("cpu"), imputer=imputer)


@torch.no_grad()
def test_every_subset_is_answered_from_itself_and_its_own_neighbours() -> None:
    rows, donors = observed(rows_of([7, 3, 4], 3), "q"), observed(rows_of([7, 7, 6, 5, 3], 3), "d")
    net = lively(MultimodalNet(SPEC)).eval()
    plain = lively(MultimodalNet(small_spec(3, "concat", heads=False, completion=False))).eval()
    found = predict_subsets(net, device_rows(rows, donors))
    imputer = imputer_of(rows, donors, 2)
    for row, subset, probability in zip(found.row, found.subset, found.probability, strict=True):
        member = members(np.array([subset]), 3)
        tokens = []
        for column, name in enumerate(SPEC.names):
            if member[0, column]:
                sample = rows.values[name][rows.slot[row, column]][None]
            else:
                sample = imputer.stand_ins(np.array([row]), member, column)
            tokens.append(plain.encoder[name](torch.from_numpy(sample)))
        everything = torch.ones(1, 3, dtype=torch.bool)
        logits = plain.fuse(torch.stack(tokens, dim=1), torch.zeros(1, dtype=torch.int64), everything)
        np.testing.assert_allclose(probability, logits.double().softmax(dim=1)[0], rtol=1e-5)


def test_rows_without_neighbours_are_refused_rather_than_read_as_zeros() -> None:
    rows = observed(rows_of([7, 3], 3))
    with pytest.raises(DataError, match="come without training rows of their site"):
        predict_subsets(lively(MultimodalNet(SPEC)), device_rows(rows, None))


def test_a_batch_holds_every_modality_and_says_what_was_there() -> None:
    rows = observed(rows_of([7, 1, 6, 3], 3))
    batch, available = device_rows(rows, rows).batch(np.array([1, 3, 0]))
    assert available.tolist() == rows.available[[1, 3, 0]].tolist()
    assert {name: len(value) for name, value in batch.values.items()} == dict.fromkeys("abc", 3)
    own = torch.from_numpy(rows.values["a"][rows.slot[[1, 3, 0], 0]])
    assert torch.equal(batch.values["a"], own)
