"""Named random streams: a number is a function of its name alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedmce.streams import generator, keyed_uniforms, stream_seed


def test_a_stream_depends_on_root_and_every_part_of_its_name() -> None:
    names: list[tuple[int, tuple[str | int, ...]]] = [(0, ("a", "b")), (1, ("a", "b")), (0, ("b", "a")), (0, ("a", 1))]
    assert len({stream_seed(seed, *name) for seed, name in names}) == len(names)
    assert all(0 <= stream_seed(seed, *name) < 2**63 for seed, name in names)
    assert generator(3, "x").random() == generator(3, "x").random()


@given(keys=st.lists(st.text(max_size=4), min_size=1, max_size=6, unique=True), data=st.data())
def test_a_keyed_number_does_not_see_other_keys_and_columns(keys: list[str], data: st.DataObject) -> None:
    columns = ["a", "b", "c"]
    whole = keyed_uniforms(0, "p", "site", keys, columns)
    chosen = data.draw(st.lists(st.sampled_from(range(len(keys))), unique=True))
    order = data.draw(st.permutations(range(3)))
    part = keyed_uniforms(0, "p", "site", [keys[i] for i in chosen], [columns[i] for i in order])
    assert part.shape == (len(chosen), 3)
    assert np.array_equal(part, whole[chosen][:, list(order)])


def test_keyed_numbers_are_uniform_and_differ_by_purpose_site_and_seed() -> None:
    keys = [f"row{i}" for i in range(4000)]
    numbers = keyed_uniforms(0, "p", "x", keys, ["a"])[:, 0]
    assert 0 <= numbers.min() < numbers.max() < 1
    assert abs(numbers.mean() - 0.5) < 4 / np.sqrt(12 * 4000)
    assert np.abs(np.histogram(numbers, 10, (0, 1))[0] - 400).max() < 4 * np.sqrt(400 * 0.9)
    for other in [(1, "p", "x"), (0, "q", "x"), (0, "p", "y")]:
        assert abs(np.corrcoef(numbers, keyed_uniforms(*other, keys, ["a"])[:, 0])[0, 1]) < 4 / np.sqrt(4000)
