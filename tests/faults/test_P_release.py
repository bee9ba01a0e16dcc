"""P01, P02, P08, P14, P16, P18: which components leave a site, and what the site notes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from torch import nn

import client.rounds
from fedmce.flower_compat import arrays_of
from fedmce.models import State, component_of
from fedmce.privacy import Behind, first_layer, held_back, read_ledger
from fedmce.record import read_record
from fedmce.wire import MODEL, ORDER, REPORT, UPDATE, digest
from tests.journeys.runs import rounds
from tests.privacy.made import (
    Dump,
    Said,
    floored_config,
    floored_dataset,
    floors,
    quiet,
    run_recorded,
    single_holder_dataset,
)

SOUND = ("completion.sound", "encoder.sound", "head.sound", "projection.sound")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, State]]:
    """What every local training ended with, before floors: site, round, components."""
    seen: list[tuple[str, int, State]] = []
    whole = client.rounds.release

    def spy(place: Any, order: Any, policy: Any, received: State, after: State, *rest: Any) -> Any:
        seen.append((place.site, order.round, dict(after)))
        return whole(place, order, policy, received, after, *rest)

    monkeypatch.setattr(client.rounds, "release", spy)
    return seen


def update_of(said: Said) -> State:
    return arrays_of(said.up.content.array_records[UPDATE])


def received_by(said: Said) -> State:
    return arrays_of(said.down.content.array_records[MODEL])


def held_in(dump: Dump, site: str) -> dict[str, list[str]]:
    """Reasons per component, from the site's ledger of round 1."""
    lines = [line for line in read_ledger(dump.homes / site / "ledger.jsonl") if line["kind"] == "train"]
    return {block["component"]: block["held_back"] for block in lines[0]["blocks"] if block["held_back"]}


def test_P01_a_block_of_few_rows_is_not_in_the_bytes_of_the_reply(
    tmp_path: Path, trained: list[tuple[str, int, State]]
) -> None:
    dump = run_recorded(floored_config(), floored_dataset(), tmp_path)
    assert dump.error is None
    replies = {(said.site, said.round): said for said in dump.grid.said if said.kind == "train"}
    hidden = sent = 0
    for site, number, state in trained:
        said = replies[site, number]
        reply, before, after = said.bytes_up, received_by(said), update_of(said)
        assert after.keys() == state.keys(), "the reply has the same layout whatever is held back"
        for key, value in state.items():
            if np.array_equal(value, before[key]):
                continue  # no step moved it
            if site == "cedar" and component_of(key) in SOUND:
                hidden += 1
                assert value.tobytes() not in reply, key
                assert after[key].tobytes() == before[key].tobytes(), key
                assert said.report[f"rows.{component_of(key)}"] == 0
            else:
                sent += 1
                assert value.tobytes() in reply, key
    assert hidden >= 2 * len(SOUND)
    assert sent > hidden
    assert {component: why[0] for component, why in held_in(dump, "cedar").items()} == dict.fromkeys(SOUND, "rows")
    (first, _) = rounds(dump.folder)
    assert first["sites"]["cedar"]["verdict"] == "accepted"
    assert all("cedar" not in first["weights"][component] for component in SOUND)
    assert "cedar" in first["weights"]["fusion"]


def test_P01_dense_first_layers_need_more_rows_unless_noise_is_added(tmp_path: Path) -> None:
    few = floored_dataset().sites["cedar"]  # 163 rows of blood, whose encoder is dense on raw inputs
    assert few.available[:, 2].any()
    config = floored_config(quiet(min_rows_dense=200))
    dump = run_recorded(config, floored_dataset(), tmp_path / "quiet")
    assert all(held_in(dump, site)["encoder.blood"] == ["rows"] for site in ("ash", "birch", "cedar", "dale"))
    noised = run_recorded(floored_config(floors(min_rows_dense=200)), floored_dataset(), tmp_path / "noised")
    assert all("encoder.blood" not in held_in(noised, site) for site in ("ash", "birch", "cedar", "dale"))


@pytest.mark.parametrize(
    ("training", "reason"),
    [
        ({"training__batch_size": 4}, "batch"),
        ({"training__batch_size": 40}, "steps"),
    ],
    ids=["batches below 8", "fewer than 8 steps"],
)
def test_P02_short_and_small_trainings_are_held_back_and_the_run_goes_on(
    tmp_path: Path, training: dict[str, Any], reason: str
) -> None:
    dump = run_recorded(floored_config(**training), floored_dataset(), tmp_path)
    assert dump.error is None
    assert all(reasons == [reason] or reason in reasons for reasons in held_in(dump, "ash").values())
    first, *later = (received_by(said) for said in dump.grid.of("ash", "train"))
    for said in dump.grid.of("ash", "train"):
        assert digest(update_of(said)) == digest(received_by(said))
    assert all(digest(model) == digest(first) for model in later), "nobody released anything, so the model stays"
    assert all(not row["void"] and not row["weights"] for row in rounds(dump.folder))
    assert read_record(dump.folder)[-1]["status"] == "finished"


