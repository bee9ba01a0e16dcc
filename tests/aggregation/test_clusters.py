"""Harmony's server: relative distances, groups of sites, the mean of each group."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.aggregation.clusters import cluster_means, k_means, relative_distances

HAND = {"north": [0.1, 0.4], "south": [0.2, 0.4], "west": [0.8, 0.1]}
DISTANCES = {site: np.float32(row) for site, row in HAND.items()}


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_hand_sized_case() -> None:
    """D / max per modality; two clusters {north, south} and {west}; fusions 1, 3, 9 become 2, 2, 9."""
    points = relative_distances(DISTANCES)
    np.testing.assert_allclose(points, [[0.125, 1], [0.25, 1], [1, 0.25]], rtol=1e-6)
    for seed in range(20):
        labels = k_means(points, 2, draw(seed))
        assert labels[0] == labels[1] != labels[2]
    by_site = dict(zip(sorted(DISTANCES), labels.tolist(), strict=True))
    states = {site: {"fusion/w": np.float32([v])} for site, v in (("north", 1), ("south", 3), ("west", 9))}
    assert {s: m["fusion/w"][0] for s, m in cluster_means(states, by_site).items()} == {
        "north": 2.0,
        "south": 2.0,
        "west": 9.0,
    }


def test_what_is_given_is_not_scaled_in_place() -> None:
    """A site that skips a round would otherwise be divided twice."""
    given_once = {site: row.copy() for site, row in DISTANCES.items()}
    first, second = relative_distances(DISTANCES), relative_distances(DISTANCES)
    assert np.array_equal(first, second)
    assert all(np.array_equal(DISTANCES[s], given_once[s]) for s in DISTANCES)


def test_encoders_that_moved_nowhere_are_at_0_and_a_modality_that_is_not_held_says_nothing() -> None:
    points = relative_distances({"a": np.zeros(2, "f4"), "b": np.zeros(2, "f4")})
    assert not points.any()
    points = relative_distances({"a": np.float32([0.2, -1]), "b": np.float32([0.4, 0.1]), "c": np.float32([0.1, 0.3])})
    assert points[0, 1] == pytest.approx(0.2 / 0.3)  # the mean of the holders
    assert not relative_distances({"a": np.float32([-1.0]), "b": np.float32([-1.0])}).any()


def test_the_label_of_a_cluster_carries_nothing() -> None:
    """Labels that change places between rounds leave every site with the mean of its own cluster."""
    states = {site: {"fusion/w": np.float32([v])} for site, v in (("a", 1), ("b", 3), ("c", 9))}
    one, other = ({"a": 0, "b": 0, "c": 1}, {"a": 1, "b": 1, "c": 0})
    first, second = cluster_means(states, one), cluster_means(states, other)
    assert {s: m["fusion/w"][0] for s, m in first.items()} == {s: m["fusion/w"][0] for s, m in second.items()}


def test_members_with_other_modalities_share_what_they_have_in_common() -> None:
    states = {
        "a": {"fusion/w": np.float32([1]), "projection.x/w": np.float32([5])},
        "b": {"fusion/w": np.float32([3]), "projection.y/w": np.float32([7])},
    }
    found = cluster_means(states, {"a": 0, "b": 0})
    expected = {"fusion/w": 2.0, "projection.x/w": 5.0, "projection.y/w": 7.0}
    assert {k: float(v[0]) for k, v in found["a"].items()} == expected
    assert found["b"] == found["a"]


def test_a_silent_member_gets_its_clusters_mean_and_a_silent_cluster_nothing() -> None:
    states = {"a": {"fusion/w": np.float32([4])}}
    found = cluster_means(states, {"a": 0, "b": 0, "c": 1})
    assert {site: mean["fusion/w"][0] for site, mean in found.items()} == {"a": 4.0, "b": 4.0}


@given(
    rows=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8),
    count=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_k_means_is_a_partition_in_which_every_point_is_nearest_to_its_own_centre(
    rows: list[tuple[int, int]], count: int, seed: int
) -> None:
    points = np.array(rows, dtype=np.float64)
    labels = k_means(points, count, draw(seed))
    assert np.array_equal(labels, k_means(points, count, draw(seed)))
    found = np.unique(labels)
    assert found.tolist() == list(range(len(found)))  # no empty cluster, whose state would be 0
    assert len(found) <= min(count, len(np.unique(points, axis=0)))
    centres = np.stack([points[labels == label].mean(axis=0) for label in found])
    squares = ((points[:, None] - centres[None]) ** 2).sum(axis=2)
    assert (squares[np.arange(len(points)), labels] <= squares.min(axis=1) + 1e-9).all()


def test_one_cluster_holds_all_and_as_many_as_points_hold_one_each() -> None:
    points = relative_distances(DISTANCES)
    assert set(k_means(points, 1, draw())) == {0}
    assert sorted(k_means(points, 5, draw())) == [0, 1, 2]
