"""Sites that fail in mid-run, sites without training rows, sites that answer nonsense."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Context

import client.app
from client.app import app as honest_app
from fedmce.data import FederatedDataset
from fedmce.errors import RunError
from fedmce.flower_compat import Message, array_record, arrays_of
from fedmce.record import read_record
from tests.journeys.runs import model_bytes, result, rounds, run
from tests.server.made import SITES, made_config, made_dataset, made_site, use

Trouble = Callable[[Message], Any]


def trouble_at(patch: pytest.MonkeyPatch, site: str, in_round: int, trouble: Trouble) -> None:
    """Let one site's app meet ``trouble(reply)`` in one round of training."""

    def call(message: Message, context: Context) -> Message:
        order = message.content["order"]
        reply = honest_app(message, context)
        if order["train"] and (order["site"], order["round"]) == (site, in_round):
            trouble(reply)
        return reply

    patch.setattr(client.app, "app", call)


def fail(reply: Message) -> None:
    raise OSError("the disk is full")


def poison(reply: Message) -> None:
    update = arrays_of(reply.content["update"])
    update["fusion/out.bias"][:] = math.nan
    reply.content["update"] = array_record(update)


@pytest.mark.parametrize("site", sorted(SITES))
def test_a_site_that_raises_is_set_aside_and_the_run_finishes(
    made: FederatedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: str
) -> None:
    trouble_at(monkeypatch, site, 2, fail)
    run(made_config(rounds=4), tmp_path)
    verdicts = [{s: e["verdict"] for s, e in row["sites"].items()} for row in rounds(tmp_path)]
    honest = dict.fromkeys(sorted(SITES), "accepted")
    others = {name: "accepted" for name in honest if name != site}
    assert verdicts == [honest, honest | {site: "site_error"}, others, honest]  # it sits out one round
    assert [row["benched"] for row in rounds(tmp_path)][2] == {site: 3}
    (refused,) = result(tmp_path)["refused"]
    assert (refused["round"], refused["site"], refused["reason"]) == (2, site, "site_error")
    assert "the disk is full" not in str(read_record(tmp_path))  # what a site says of its errors stays there
    asked = rounds(tmp_path)[1]["sites"][site]
    assert asked["bytes_down"] > 0
    assert asked["bytes_up"] == 0
    assert all(site not in by_site for by_site in rounds(tmp_path)[1]["weights"].values())


def test_a_poisoned_run_is_the_run_in_which_the_site_failed(
    made: FederatedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble_at(monkeypatch, "cedar", 1, fail)
    failed = run(made_config(), tmp_path / "failed")
    trouble_at(monkeypatch, "cedar", 1, poison)
    poisoned = run(made_config(), tmp_path / "poisoned")
    monkeypatch.setattr(client.app, "app", honest_app)
    whole = run(made_config(), tmp_path / "whole")
    assert model_bytes(poisoned) == model_bytes(failed) != model_bytes(whole)
    assert result(poisoned)["metrics"] == result(failed)["metrics"]
    assert [r["reason"] for r in result(poisoned)["refused"]] == ["nonfinite"]


def test_a_void_round_is_recorded_and_the_run_goes_on(
    made: FederatedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(message: Message, context: Context) -> Message:
        if message.content["order"]["round"] == 1:
            raise OSError("no power anywhere")
        return honest_app(message, context)

    monkeypatch.setattr(client.app, "app", call)
    run(made_config(rounds=3), tmp_path)
    assert [row["void"] for row in rounds(tmp_path)] == [True, False, False]
    tests = [r for r in read_record(tmp_path) if r["event"] == "evaluation" and r["split"] == "test"]
    assert tests[0]["per_subset"] == tests[1]["per_subset"] != tests[3]["per_subset"]


def test_a_run_in_which_no_site_ever_answers_still_says_so(
    made: FederatedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(message: Message, context: Context) -> Message:
        if message.content["order"]["round"] > 0:
            raise OSError("no power anywhere")
        return honest_app(message, context)

    monkeypatch.setattr(client.app, "app", call)
    run(made_config(), tmp_path)
    found = result(tmp_path)
    assert all(row["void"] for row in rounds(tmp_path))
    assert found["metrics"]["validation"] is None
    # All four in the first round; in the second the one that is called back from the bench.
    assert [entry["round"] for entry in found["refused"]] == [1, 1, 1, 1, 2]
    assert found["weights"] == {}


def test_a_site_without_training_rows_is_tested_but_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    elm = made_site("elm", {"train": 0, "validation": 0, "test": 12})
    use(monkeypatch, made_dataset(*(made_site(name) for name in SITES), elm))
    run(made_config(), tmp_path)
    found = result(tmp_path)
    assert found["sites"] == sorted(SITES)
    assert all(set(row["sites"]) == set(SITES) for row in rounds(tmp_path))
    assert found["metrics"]["per_site"]["elm"]["image+sound+blood"] is not None
    assert found["metrics"]["rows"]["image+sound"] == 10 * len(SITES) + 12
    with_elm = model_bytes(tmp_path)
    use(monkeypatch, made_dataset())
    assert model_bytes(run(made_config(), tmp_path / "without")) == with_elm


def test_a_site_without_validation_or_test_rows_takes_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    elm = made_site("elm", {"train": 9, "validation": 0, "test": 0})
    use(monkeypatch, made_dataset(made_site("ash"), elm))
    run(made_config(missingness={"name": "natural"}), tmp_path)
    assert result(tmp_path)["refused"] == []
    assert "elm" not in result(tmp_path)["metrics"]["per_site"]
    assert rounds(tmp_path)[0]["weights"]["fusion"]["elm"] > 0


def test_a_federation_of_one_site_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, made_dataset(made_site("ash")))
    run(made_config(missingness={"name": "natural"}), tmp_path)
    assert result(tmp_path)["weights"]["fusion"] == {"ash": 1.0}


def test_a_site_with_one_row_takes_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    elm = made_site("elm", {"train": 1, "validation": 1, "test": 1})
    use(monkeypatch, made_dataset(made_site("ash"), elm))
    run(made_config(missingness={"name": "natural"}), tmp_path)
    assert result(tmp_path)["refused"] == []


def test_a_run_that_fails_closes_its_record_and_leaves_no_result(
    made: FederatedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.app, "app", lambda message, context: fail(message))
    with pytest.raises(RunError, match="profile round: 4 x a node failed: code 2"):
        run(made_config(), tmp_path)
    end = read_record(tmp_path)[-1]
    assert (end["event"], end["status"], end["rounds_done"]) == ("end", "failed", 0)
    assert "a node failed" in end["reason"]
    assert not (tmp_path / "result.json").exists()
    assert not (tmp_path / "model.safetensors").exists()


def test_an_interruption_closes_the_record_after_the_rounds_that_are_done(
    made: FederatedDataset, tmp_path: Path
) -> None:
    from simulations import engines

    def stop(row: dict[str, Any]) -> None:
        if row["event"] == "round" and row["round"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engines.run(made_config(rounds=5), tmp_path, stop)
    end = read_record(tmp_path)[-1]
    assert (end["status"], end["rounds_done"], end["reason"]) == ("interrupted", 2, "")
    assert not (tmp_path / "result.json").exists()
    whole = run(made_config(rounds=1), tmp_path / "next")
    assert (whole / "result.json").exists()
