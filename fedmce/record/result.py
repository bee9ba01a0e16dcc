"""``result.json``: the final figures of a run, made from its record alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from fedmce.errors import DataError
from fedmce.record.writer import Row

SCHEMA = "fedmce.result/1"
Score = float | None


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class CompletedScores(_Part):
    """Scores with completed tokens for what a subset lacks; beside, never instead of, the plain ones."""

    use: str
    per_subset: dict[str, Score]
    mean_subset: Score
    worst_subset: Score


class ValidationScores(_Part):
    """Scores on validation rows, each at its own site, of the final model."""

    per_subset: dict[str, Score]
    mean_subset: Score
    completed: CompletedScores | None = None


class Metrics(_Part):
    """Scores of the final model on test rows."""

    per_subset: dict[str, Score]
    mean_subset: Score
    worst_subset: Score
    full: Score
    per_site: dict[str, dict[str, Score]]
    rows: dict[str, int]
    secondary: dict[str, dict[str, Score]]
    validation: ValidationScores | None
    completed: CompletedScores | None = None


class Refusal(_Part):
    """A reply that was set aside."""

    round: int
    site: str
    reason: str
    detail: str


class Communication(_Part):
    """Bytes of message contents per round; the totals add the profile and the final scoring."""

    bytes_down_per_round: list[int]
    bytes_up_per_round: list[int]
    bytes_down: int
    bytes_up: int


class Timing(_Part):
    """Wall seconds; ``train_s`` and ``evaluate_s`` add up over sites."""

    total_s: float
    per_round_s: list[float]
    train_s: float
    aggregate_s: float
    evaluate_s: float


class Result(_Part):
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
    contributions_se: dict[str, Score] = {}
    contributions_received: dict[str, Score]
    contributions_received_se: dict[str, Score] = {}
    contributions_setup: dict[str, str | int | None] = {}
    interactions: dict[str, Score]
    empty_value: float
    weights: dict[str, dict[str, float]]
    refused: list[Refusal]
    communication: Communication
    timing: Timing


def build_result(record: list[Row]) -> Result:
    """Put the final figures together from a record.

    Raises:
        DataError: the record has no start or no final scores of the test rows.
    """
    start = _last(record, "start")
    rounds = [row for row in record if row["event"] == "round"]
    test = _last(record, "evaluation", split="test")
    profiles = {row["site"]: row for row in record if row["event"] == "profile"}
    at_sites = [r for r in record if r["event"] == "evaluation" and r["split"] == "validation"]
    final = at_sites[-1] if at_sites else None
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
        metrics=Metrics(
            **{
                k: test[k]
                for k in ("per_subset", "mean_subset", "worst_subset", "full", "per_site", "rows", "secondary")
            },
            validation=ValidationScores(
                per_subset=final["per_subset"], mean_subset=final["mean_subset"], completed=final.get("completed")
            )
            if final
            else None,
            completed=test.get("completed"),
        ),
        contributions=test["contributions"],
        contributions_se=test.get("contributions_se", {}),
        contributions_received=final["contributions"] if final else {},
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
    )


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
