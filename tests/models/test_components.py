"""Components: how a state splits, who can train what, and where initial values come from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fedmce.models import MultimodalNet, components, load_state, select, state_of, trained_rows
from fedmce.models.components import component_of, modality_of
from tests.oracles.worlds import lively, rows_of, small_spec


def names_of(**changes: bool | str) -> list[str]:
    return components(state_of(MultimodalNet(small_spec(2, **changes))))


def test_a_network_consists_of_its_named_components() -> None:
    each = ["completion", "encoder", "head", "projection"]
    assert names_of() == sorted([*(f"{part}.{m}" for part in each for m in "ab"), "fusion"])
    assert names_of(fusion="concat", heads=False, completion=False) == [
        "encoder.a",
        "encoder.b",
        "fusion",
        "projection.a",
        "projection.b",
    ]
    assert names_of(fusion="mean", heads=False, completion=False) == ["encoder.a", "encoder.b", "fusion"]


def test_names_of_components_and_their_modalities() -> None:
    assert component_of("encoder.audio/out.weight") == "encoder.audio"
    assert component_of("fusion/out.bias") == "fusion"
    assert modality_of("encoder.audio") == "audio"
    assert modality_of("fusion") is None


@pytest.mark.parametrize("fusion", ["additive", "concat", "late", "mean", "residual", "transformer"])
def test_a_state_put_into_another_network_comes_out_bit_by_bit(fusion: str) -> None:
    first, second = (lively(MultimodalNet(small_spec(3, fusion)), seed) for seed in (1, 2))
    state = state_of(first)
    assert all(value.dtype == np.float32 for value in state.values())
    load_state(second, state)
    again = state_of(second)
    assert again.keys() == state.keys()
    assert all(np.array_equal(again[key], state[key]) for key in state)


def test_a_state_is_a_copy() -> None:
    net = MultimodalNet(small_spec(2))
    state = state_of(net)
    before = {key: value.copy() for key, value in state.items()}
    lively(net)
    assert all(np.array_equal(state[key], before[key]) for key in state)
    load_state(net, state)
    with torch.no_grad():
        net.fusion.bias.add_(1)
    assert np.array_equal(state["fusion/bias"], before["fusion/bias"])


def test_a_state_of_other_keys_or_shapes_is_refused() -> None:
    net = MultimodalNet(small_spec(2))
    state = state_of(net)
    with pytest.raises(RuntimeError, match="Missing key"):
        load_state(net, {key: value for key, value in state.items() if key != "fusion/bias"})
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_state(net, state | {"fusion/bias": np.zeros(99, np.float32)})


def test_the_parts_selected_from_a_state_make_it_whole_again() -> None:
    state = state_of(MultimodalNet(small_spec(3)))
    names = components(state)
    parts = [select(state, [name]) for name in names]
    assert sum(len(part) for part in parts) == len(state)
    assert {key for part in parts for key in part} == set(state)
    assert components(select(state, ["encoder.a", "fusion"])) == ["encoder.a", "fusion"]


def test_rows_that_can_train_a_component() -> None:
    available = rows_of([1, 1, 3, 7, 4, 2], 3)
    wanted = ["encoder.a", "projection.b", "head.c", "completion.a", "completion.b", "completion.c", "fusion"]
    assert trained_rows(available, ("a", "b", "c"), wanted) == {
        "encoder.a": 4,
        "projection.b": 3,
        "head.c": 2,
        "completion.a": 2,
        "completion.b": 2,
        "completion.c": 1,
        "fusion": 6,
    }


def test_a_further_modality_moves_no_initial_value_of_the_others() -> None:
    smaller, larger = (state_of(MultimodalNet(small_spec(n, "mean", completion=False), seed=3)) for n in (2, 3))
    assert set(smaller) < set(larger)
    assert all(np.array_equal(smaller[key], larger[key]) for key in smaller)


def test_what_a_site_holds_moves_no_initial_value_and_the_seed_moves_all() -> None:
    whole, part = state_of(MultimodalNet(small_spec(3), seed=3)), state_of(MultimodalNet(small_spec(3), ["c"], seed=3))
    assert {"encoder.c", "fusion"} < set(components(part))
    assert not {"encoder.a", "head.b"} & set(components(part))
    assert all(np.array_equal(part[key], whole[key]) for key in part)
    other = state_of(MultimodalNet(small_spec(3), seed=4))
    assert not any(np.array_equal(other[key], whole[key]) for key in whole if whole[key].any())


def test_building_a_network_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    MultimodalNet(small_spec(3, "transformer"))
    assert torch.equal(torch.rand(3), expected)
