"""Rows of a small record with figures that can be added up by hand."""

from __future__ import annotations

from typing import Any

from fedmce.record.writer import Row


def made_record() -> list[Row]:
    """Two sites, three rounds; in round 2 the reply of ``south`` was set aside."""
    rows: list[Row] = [_start()]
    rows += [_profile("north", {"image": 8, "audio": 2}), _profile("south", {"image": 10, "audio": 0})]
    for number in (1, 2, 3):
        rows += [_round(number), _scores(number - 1, "validation"), _scores(number, "test")]
    rows.append({"event": "scoring", "round": 3, "sites": {"north": _bytes(5, 7), "south": _bytes(5, 7)}})
    rows += [_scores(3, "validation"), {"event": "end", "status": "finished", "total_s": 9.5}]
    return rows


def _start() -> Row:
    texts = dict.fromkeys(("fedmce_version", "name", "method", "dataset", "engine", "masks_sha256", "fingerprint"), "x")
    lists = {"caution": [], "classes": ["no", "yes"], "modalities": ["image", "audio"], "sites": ["north", "south"]}
    numbers = {"seed": 3, "rounds": 3, "empty_value": 0.5}
    return {"event": "start", "metric": "accuracy", "provenance": {"image": "made up"}} | texts | lists | numbers


def _profile(site: str, held: dict[str, int]) -> Row:
    counts: Row = {"rows": {"train": 10, "validation": 2}, "rows_by_modality": held}
    return {"event": "profile", "site": site, "bytes_down": 100, "bytes_up": 200} | counts


def _bytes(down: int, up: int, verdict: str = "accepted") -> dict[str, Any]:
    return {"bytes_down": down, "bytes_up": up, "verdict": verdict, "detail": "" if verdict == "accepted" else "w: NaN"}


def _round(number: int) -> Row:
    second = _bytes(20, 0, "not_finite") if number == 2 else _bytes(20, 25)
    weights = {"fusion": {"north": 0.5, "south": 0.5}} if number < 3 else {}
    timing = {"total_s": number / 1, "train_s": 0.5, "aggregate_s": 0.25, "evaluate_s": 0.125}
    sites = {"north": _bytes(10 * number, 15), "south": second}
    return {"event": "round", "round": number, "sites": sites, "weights": weights, "timing": timing}


def _scores(number: int, split: str) -> Row:
    base = number / 10 + (0.5 if split == "test" else 0.3)
    per_subset = {"image": base, "audio": None, "image+audio": base + 0.1}
    scores = {"per_subset": per_subset, "mean_subset": base + 0.05, "worst_subset": base, "full": base + 0.1}
    beside = {"per_site": {"north": per_subset}, "rows": {"image": 4}, "secondary": {"balanced_accuracy": per_subset}}
    gave = {"contributions": {"image": base, "audio": None}, "interactions": {"image+audio": -base}}
    return {"event": "evaluation", "round": number, "split": split} | scores | beside | gave
