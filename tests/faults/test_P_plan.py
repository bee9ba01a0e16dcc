"""P09, P10, P11, K09: a site refuses a server that asks for more than it agreed to; plan_refused and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedmce.config.agreement import check_against
from fedmce.errors import ConfigError, NetworkError, RunError, StoppedError
from fedmce.flower_compat import ArrayRecord, ConfigRecord, Message
from fedmce.privacy import read_ledger
from fedmce.wire import MODEL, ORDER, STATISTICS
from tests.faults.scripted import Act, ScriptedGrid, play
from tests.folders.made import exported
from tests.journeys.runs import rounds
from tests.privacy.made import Dump, at_sites, floored_config, floored_dataset, quiet, run_recorded
from tests.server.made import use


def refused_in(dump: Dump, site: str) -> list[tuple[str, int]]:
    """Kind and round of the messages that the site refused."""
    errors = [(said.kind, said.round, said.error) for said in dump.grid.of(site) if said.error]
    assert {error for *_, error in errors} <= {"plan_refused"}, "a code and nothing of the reason"
    return [(kind, number) for kind, number, _ in errors]


def order_of(message: Message) -> dict[str, Any]:
    return dict(message.content.config_records[ORDER])


def with_order(message: Message, **changes: Any) -> None:
    message.content[ORDER] = ConfigRecord(order_of(message) | changes)


def with_config(message: Message, change: Callable[[dict[str, Any]], None]) -> None:
    tree = json.loads(order_of(message)["config"])
    change(tree)
    with_order(message, config=json.dumps(tree, sort_keys=True, separators=(",", ":")))


def test_P09_components_of_a_modality_that_the_site_did_not_offer_are_refused(tmp_path: Path) -> None:
    """dale has 7 rows with images, fewer than it tells; the server asks it to train encoder.image all the same."""
    kept: dict[str, dict[str, ArrayRecord]] = {}

    def greedy(site: str, message: Message) -> None:
        if message.metadata.message_type != "train":
            return
        if site == "ash":
            kept["ash"] = {name: message.content.array_records[name] for name in (MODEL, STATISTICS)}
        if site == "dale":
            for name in (MODEL, STATISTICS):
                message.content[name] = kept["ash"][name]
            with_order(message, modalities=["image", "sound", "blood"])

    dump = run_recorded(floored_config(rounds=1), floored_dataset(), tmp_path, greedy)
    assert refused_in(dump, "dale") == [("train", 1)]
    assert refused_in(dump, "ash") == []
    assert all(line["kind"] != "train" for line in read_ledger(dump.homes / "dale" / "ledger.jsonl"))
    verdicts = [row["sites"]["dale"]["verdict"] for row in rounds(dump.folder)]
    assert verdicts == ["site_error"]
    log = (dump.homes / "dale" / "log" / "site.log").read_text()
    assert "asked for image; the profile offered sound, blood" in log, "the site's own log says what was asked"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("floors lowered", lambda tree: tree["privacy"].update(k_min=1)),
        ("all floors gone", lambda tree: tree.update(privacy=json.loads(quiet().model_construct().model_dump_json()))),
        ("other training", lambda tree: tree["training"].update(local_epochs=50)),
        ("more rounds", lambda tree: tree.update(rounds=1000)),
    ],
)
def test_P10_a_plan_that_changes_in_mid_run_is_refused(
    tmp_path: Path, name: str, change: Callable[[dict[str, Any]], None]
) -> None:
    def lowering(site: str, message: Message) -> None:
        if site == "cedar" and message.metadata.group_id == "2":
            with_config(message, change)

    dump = run_recorded(floored_config(), floored_dataset(), tmp_path, lowering)
    assert {number for _, number in refused_in(dump, "cedar")} == {2}, name
    assert [kind for kind, _ in refused_in(dump, "cedar")].count("train") == 1
    assert not [line for line in read_ledger(dump.homes / "cedar" / "ledger.jsonl") if line["round"] == 2]


def test_P10_the_digest_in_the_kit_pins_the_plan_from_the_first_message_on(tmp_path: Path) -> None:
    from client.policy import admit
    from fedmce.errors import PlanRefusedError
    from fedmce.flower_compat import RecordDict
    from fedmce.kits.digest import plan_digest
    from fedmce.wire import Order

    config = floored_config()
    order = Order(round=0, train=False, site="", config=config.to_json())
    admit(order, {"plan": plan_digest(config)}, RecordDict())
    lower = config.model_copy(update={"privacy": quiet(k_min=5)})
    with pytest.raises(PlanRefusedError, match="the kit was made for"):
        admit(order, {"plan": plan_digest(lower)}, RecordDict())


@pytest.mark.parametrize("asked", [1, 0])
def test_P11_a_site_that_is_asked_alone_does_not_answer(tmp_path: Path, asked: int) -> None:
    def alone(site: str, message: Message) -> None:
        if site == "birch" and message.metadata.group_id == "1":
            with_order(message, asked=asked)

    dump = run_recorded(floored_config(rounds=4), floored_dataset(), tmp_path, alone)
    assert {number for _, number in refused_in(dump, "birch")} == {1}
    assert [said.round for said in dump.grid.of("birch", "train") if not said.error], "it comes back from the bench"


def test_P11_the_server_asks_nobody_where_too_few_could_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three sites that must be asked together two stay away: no message goes out, and nobody is taken for failing."""
    dataset, grids = floored_dataset(), list[ScriptedGrid]()

    def leaving(site: str, number: int, kind: str) -> Act:
        if site == list(dataset.sites)[-1]:  # all have said what they hold
            for name in ("ash", "birch"):
                grids[0].site(name).online = False
        return Act()

    use(monkeypatch, dataset)
    config = floored_config(quiet(min_asked=3), exchange__wait_sites_s=5.0, exchange__void_limit=2)
    played = play(config, dataset, tmp_path, leaving, prepare=grids.append)
    assert isinstance(played.error, StoppedError)
    assert [kind for _, _, kind in played.grid.asked if kind == "train"] == []
    assert [row["asked"] for row in played.rounds] == [[], []]
    assert all(row["void"] for row in played.rounds)
    assert not any(row["benched"] or row["suspect"] for row in played.rounds)


