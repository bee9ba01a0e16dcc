"""What a site keeps, says and answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Context

from client.app import app
from client.profile import profile
from client.rounds import answer
from client.workplace import open_workplace, site_name
from fedmce.data import FederatedDataset
from fedmce.errors import ConfigError
from fedmce.flower_compat import ConfigRecord, Message, RecordDict, array_record, identity
from fedmce.missingness import draw_masks
from fedmce.models import MultimodalNet, Statistics, component_of, modality_of, state_of
from fedmce.training import pick_device
from fedmce.wire import Order
from tests.server.made import CLASSES, MODALITIES, SITES, made_config, same_bits, with_garbage

SCALES = {m.name: Statistics(np.zeros(m.statistics_shape, "f4"), np.ones(m.statistics_shape, "f4")) for m in MODALITIES}


def part_for(place: Any, held: tuple[str, ...]) -> dict[str, Any]:
    whole = state_of(MultimodalNet(place.spec, seed=1))
    return {k: v for k, v in whole.items() if (modality_of(component_of(k)) or held[0]) in held}


def order_for(place: Any, held: tuple[str, ...], **changes: Any) -> Order:
    fields = {"round": 1, "train": True, "site": place.site, "config": place.config.to_json(), "modalities": held}
    return Order(**fields | {"all_rows": 96, "all_rows_by_modality": (70, 70, 80)} | changes)


def answered(place: Any, held: tuple[str, ...], **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    order = order_for(place, held, **changes)
    said = answer(place, order, part_for(place, held), {m: SCALES[m] for m in held}, RecordDict())
    return said.numbers, said.trained


def test_the_full_rows_are_not_kept(made: FederatedDataset) -> None:
    """No array of a workplace shares memory with the data set, and none is as large as the hidden part."""
    place = open_workplace(made_config().to_json(), "birch")
    assert place.train.values["sound"].shape[0] == 0
    assert place.validation.values["sound"].shape[0] == 0
    for rows in (place.train, place.validation):
        for name, values in rows.values.items():
            assert not np.shares_memory(values, made.sites["birch"].features[name])
            assert not np.isnan(values).all(axis=tuple(range(1, values.ndim))).any()
    fields = {k for k, v in vars(place).items() if isinstance(v, np.ndarray)}
    assert fields == set()


def test_rows_are_those_of_the_mask(made: FederatedDataset) -> None:
    config = made_config()
    masks = draw_masks(made, config.missingness, config.seed)
    for site in SITES:
        place = open_workplace(config.to_json(), site)
        train = made.sites[site].split == "train"
        assert (place.train.available == masks.sites[site].available[train]).all()
        assert not set(place.train.sample_ids) & set(place.validation.sample_ids)


def test_an_unknown_site_is_refused_with_the_known_ones(made: FederatedDataset) -> None:
    with pytest.raises(ConfigError, match=r"site 'elm': not in .*dale, ash, cedar, birch"):
        open_workplace(made_config().to_json(), "elm")


def test_a_node_is_its_own_word_or_its_place_in_the_list(made: FederatedDataset) -> None:
    config = made_config(sites=("birch", "ash"))
    assert site_name(config, {"partition-id": 0, "num-partitions": 2}) == "birch"
    assert site_name(config, {"partition-id": 1, "num-partitions": 2}) == "ash"
    assert site_name(config, {"partition-id": 0, "num-partitions": 2, "site": "cedar"}) == "cedar"
    assert [site_name(made_config(), {"partition-id": p, "num-partitions": 4}) for p in range(4)] == list(SITES)


def test_another_number_of_nodes_than_sites_is_refused(made: FederatedDataset) -> None:
    with pytest.raises(ConfigError, match=r"2 nodes for 4 sites .*start one node per site"):
        site_name(made_config(), {"partition-id": 0, "num-partitions": 2})


def test_a_device_that_is_not_there_is_refused() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="torch sees no CUDA device"):
            pick_device("cuda:0")


def test_the_profile_is_counts_and_sums_only(made: FederatedDataset) -> None:
    place = open_workplace(made_config().to_json(), "cedar")
    numbers, sums = profile(place)
    assert numbers["rows"] == 24
    assert numbers["rows_by_modality"] == [12, 24, 24]
    assert sum(numbers["train.pattern_rows"]) == 24  # type: ignore[arg-type]
    assert numbers["class_rows"] == np.bincount(place.train.targets, minlength=len(CLASSES)).tolist()
    for m in MODALITIES:
        assert sums[f"{m.name}/total"].shape == m.statistics_shape
    holes = np.isnan(place.train.values["blood"]).sum()
    assert holes > 0
    assert sums["blood/count"].sum() == 24 * 3 - holes


@pytest.mark.parametrize(("site", "held"), [("birch", ("image", "blood")), ("dale", ("sound", "blood"))])
def test_a_site_answers_with_what_it_was_given_and_nothing_else(
    made: FederatedDataset, site: str, held: tuple[str, ...]
) -> None:
    place = open_workplace(made_config().to_json(), site)
    numbers, trained = answered(place, held)
    given = part_for(place, held)
    assert set(trained) == set(given)
    assert all(trained[k].dtype == np.float32 and trained[k].shape == given[k].shape for k in given)
    changed = {component_of(k) for k in given if trained[k].tobytes() != given[k].tobytes()}
    assert changed == {component_of(k) for k in given}
    assert {k.removeprefix("rows.") for k in numbers if k.startswith("rows.")} == changed


def test_the_answer_depends_on_the_order_alone(made: FederatedDataset) -> None:
    """Not on what the site did before: it may be a process that just started."""
    config, held = made_config().to_json(), ("image", "sound", "blood")
    fresh = answered(open_workplace(config, "cedar"), held, round=2)
    place = open_workplace(config, "cedar")
    for number in (1, 5, 2):
        numbers, trained = answered(place, held, round=number)
    assert same_bits(trained, fresh[1])
    clock = {"train_s", "evaluate_s"}
    assert {k: v for k, v in numbers.items() if k not in clock} == {k: v for k, v in fresh[0].items() if k not in clock}
    open_workplace.cache_clear()
    assert same_bits(answered(open_workplace(config, "cedar"), held, round=2)[1], fresh[1])
    assert not same_bits(answered(place, held, round=3)[1], fresh[1])


def test_an_order_to_score_trains_nothing(made: FederatedDataset) -> None:
    place, held = open_workplace(made_config().to_json(), "ash"), ("image", "sound", "blood")
    scored, nothing = answered(place, held, train=False)
    assert nothing == {}
    trained, _ = answered(place, held)
    assert not any(key.startswith(("rows.", "loss.")) for key in scored)
    same = [key for key in scored if key.startswith(("value.", "score."))]
    assert same
    assert all(scored[key] == trained[key] for key in same)


def test_received_arrays_are_not_written_to(made: FederatedDataset) -> None:
    place, held = open_workplace(made_config().to_json(), "ash"), ("image", "sound", "blood")
    given = part_for(place, held)
    before = {k: v.copy() for k, v in given.items()}
    for value in given.values():
        value.flags.writeable = False
    answer(place, order_for(place, held), given, SCALES, RecordDict())
    assert same_bits(given, before)


def test_hidden_values_do_not_reach_the_workplace(made: FederatedDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.server.made import made_dataset, use

    config = made_config()
    plain = open_workplace(config.to_json(), "cedar").train
    use(monkeypatch, with_garbage(made_dataset(), config, lambda n: np.full(n, 1e6, np.float32)))
    spoilt = open_workplace(config.to_json(), "cedar").train
    assert same_bits(plain.values, spoilt.values)
    assert max(float(np.nanmax(np.abs(v))) for v in spoilt.values.values()) < 1e3


@pytest.fixture
def sent(made: FederatedDataset) -> Iterator[Any]:
    """A function that asks node 0 (dale) and returns its reply."""

    def ask(order: Order, held: tuple[str, ...] = ("sound", "blood")) -> Message:
        place = open_workplace(made_config().to_json(), "dale")
        scales = {f"{m}/{p}": getattr(SCALES[m], p) for m in order.modalities for p in ("mean", "std")}
        records = {
            "order": ConfigRecord(order.to_record()),  # type: ignore[arg-type]
            "model": array_record(part_for(place, held)),
            "statistics": array_record(scales),
        }
        node = {"partition-id": 0, "num-partitions": 4}
        context = Context(run_id=1, node_id=1, node_config=node, state=RecordDict(), run_config={})
        message = Message(RecordDict(records), 1, "train" if order.train else "evaluate")
        return app(message, context)

    with identity(1):
        yield ask


def test_an_order_for_another_site_is_refused(sent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    place = open_workplace(made_config().to_json(), "dale")
    reply = sent(order_for(place, ("sound", "blood"), site="ash"))
    assert reply.error.reason == "plan_refused"
    assert "order for site 'ash' reached site 'dale'" in capsys.readouterr().err


def test_components_that_do_not_fit_the_order_are_refused(sent: Any) -> None:
    place = open_workplace(made_config().to_json(), "dale")
    reply = sent(order_for(place, ("image", "sound", "blood")), ("sound", "blood"))
    assert reply.error.reason in ("internal", "plan_refused")
    assert not reply.has_content()


def test_a_reply_is_stamped_with_what_it_answers(sent: Any) -> None:
    place = open_workplace(made_config().to_json(), "dale")
    reply = sent(order_for(place, ("sound", "blood"), base="abc", round=7, train=False))
    stamp = reply.content["stamp"]
    assert (stamp["site"], stamp["round"], stamp["base"], stamp["schema"]) == ("dale", 7, "abc", "fedmce.wire/1")
    assert set(reply.content) == {"report", "stamp"}
