"""What the report knows of one run, finished or interrupted, and the questions that it can answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedmce.metrics.sizes import is_many, label, row_with_sizes

Row = dict[str, Any]


@dataclass(frozen=True)
class Scores:
    """One set of scores and where it was read.

    Attributes:
        per_subset: score by subset name; None where no row holds the subset.
        per_site: the same by site.
        rows: rows scored per subset; empty where the record does not say.
        mean: mean over the subsets; None where undefined.
        worst: score of the worst subset; None where undefined.
        full: score with every modality; None where undefined.
        secondary: other metrics, metric -> subset -> score.
        secondary_per_site: other metrics by site, ``{}`` where not recorded.
        split: rows that were scored, ``test`` or ``validation``.
        source: the place in words, such as ``test evaluation after round 12``.
    """

    per_subset: dict[str, float | None]
    per_site: dict[str, dict[str, float | None]]
    rows: dict[str, int]
    mean: float | None
    worst: float | None
    full: float | None
    secondary: dict[str, dict[str, float | None]]
    secondary_per_site: Row
    split: str
    source: str


@dataclass(frozen=True)
class Story:
    """Everything that the report may know of a run: its records, nothing else.

    Attributes:
        folder: the run folder.
        start: the ``start`` event.
        profiles: ``profile`` events by site.
        rounds: ``round`` events, oldest first.
        evaluations: ``evaluation`` events, oldest first.
        scorings: ``scoring`` events (the final model is sent once more to be scored), oldest first.
        end: the ``end`` event, or None where the record stops without one.
        result: ``result.json``, or None.
        config: text of ``config.yaml``, empty where absent.
    """

    folder: Path
    start: Row
    profiles: dict[str, Row] = field(default_factory=dict)
    rounds: list[Row] = field(default_factory=list)
    evaluations: list[Row] = field(default_factory=list)
    scorings: list[Row] = field(default_factory=list)
    end: Row | None = None
    result: Row | None = None
    config: str = ""

    @property
    def modalities(self) -> list[str]:
        """Names in data set order."""
        return list(self.start["modalities"])

    @property
    def sites(self) -> list[str]:
        """Names, sorted."""
        return sorted(self.start["sites"])

    @property
    def status(self) -> str:
        """``finished``, ``interrupted`` or ``failed``; a record without an end counts as interrupted."""
        return str(self.end["status"]) if self.end else "interrupted"

    @property
    def rounds_done(self) -> int:
        """Rounds in the record, void ones included."""
        return max((int(row["round"]) for row in self.rounds), default=0)

    @property
    def subsets(self) -> list[str]:
        """Every subset that the record names, smallest first, then in data set order; with many modalities sizes."""
        if is_many(self.modalities):
            tables = [e["per_subset"] for e in self.evaluations]
            sizes = {name.count("+") + 1 for table in tables for name, value in table.items() if value is not None}
            return [label(size, self.modalities) for size in sorted(sizes | {1, len(self.modalities)})]
        named: set[str] = set()
        for table in (
            (self.result or {}).get("metrics", {}).get("per_subset", {}),
            *(e["per_subset"] for e in self.evaluations),
        ):
            named.update(table)
        for profile in self.profiles.values():
            named.update(profile.get("patterns") or {})
        order = {name: i for i, name in enumerate(self.modalities)}
        known = [s for s in named if s and all(part in order for part in s.split("+"))]
        return sorted(known, key=lambda s: (s.count("+"), [order[part] for part in s.split("+")]))

    @property
    def full_subset(self) -> str:
        """The subset of all modalities."""
        if is_many(self.modalities):
            return label(len(self.modalities), self.modalities)
        return "+".join(self.modalities)

    def curve(self, split: str) -> list[Row]:
        """Evaluations of one split by round; where both sites and server scored, the sites' (they hold the rows)."""
        by_round: dict[int, Row] = {}
        for row in self.evaluations:
            if row["split"] == split and (row["round"] not in by_round or row.get("where") == "sites"):
                by_round[int(row["round"])] = row_with_sizes(row, self.modalities)
        return [by_round[key] for key in sorted(by_round)]

    def scores(self) -> Scores | None:
        """The final scores, else those of the newest evaluation; None if the model was never scored."""
        newest = next((c[-1] for c in (self.curve("test"), self.curve("validation")) if c), None)
        metrics = (self.result or {}).get("metrics")
        if metrics:
            return _scores(
                row_with_sizes({**(newest or {}), **metrics}, self.modalities), "test", "result.json, metrics"
            )
        if newest:
            split = str(newest["split"])
            return _scores(newest, split, f"{split} evaluation after round {newest['round']}")
        return None

    def empty_value(self) -> tuple[float | None, str]:
        """Score of a guess without any modality, and what to call it."""
        if self.start["metric"] == "auc_within_sites":
            return 0.5, "chance (0.5)"
        value = self.empty_accuracy()
        if value is not None:
            return float(value), "no modality at all"
        classes = len(self.start.get("classes", []))
        return (1 / classes, f"chance, {classes} classes") if classes else (None, "")

    def empty_accuracy(self) -> float | None:
        """Share of right predictions without any modality, as recorded; contributions are measured from here."""
        value = self.start.get("empty_accuracy")
        if value is None:  # an older record, whose contributions are of accuracy
            value = (self.result or {}).get("empty_value", self.start.get("empty_value"))
        return None if value is None else float(value)

    def bytes_moved(self) -> tuple[int, int]:
        """Bytes to and from all sites in the whole run, profile and scoring included."""
        entries = [entry for row in [*self.rounds, *self.scorings] for entry in row["sites"].values()]
        entries += list(self.profiles.values())
        down, up = (sum(int(entry.get(key) or 0) for entry in entries) for key in ("bytes_down", "bytes_up"))
        return down, up

    def held(self, site: str, modality: str) -> tuple[int, int] | None:
        """Training rows of a site that hold a modality, and its training rows; None where not recorded."""
        if site in self.profiles:
            profile = self.profiles[site]
            return int(profile["rows_by_modality"].get(modality, 0)), int(profile["rows"]["train"])
        result = self.result or {}
        if site in result.get("rows", {}):
            rows = int(result["rows"][site])
            return round(float(result["availability"][site][modality]) * rows), rows
        return None

    def lacks(self, site: str, modality: str) -> bool:
        """True if the site is known to hold no training row of the modality."""
        held = self.held(site, modality)
        return held is not None and held[0] == 0

    def refused(self) -> list[Row]:
        """Replies that were set aside: round, site, reason, detail."""
        return [
            {"round": row["round"], "site": site, "reason": reply["verdict"], "detail": reply.get("detail") or ""}
            for row in self.rounds
            for site, reply in sorted(row["sites"].items())
            if reply["verdict"] != "accepted"
        ]


def _scores(row: Row, split: str, source: str) -> Scores:
    return Scores(
        per_subset=row["per_subset"],
        per_site=row.get("per_site") or {},
        rows=row.get("rows") or {},
        mean=row.get("mean_subset"),
        worst=row.get("worst_subset"),
        full=row.get("full"),
        secondary=row.get("secondary") or {},
        secondary_per_site=row.get("secondary_per_site") or {},
        split=split,
        source=source,
    )