def test_P11_a_plan_that_asks_for_more_sites_than_there_are_is_refused(tmp_path: Path) -> None:
    config = floored_config(quiet(min_asked=5))
    with pytest.raises(ConfigError, match=r"privacy\.min_asked: given 5, with 4 sites") as refused:
        check_against(config, floored_dataset())
    assert refused.value.exit_code == 2
    with pytest.raises(ConfigError, match=r"privacy\.min_asked: given 5, with 4 sites"):
        at_sites(config, exported(tmp_path / "sites", floored_dataset()))


def release(site: str, **keys: Any) -> Callable[[Path], None]:
    def prepare(path: Path) -> None:
        file = path / site / "site.yaml"
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"release": keys}))

    return prepare


@pytest.mark.parametrize(
    "keys",
    [
        {"k_min": 20},
        {"count_step": 10},
        {"min_rows": 64},
        {"min_steps": 9},
        {"min_batch": 16},
        {"claim_decimals": 1},
        {"metric_digits": 2},
        {"metric_rows": 50},
        {"min_asked": 3},
        {"site_noise": "dense"},
        {"site_noise": "all", "noise_sd": 0.1},
    ],
    ids=lambda keys: "+".join(keys),
)
def test_K09_a_site_floor_above_the_plan_is_refused_before_round_1(tmp_path: Path, keys: dict[str, Any]) -> None:
    dump = run_recorded(floored_config(), floored_dataset(), tmp_path, prepare=release("birch", **keys))
    assert refused_in(dump, "birch") == [("query.profile", 0)]
    assert isinstance(dump.error, RunError | NetworkError)
    assert "plan_refused" in str(dump.error)
    assert not [said for said in dump.grid.said if said.kind == "train"]
    log = (dump.homes / "birch" / "log" / "site.log").read_text()
    assert "below the floors of this site" in log
    assert all(f"{key}: " in log for key in keys), "the site's log names the keys"


def test_K09_a_simulation_on_folders_names_site_and_key(tmp_path: Path) -> None:
    from fedmce.config.schema import FoldersConfig, RunConfig
    from fedmce.folders.plan import planned

    path = exported(tmp_path / "sites", floored_dataset())
    release("birch", k_min=20, min_rows=10)(path)
    tree = floored_config().model_dump() | {"dataset": FoldersConfig(path=str(path)).model_dump()}
    with pytest.raises(ConfigError, match=r"site birch: k_min: 10 in the plan, 20 at the site\.") as refused:
        planned(RunConfig.model_validate(tree))
    assert refused.value.exit_code == 2
    assert "min_rows" not in str(refused.value), "a floor of the site below the plan's is no reason"


@pytest.mark.parametrize("keys", [{"k_min": 5}, {"min_rows": 32, "noise_sd": 0.5}, {"single_holder": "freeze"}])
def test_K09_a_site_with_weaker_or_equal_floors_takes_part(tmp_path: Path, keys: dict[str, Any]) -> None:
    dump = run_recorded(floored_config(rounds=1), floored_dataset(), tmp_path, prepare=release("birch", **keys))
    assert dump.error is None
    assert refused_in(dump, "birch") == []
