"""Where the seconds of a deployed round went: from the record, the audit log and the ledgers of the sites."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmce.record import read_record

# They add up to the round; those of sites are those of the site that answered last.
PARTS = {
    "push": "messages handed to Flower",
    "start": "until the site works: poll of its SuperNode, a process for the message",
    "evaluate": "the site scores the received model",
    "train": "the site trains",
    "back": "until its reply is here and judged: upload, our poll, pull, gate",
    "aggregate": "messages written, weights, means",
    "other": "the rest",
    "commit": "round committed to the disk",
}
BESIDE = {"pull": "looks for replies and the gate, most of it while sites work"}


@dataclass(frozen=True)
class Round:
    """One round.

    Attributes:
        number: of the round.
        seconds: from its plan to its commit.
        parts: seconds by the names of :data:`PARTS` and :data:`BESIDE`; ``back`` is part of ``start`` where the moment
            at which the reply left was not seen.
    """

    number: int
    seconds: float
    parts: Mapping[str, float]


def rounds_of(run: Path, left: Mapping[str, Mapping[int, float]]) -> list[Round]:
    """Rounds of a run folder.

    Args:
        run: its folder.
        left: per site and round the moment, in seconds of the wall clock, at which the reply left the site.
    """
    rows = [row for row in read_record(run) if row["event"] == "round"]
    asked = _asked(run / "state" / "log" / "audit.jsonl")
    # A round's commit comes after its row: the next row tells it, and of the last nobody does.
    commits = [row["timing"]["commit_s"] for row in rows[1:]]
    commits.append(statistics.median(commits) if commits else 0.0)
    return [_round(row, commit, asked.get(row["round"]), left) for row, commit in zip(rows, commits, strict=True)]


def _round(
    row: Mapping[str, Any], commit: float, asked: float | None, left: Mapping[str, Mapping[int, float]]
) -> Round:
    timing, number = row["timing"], row["round"]
    parts = dict.fromkeys((*PARTS, *BESIDE), 0.0)
    parts |= {"push": timing["push_s"], "pull": timing["pull_s"], "aggregate": timing["aggregate_s"], "commit": commit}
    answered, until = timing["answered_s"], timing["push_s"]
    if answered:
        last = max(answered, key=lambda site: answered[site])
        site, moment = row["sites"][last], left.get(last, {}).get(number)
        parts |= {"train": site["train_s"], "evaluate": site["evaluate_s"]}
        until = answered[last]
        way = max(until - site["train_s"] - site["evaluate_s"] - timing["push_s"], 0.0)
        back = 0.0 if moment is None or asked is None else max(until - (moment - asked), 0.0)
        parts["back"] = min(back, way)
        parts["start"] = way - parts["back"]
    parts["other"] = max(timing["total_s"] - timing["aggregate_s"] - until, 0.0)
    return Round(number, timing["total_s"] + commit, parts)


def _asked(log: Path) -> dict[int, float]:
    found = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["kind"] == "ask":
            found[row["round"]] = float(row["t_wall"])
    return found


def replies_left(ledger: Path, moments: Sequence[float]) -> dict[int, float]:
    """Round -> moment at which the reply of its training left; empty where a moment was missed."""
    rows = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    if len(rows) != len(moments):
        return {}
    return {row["round"]: moment for row, moment in zip(rows, moments, strict=True) if row["kind"] == "train"}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 90th percentile and largest."""
    ordered = sorted(values)
    at = min(round(0.9 * (len(ordered) - 1)), len(ordered) - 1)
    return {"median": statistics.median(ordered), "p90": ordered[at], "max": ordered[-1]}
