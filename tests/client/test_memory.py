"""Warm-up rounds, the frozen reference that a node remembers, and masks bound to positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from client.facts import REFERENCE, Start, site_facts
from client.keeping import Keeping
from client.rounds import answer, untouched
from client.workplace import open_workplace
from fedmce.data import FederatedDataset
from fedmce.flower_compat import RecordDict, arrays_of
from fedmce.models import MultimodalNet, component_of, load_state, state_of
from fedmce.training import predict_subsets, unimodal_values
from tests.client.test_site import SCALES, order_for, part_for
from tests.server.made import made_config, made_dataset, same_bits, use, with_garbage

ALL = ("image", "sound", "blood")
FROZEN = {"objective__reference": "frozen", "objective__warmup_rounds": 2}


def place_of(site: str = "cedar", **changes: Any) -> Any:
    return open_workplace(made_config(**changes).to_json(), site)


def asked(place: Any, memory: RecordDict, seed: int = 1, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    said = answer(place, order_for(place, ALL, **changes), model_of(place, seed), SCALES, memory)
    return said.numbers, said.trained


def model_of(place: Any, seed: int = 1) -> dict[str, Any]:
    return state_of(MultimodalNet(place.spec, seed=seed))


def parts(trained: dict[str, Any], received: dict[str, Any]) -> set[str]:
    """Kinds of components that moved."""
    moved = {component_of(k) for k in trained if trained[k].tobytes() != received[k].tobytes()}
    return {name.split(".")[0] for name in moved}


@pytest.mark.parametrize("round_number", [1, 2])
def test_warm_up_rounds_train_encoders_and_heads_and_leave_the_rest_bit_by_bit(
    made: FederatedDataset, round_number: int
) -> None:
    place, memory = place_of(**FROZEN), RecordDict()
    numbers, trained = asked(place, memory, round=round_number)
    assert parts(trained, model_of(place)) == {"encoder", "head"}
    assert {k for k in numbers if k.startswith("loss.")} == {"loss.unimodal"}
    still = {k.removeprefix("rows.") for k, n in numbers.items() if k.startswith("rows.") and n == 0}
    assert still == {c for c in map(component_of, trained) if c.split(".")[0] not in ("encoder", "head")}
    assert REFERENCE not in memory.array_records


def test_after_the_warm_up_everything_trains_against_a_reference_that_is_measured_once(made: FederatedDataset) -> None:
    place, memory = place_of(**FROZEN), RecordDict()
    _, trained = asked(place, memory, round=3)
    assert parts(trained, model_of(place)) == {"encoder", "head", "projection", "completion", "fusion"}
    first = arrays_of(memory.array_records[REFERENCE])["value"].copy()
    net = MultimodalNet(place.spec)
    load_state(net, model_of(place))
    train, _ = place.on_device(SCALES)
    expected = unimodal_values(predict_subsets(net, train), "accuracy")
    assert first.shape == (train.count, 3)
    assert np.array_equal(first, expected)
    # A later round, another model: the reference stays.
    asked(place, memory, seed=7, round=4)
    assert np.array_equal(arrays_of(memory.array_records[REFERENCE])["value"], first)


def test_a_node_that_lost_its_memory_fills_it_from_the_model_that_it_receives(made: FederatedDataset) -> None:
    place, memory, empty = place_of(**FROZEN), RecordDict(), RecordDict()
    asked(place, memory, round=3)
    asked(place, empty, seed=7, round=5)
    kept, again = (arrays_of(m.array_records[REFERENCE])["value"] for m in (memory, empty))
    assert kept.shape == again.shape
    assert not np.array_equal(kept, again)


def test_what_is_remembered_decides_what_is_trained(made: FederatedDataset) -> None:
    place, memory = place_of(**FROZEN, objective__rarity="off"), RecordDict()
    asked(place, memory, round=3)
    _, kept = asked(place, memory, seed=7, round=5)
    _, lost = asked(place, RecordDict(), seed=7, round=5)
    assert not same_bits(kept, lost)


def test_facts_of_a_frozen_reference_hold_a_row_of_values_per_row_of_the_site(made: FederatedDataset) -> None:
    place = place_of(**FROZEN)
    train, _ = place.on_device(SCALES)
    net = MultimodalNet(place.spec, seed=1)
    received = predict_subsets(net, train)
    late = site_facts(place, order_for(place, ALL, round=3), train, received, Keeping(RecordDict()), Start({}, {}, 0.1))
    early = site_facts(
        place, order_for(place, ALL, round=2), train, received, Keeping(RecordDict()), Start({}, {}, 0.1)
    )
    assert (late.warming, early.warming) == (False, True)
    assert late.reference is not None
    assert late.reference.shape == (train.count, 3)
    assert early.reference is None
    assert set(late.lack) == set(ALL)
    assert sum(late.class_rows) == train.count


def test_the_running_reference_leaves_no_trace_in_the_node(made: FederatedDataset) -> None:
    memory = RecordDict()
    asked(place_of(), memory, round=3)
    assert not memory.array_records


def test_untouched_components_are_those_without_a_changed_bit() -> None:
    received = {"encoder.a/w": np.ones(2), "encoder.b/w": np.ones(2), "fusion/x": np.zeros(1), "fusion/y": np.zeros(1)}
    trained = received | {"encoder.a/w": np.array([1.0, 2.0]), "fusion/y": np.ones(1)}
    assert untouched(received, trained) == ["encoder.b"]


@pytest.mark.parametrize("bind", ["row", "position"])
def test_the_rows_that_local_training_visits_are_those_that_the_binding_says(made: FederatedDataset, bind: str) -> None:
    place = place_of(missingness__bind=bind)
    train, visited = place.on_device(SCALES)[0], place.rows_to_train(SCALES)
    masked = place_of().train.available
    assert np.array_equal(train.observed.available, masked)
    if bind == "row":
        assert visited is train
    else:
        assert visited.observed.sample_ids == train.observed.sample_ids
        assert visited.observed.available[:, 0].mean() == 1.0 > masked[:, 0].mean()


def test_binding_to_positions_changes_what_is_trained_and_not_what_is_reported(made: FederatedDataset) -> None:
    by_row, rows = asked(place_of(), RecordDict())
    by_position, positions = asked(place_of(missingness__bind="position"), RecordDict())
    same = [k for k in by_row if k.startswith(("value.", "score.", "rows."))]
    assert same
    assert all(by_row[k] == by_position[k] for k in same)
    assert not same_bits(rows, positions)


@pytest.mark.parametrize("bind", ["row", "position"])
def test_hidden_values_reach_training_only_where_masks_belong_to_positions(
    made: FederatedDataset, monkeypatch: pytest.MonkeyPatch, bind: str
) -> None:
    """The leak that ``position`` is there to measure, and that ``row`` does not have."""
    config = made_config(missingness__bind=bind)
    numbers, plain = asked(place_of(missingness__bind=bind), RecordDict())
    use(monkeypatch, with_garbage(made_dataset(), config, lambda n: np.full(n, 5.0, np.float32)))
    spoilt_numbers, spoilt = asked(place_of(missingness__bind=bind), RecordDict())
    assert same_bits(plain, spoilt) == (bind == "row")
    assert all(numbers[k] == spoilt_numbers[k] for k in numbers if k.startswith(("value.", "score.")))


def test_defect_13_no_test_row_has_a_say_in_what_a_site_trains(
    made: FederatedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, plain = asked(place_of(), RecordDict())
    other = made_dataset()
    for site in other.sites.values():
        tests = site.split == "test"
        site.targets[tests] = (site.targets[tests] + 1) % 3
        for values in site.features.values():
            values[tests] = 7.0
    use(monkeypatch, other)
    place = place_of()
    assert same_bits(plain, asked(place, RecordDict())[1])
    held = {*place.train.sample_ids, *place.validation.sample_ids}
    site = other.sites["cedar"]
    assert not held & {i for i, split in zip(site.sample_ids, site.split, strict=True) if split == "test"}


@pytest.mark.parametrize("choices", [
    {"incentive": "step"}, {"incentive": "rows"}, {"capability": "shapley"}, {"capability": "published"},
    {"capability": "adaptive"}, {"train_through": 0.5}, {"completion_target": "fused_token"}, {"subsets": "sampled"},
])  # fmt: skip
def test_every_choice_trains_at_a_site_and_the_same_way_twice(made: FederatedDataset, choices: dict[str, Any]) -> None:
    place = place_of(**{f"objective__{k}": v for k, v in choices.items()})
    first, again = (asked(place, RecordDict(), round=2)[1] for _ in range(2))
    assert same_bits(first, again)
    assert all(np.isfinite(v).all() for v in first.values())
    assert not same_bits(first, model_of(place))


def test_a_site_of_one_modality_answers_under_every_reference(made: FederatedDataset) -> None:
    place, held = place_of("dale", **FROZEN), ("blood",)
    scales = {"blood": SCALES["blood"]}
    said = answer(place, order_for(place, held, round=3), part_for(place, held), scales, RecordDict())
    numbers, trained = said.numbers, said.trained
    assert all(np.isfinite(v).all() for v in trained.values())
    assert numbers["loss.subset"] == 0.0


def test_a_modality_that_is_away_in_a_round_comes_back_untouched(made: FederatedDataset) -> None:
    place = place_of("ash", missingness__away=1.0)
    away = [place.away(number, ALL) for number in range(1, 30)]
    assert all(len(names) == len(ALL) - 1 for names in away)
    assert len(set(away)) == len(ALL)
    numbers, trained = asked(place, RecordDict(), round=1)
    given = model_of(place, 1)
    for name in away[0]:
        assert numbers[f"rows.encoder.{name}"] == 0
        assert all(np.array_equal(trained[k], given[k]) for k in given if k.startswith(f"encoder.{name}/"))
    (here,) = set(ALL) - set(away[0])
    assert numbers[f"rows.encoder.{here}"] > 0
