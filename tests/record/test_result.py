"""``result.json``: made from the record alone, and the same after a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedmce.errors import DataError
from fedmce.record import RecordWriter, build_result, read_record, read_result, write_json, write_result
from fedmce.record.result import Result
from tests.record.made_record import made_record


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    result = build_result(made_record())
    path = write_result(tmp_path, result)
    assert read_result(tmp_path) == result
    assert json.loads(path.read_text())["schema"] == "fedmce.result/1"
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_a_result_is_the_same_from_the_written_record(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path)
    for row in made_record():
        writer.write(row["event"], **{key: value for key, value in row.items() if key != "event"})
    assert build_result(read_record(tmp_path)) == build_result(made_record())


def test_scores_are_the_last_ones_of_test_and_validation_rows() -> None:
    result = build_result(made_record())
    assert result.metrics.per_subset == {"image": 0.8, "audio": None, "image+audio": pytest.approx(0.9)}
    assert (result.metrics.full, result.metrics.worst_subset) == (pytest.approx(0.9), 0.8)
    assert result.metrics.validation is not None
    assert result.metrics.validation.per_subset["image"] == pytest.approx(0.6)
    assert result.contributions == {"image": 0.8, "audio": None}
    assert result.contributions_received == {"image": pytest.approx(0.6), "audio": None}
    assert result.interactions == {"image+audio": -0.8}


def test_bytes_and_seconds_add_up() -> None:
    result = build_result(made_record())
    assert result.communication.bytes_down_per_round == [30, 40, 50]
    assert result.communication.bytes_up_per_round == [40, 15, 40]
    assert result.communication.bytes_down == 120 + 2 * 5 + 2 * 100
    assert result.communication.bytes_up == 95 + 2 * 7 + 2 * 200
    assert result.timing.model_dump() == {
        "total_s": 9.5,
        "per_round_s": [1.0, 2.0, 3.0],
        "train_s": 1.5,
        "aggregate_s": 0.75,
        "evaluate_s": 0.375,
    }


def test_availability_refusals_and_the_last_weights_are_told() -> None:
    result = build_result(made_record())
    assert result.availability == {"north": {"image": 0.8, "audio": 0.2}, "south": {"image": 1.0, "audio": 0.0}}
    assert result.rows == {"north": 10, "south": 10}
    assert [refusal.model_dump() for refusal in result.refused] == [
        {"round": 2, "site": "south", "reason": "not_finite", "detail": "w: NaN"}
    ]
    assert result.weights == {"fusion": {"north": 0.5, "south": 0.5}}


@pytest.mark.parametrize("event", ["start", "end", "evaluation"])
def test_a_record_that_lacks_an_event_gives_no_result(event: str) -> None:
    with pytest.raises(DataError, match=f"no {event} event.*; the run ended before it"):
        build_result([row for row in made_record() if row["event"] != event])


def test_a_run_without_validation_rows_has_no_validation_scores() -> None:
    result = build_result([row for row in made_record() if row.get("split") != "validation"])
    assert result.metrics.validation is None
    assert result.contributions_received == {}


def test_a_result_of_another_layout_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the run did not finish"):
        read_result(tmp_path)
    tree: dict[str, Any] = build_result(made_record()).model_dump(mode="json", by_alias=True)
    for changed in (tree | {"more": 1}, {k: v for k, v in tree.items() if k != "seed"}, tree | {"seed": "x"}):
        write_json(tmp_path / "result.json", changed)
        with pytest.raises(DataError, match=r"result\.json"):
            read_result(tmp_path)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"b": 1, "a": None})
    before = path.read_text()
    assert before == '{\n "a": null,\n "b": 1\n}\n'
    with pytest.raises(ValueError, match=r"not JSON compliant|Out of range float"):
        write_json(path, {"a": [1, float("nan")]})
    assert path.read_text() == before


def test_every_key_that_the_project_promises_is_there() -> None:
    head = {"schema", "fedmce_version", "method", "dataset", "modalities", "sites", "seed", "rounds", "engine"}
    body = {"masks_sha256", "fingerprint", "metrics", "contributions", "interactions", "weights"}
    aliases = {field.alias or name for name, field in Result.model_fields.items()}
    assert head | body | {"communication", "timing"} <= aliases
