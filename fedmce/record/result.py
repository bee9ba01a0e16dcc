"""``result.json``: the final figures of a run, made from its record alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic import Field

from fedmce.errors import DataError
from fedmce.record.derived import Cost, Evenness, Robustness, cost, evenness, robustness
from fedmce.record.part import Part, Score
from fedmce.record.scored import Metrics, ValidationScores
from fedmce.record.writer import Row, start_of

SCHEMA = "fedmce.result/1"
SCORED = ("per_subset", "mean_subset", "worst_subset", "full", "per_site", "rows", "secondary")
BESIDE = (
    "pooled_subset",
    "worst_subset_name",
    "overall",
    "calibration",
    "as_available",
    "completion_quality",
    "completed",
)


class Refusal(Part):
    """A reply that was set aside."""

    round: int
    site: str
    reason: str
    detail: str


class Communication(Part):
    """Bytes of message contents per round; the totals add the profile and the final scoring."""

    bytes_down_per_round: list[int]
    bytes_up_per_round: list[int]
    bytes_down: int
    bytes_up: int


class Timing(Part):
    """Wall seconds; ``train_s`` and ``evaluate_s`` add up over sites."""

    total_s: float
    per_round_s: list[float]
    train_s: float
    aggregate_s: float
    evaluate_s: float


class Result(Part):
    """The final figures of a run (docs/record.md)."""

    schema_: str = Field(SCHEMA, alias="schema")
    fedmce_version: str
    name: str
    method: str
    dataset: str
    provenance: dict[str, str]
    caution: list[str]
    metric: str
    classes: list[str]
    modalities: list[str]
    sites: list[str]
    seed: int
    rounds: int
    engine: str
    masks_sha256: str
    fingerprint: str
    availability: dict[str, dict[str, float]]
    rows: dict[str, int]
    metrics: Metrics
    contributions: dict[str, Score]
    contributions_se: dict[str, Score] = Field(default_factory=dict)
    contributions_received: dict[str, Score]
    contributions_received_se: dict[str, Score] = Field(default_factory=dict)
    contributions_setup: dict[str, str | int | None] = Field(default_factory=dict)
    interactions: dict[str, Score]
    empty_value: float
    weights: dict[str, dict[str, float]]
    refused: list[Refusal]
    communication: Communication
    timing: Timing
    robustness: Robustness | None = None
    evenness: Evenness | None = None
    cost: Cost | None = None


def build_result(record: list[Row]) -> Result:
    """Put the final figures together from a record.

    Raises:
        DataError: the record has no start or no final scores of the test rows.
    """
    start = start_of(record)
    if start is None:
        raise DataError("record: no start event; the run ended before it")
    rounds = [row for row in record if row["event"] == "round"]
    test = _last(record, "evaluation", split="test")
    profiles = {row["site"]: row for row in record if row["event"] == "profile"}
    at_sites = [r for r in record if r["event"] == "evaluation" and r["split"] == "validation"]
    final = at_sites[-1] if at_sites else None
    metrics = _metrics(test, final)
    received = final["contributions"] if final else {}
    first = ("fedmce_version", "name", "method", "dataset", "provenance", "caution", "metric", "classes", "modalities")
    second = ("sites", "seed", "rounds", "engine", "masks_sha256", "fingerprint", "empty_value")
    return Result(
        schema=SCHEMA,
        **{key: start[key] for key in first + second},
        availability={
            s: {m: p["rows_by_modality"][m] / max(p["rows"]["train"], 1) for m in start["modalities"]}
            for s, p in profiles.items()
        },
        rows={site: p["rows"]["train"] for site, p in profiles.items()},
        metrics=metrics,
        contributions=test["contributions"],
        contributions_se=test.get("contributions_se", {}),
        contributions_received=received,
        contributions_received_se=final.get("contributions_se", {}) if final else {},
        contributions_setup=start.get("contributions", {}),
        interactions=test["interactions"],
        weights=next((row["weights"] for row in reversed(rounds) if row["weights"]), {}),
        refused=[
            Refusal(round=row["round"], site=site, reason=entry["verdict"], detail=entry["detail"])
            for row in rounds
            for site, entry in row["sites"].items()
            if entry["verdict"] != "accepted"
        ],
        communication=_communication(record),
        timing=Timing(
            total_s=_last(record, "end")["total_s"],
            per_round_s=[row["timing"]["total_s"] for row in rounds],
            **{key: sum(row["timing"][key] for row in rounds) for key in ("train_s", "aggregate_s", "evaluate_s")},
        ),
        robustness=robustness(
            metrics, {s: p.get("patterns") for s, p in profiles.items()}, "+".join(start["modalities"])
        ),
        evenness=evenness(test["contributions"], received, rounds),
        cost=cost(record),
    )


def _metrics(test: Row, final: Row | None) -> Metrics:
    """Final scores on test rows, and beside them those that sites last gave on their validation rows."""
    validation = None
    if final is not None:
        completed = final.get("completed")
        validation = ValidationScores(
            per_subset=final["per_subset"], mean_subset=final["mean_subset"], completed=completed
        )
    # An older record, or test rows that only sites could score, lacks some of what stands beside.
    beside = {key: test[key] for key in BESIDE if test.get(key) is not None}
    return Metrics(**{key: test[key] for key in SCORED}, **beside, validation=validation)


def _communication(record: list[Row]) -> Communication:
    by_event: dict[str, list[Row]] = {"profile": [], "round": [], "scoring": []}
    for row in record:
        if row["event"] in by_event:
            by_event[row["event"]].append(row)
    found: dict[str, Any] = {}
    for way in ("bytes_down", "bytes_up"):
        rounds = [sum(entry[way] for entry in row["sites"].values()) for row in by_event["round"]]
        scoring = sum(entry[way] for row in by_event["scoring"] for entry in row["sites"].values())
        found[f"{way}_per_round"] = rounds
        found[way] = sum(rounds) + scoring + sum(row[way] for row in by_event["profile"])
    return Communication(**found)


def _last(record: list[Row], event: str, **match: Any) -> Row:
    for row in reversed(record):
        if row["event"] == event and all(row[key] == value for key, value in match.items()):
            return row
    raise DataError(f"record: no {event} event{' ' + str(match) if match else ''}; the run ended before it")


def write_json(path: Path, tree: Any) -> None:
    """Write JSON whole or not at all: temporary file, flush, rename."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(tree, file, indent=1, allow_nan=False, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_result(folder: Path, result: Result) -> Path:
    """Write ``result.json``."""
    path = folder / "result.json"
    write_json(path, result.model_dump(mode="json", by_alias=True))
    return path


def read_result(folder: Path) -> Result:
    """Read ``result.json``. Raises :class:`DataError` if it is absent or of another layout."""
    path = folder / "result.json"
    try:
        return Result.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: not there; the run did not finish") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