@pytest.mark.parametrize("noise", ["none", "dense", "all"])
def test_P08_an_embedding_is_shared_with_noise_alone(noise: str) -> None:
    table = nn.Sequential(nn.Embedding(50, 8), nn.Flatten(), nn.Linear(24, 8))
    kind = first_layer(table, (3,))
    assert kind == "embedding"
    behind = Behind("encoder.codes", rows=100_000, steps=1000, batch=64, first_layer=kind)
    assert ("embedding" in held_back(behind, floors(site_noise=noise))) == (noise == "none")
    assert "embedding" in held_back(behind, floors(site_noise=noise, noise_sd=1e-6)), "noise that covers nothing"


def test_P14_a_modality_that_is_away_for_a_round_leaves_a_block_of_change_zero(tmp_path: Path) -> None:
    config = floored_config(missingness__away=0.5, rounds=4, seed=3)
    dump = run_recorded(config, floored_dataset(), tmp_path)
    assert dump.error is None
    replies = dump.grid.of("ash", "train")
    assert len({len(said.bytes_up) for said in replies}) == 1
    assert len({tuple(update_of(said)) for said in replies}) == 1
    still = 0
    for said in replies:
        before, after = received_by(said), update_of(said)
        for name in ("image", "sound", "blood"):
            keys = [key for key in after if component_of(key) == f"encoder.{name}"]
            moved = any(not np.array_equal(after[key], before[key]) for key in keys)
            assert (said.report[f"rows.encoder.{name}"] > 0) == moved
            still += not moved
    assert 0 < still < 3 * len(replies), "some were away, and not all of them always"


def test_P16_the_ledger_holds_the_digest_of_what_left(tmp_path: Path) -> None:
    dump = run_recorded(floored_config(floors()), floored_dataset(), tmp_path)
    for site in ("ash", "birch", "cedar", "dale"):
        path = dump.homes / site / "ledger.jsonl"
        assert path.stat().st_mode & 0o777 == 0o600
        lines = list(read_ledger(path))
        assert len(lines) == len(dump.grid.of(site)), "one line per reply"
        for line, said in zip(lines, dump.grid.of(site), strict=True):
            arrays = {
                key: value
                for record in said.up.content.array_records.values()
                for key, value in arrays_of(record).items()
            }
            assert line["digest"] == (digest(arrays) if arrays else "")
            assert line["base"] == dict(said.down.content.config_records[ORDER])["base"]
            assert line["told"] == {
                name: len(value) if isinstance(value, list) else 1 for name, value in sorted(said.report.items())
            }
            for block in line["blocks"]:
                part = {key: value for key, value in arrays.items() if component_of(key) == block["component"]}
                assert block["digest"] == digest(part)
                assert block["rows"] == said.report[f"rows.{block['component']}"]
                assert (block["noise_sd"] > 0) == (block["component"] == "encoder.blood" and block["rows"] > 0)
        assert json.loads(path.read_text().splitlines()[0])["kind"] == "profile"


def freeze(site: str) -> Callable[[Path], None]:
    def prepare(path: Path) -> None:
        file = path / site / "site.yaml"
        tree = yaml.safe_load(file.read_text()) | {"release": {"single_holder": "freeze"}}
        file.write_text(yaml.safe_dump(tree))

    return prepare


def test_P18_a_site_may_hold_back_what_nobody_else_has(tmp_path: Path) -> None:
    dump = run_recorded(floored_config(), single_holder_dataset(), tmp_path / "freeze", prepare=freeze("cedar"))
    assert dump.error is None
    assert held_in(dump, "cedar") == {component: ["single_holder"] for component in SOUND}
    models = [received_by(said) for said in dump.grid.of("cedar")[1:]]
    assert len({digest({k: v for k, v in m.items() if component_of(k) in SOUND}) for m in models}) == 1, "frozen"
    assert len({digest({k: v for k, v in m.items() if component_of(k) == "fusion"}) for m in models}) > 1
    shared = run_recorded(floored_config(), single_holder_dataset(), tmp_path / "accept")
    assert held_in(shared, "cedar") == {}
    blocks = [
        line["blocks"] for line in read_ledger(shared.homes / "cedar" / "ledger.jsonl") if line["kind"] == "train"
    ]
    assert {b["component"] for b in blocks[0] if b["is_single"]} == set(SOUND), (
        "the ledger says that nobody else has it"
    )
    models = [received_by(said) for said in shared.grid.of("cedar")[1:]]
    assert len({digest({k: v for k, v in m.items() if component_of(k) in SOUND}) for m in models}) > 1


def test_P18_the_server_leaves_a_single_holder_s_component_still_if_the_plan_says_so(tmp_path: Path) -> None:
    dump = run_recorded(floored_config(quiet(single_holder="freeze")), single_holder_dataset(), tmp_path)
    models = [received_by(said) for said in dump.grid.of("cedar")[1:]]
    assert len({digest({k: v for k, v in m.items() if component_of(k) in SOUND}) for m in models}) == 1
    assert all(REPORT in said.up.content.metric_records for said in dump.grid.of("cedar"))
