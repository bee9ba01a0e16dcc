"""Test rows at a site: scored with what the site ends with, after fine-tuning where it is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import client.tested
from client.keeping import Keeping
from client.rounds import answer
from client.workplace import open_workplace
from fedmce.data import FederatedDataset
from fedmce.flower_compat import RecordDict, array_record
from fedmce.models import MultimodalNet, component_of, state_of
from tests.client.test_site import SCALES, order_for
from tests.server.made import made_config, same_bits

ALL = ("image", "sound", "blood")


def place_of(**changes: Any) -> Any:
    return open_workplace(made_config("finetuned", **changes).to_json(), "cedar")


def numbers_of(place: Any, model: dict[str, Any], memory: RecordDict | None = None) -> dict[str, Any]:
    order = order_for(place, ALL, train=False, test=True, round=2)
    said = answer(place, order, model, SCALES, memory or RecordDict())
    assert said.trained == said.told == {}
    return {key: value for key, value in said.numbers.items() if key != "evaluate_s"}


@pytest.fixture
def finetuned_state(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is scored, caught on its way."""
    caught: dict[str, Any] = {}
    predict = client.tested.predict_own

    def watch(net: MultimodalNet, *rest: Any) -> Any:
        caught.update(state_of(net))
        assert all(p.requires_grad for p in net.parameters())
        return predict(net, *rest)

    monkeypatch.setattr(client.tested, "predict_own", watch)
    return caught


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_fine_tuning_moves_heads_and_fusion_and_nothing_else(
    made: FederatedDataset, finetuned_state: dict[str, Any], decay: float
) -> None:
    """With weight decay too, which moves what has a gradient of zero instead of none."""
    place = place_of(training__weight_decay=decay)
    model = state_of(MultimodalNet(place.spec, seed=1))
    numbers_of(place, model)
    moved = {component_of(k) for k in model if not np.array_equal(model[k], finetuned_state[k])}
    assert moved == {"fusion", *(f"head.{name}" for name in ALL)}


def test_fine_tuning_helps_on_the_rows_that_it_saw_and_leaves_no_trace(made: FederatedDataset) -> None:
    place, memory = place_of(aggregation__finetune_epochs=20), RecordDict()
    model = state_of(MultimodalNet(place.spec, seed=1))
    before = {k: v.copy() for k, v in model.items()}
    first = numbers_of(place, model, memory)
    assert numbers_of(place, model, memory) == first
    assert not memory.array_records
    assert same_bits(model, before)
    plain = numbers_of(place_of(aggregation__finetune_epochs=1, training__lr=1e-12), model)
    hits = [sum(numbers["score.accuracy.total"]) for numbers in (plain, first)]
    assert hits[1] > hits[0]


def test_a_site_ends_with_its_own_parts_and_what_the_server_gives(made: FederatedDataset) -> None:
    place = open_workplace(made_config("private_head").to_json(), "cedar")
    state = state_of(MultimodalNet(place.spec, seed=1))
    own = {k: v + 1 for k, v in state.items() if k.startswith("head.") and not k.startswith("head.sound")}
    memory = RecordDict({"private": array_record(own)})
    given = {k: v for k, v in state.items() if not k.startswith("head.")}
    whole, usable = Keeping(memory).as_it_ends(given, place, 2)
    assert usable == ("image", "blood")  # no head of its own for sound, so sound is lost
    assert {component_of(k).partition(".")[2] for k in whole} == {"", "image", "blood"}
    assert all(np.array_equal(whole[k], own[k]) for k in own)
