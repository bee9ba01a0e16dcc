"""Parts of a deployed round: read from what a run leaves, they add up to the round."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.deployed.parts import PARTS, replies_left, rounds_of, spread
from benchmarks.deployed_rounds import compared, table


def run_folder(root: Path) -> Path:
    """Two rounds of two sites; ``ash`` answers last."""
    log = root / "state" / "log"
    log.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for number in (1, 2):
        timing = {
            "total_s": 10.0,
            "aggregate_s": 0.5,
            "wait_s": 9.0,
            "push_s": 0.2,
            "pull_s": 0.4,
            "commit_s": 0.25 * (number - 1),
            "answered_s": {"ash": 8.8, "birch": 7.0},
        }
        sites = {"ash": {"train_s": 2.0, "evaluate_s": 1.0}, "birch": {"train_s": 4.0, "evaluate_s": 1.0}}
        rows.append({"event": "round", "round": number, "time": "", "timing": timing, "sites": sites})
    (root / "record.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [{"kind": "ask", "round": number, "t_wall": 1000.0 * number} for number in (1, 2)]
    (log / "audit.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    return root


def test_the_parts_of_a_round_add_up_to_it(tmp_path: Path) -> None:
    found = rounds_of(run_folder(tmp_path), {"ash": {1: 1007.0, 2: 2007.0}})
    for one in found:
        assert sum(one.parts[part] for part in PARTS) == pytest.approx(one.seconds)
        assert one.seconds == pytest.approx(10.25)
    assert found[0].parts["train"] == 2.0, "of the site that answered last"
    assert found[0].parts["back"] == pytest.approx(1.8), "it left 7 s after it was asked and was here after 8.8"
    assert found[0].parts["start"] == pytest.approx(8.8 - 0.2 - 3.0 - 1.8)
    assert found[0].parts["commit"] == found[1].parts["commit"] == 0.25, "the last round's commit is nowhere told"


def test_where_it_was_not_seen_when_a_reply_left_the_way_is_one_part(tmp_path: Path) -> None:
    one, _ = rounds_of(run_folder(tmp_path), {})
    assert one.parts["back"] == 0.0
    assert one.parts["start"] == pytest.approx(5.6)
    assert sum(one.parts[part] for part in PARTS) == pytest.approx(one.seconds)


def test_a_moment_that_was_missed_leaves_no_wrong_one(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    kinds = [(0, "profile"), (1, "train"), (2, "train"), (2, "score")]
    ledger.write_text("".join(json.dumps({"round": n, "kind": kind}) + "\n" for n, kind in kinds))
    assert replies_left(ledger, [1.0, 2.0, 3.0, 4.0]) == {1: 2.0, 2: 3.0}
    assert replies_left(ledger, [1.0, 2.0, 4.0]) == {}


def test_a_spread_is_median_p90_and_largest() -> None:
    assert spread([float(n) for n in range(1, 12)]) == {"median": 6.0, "p90": 10.0, "max": 11.0}
    assert spread([2.0]) == {"median": 2.0, "p90": 2.0, "max": 2.0}


def test_the_comparison_leaves_the_first_round_of_each_out(tmp_path: Path) -> None:
    rounds = [
        {"seconds": 90.0, "parts": {"train": 50.0, "evaluate": 20.0}},
        {"seconds": 9.0, "parts": {"train": 1.0, "evaluate": 0.5}},
        {"seconds": 9.0, "parts": {"train": 1.0, "evaluate": 0.5}},
    ]
    found = compared({"rounds": rounds}, [40.0, 6.0, 6.0])
    assert found["ratio"] == pytest.approx(1.5)
    assert found["more_than_flower_and_training_s"] == pytest.approx(1.5)


def test_the_table_holds_every_part_and_process() -> None:
    of = {"median": 1.0, "p90": 2.0, "max": 3.0}
    parts = dict.fromkeys((*PARTS, "pull"), of)
    memory = {"SuperLink": {"peak_mb": 150.0, "processes": 1}}
    text = table(
        {"sites": 3, "rounds": [1, 2], "round_s": of, "parts_s": parts, "memory": memory, "memory_total_mb": 9.0}
    )
    assert all(words in text for words in (*PARTS.values(), "SuperLink", "150"))
