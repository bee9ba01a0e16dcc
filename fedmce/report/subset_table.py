"""The table of every subset: score, interval, other metrics, calibration, and their means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedmce.metrics.sizes import with_sizes
from fedmce.report.scores import interval
from fedmce.report.story import Row, Scores, Story
from fedmce.report.tables import Table
from fedmce.report.words import DASH, calibration_name, metric, number

COMPLETED = {"full": "with completed tokens", "mean": "mean with completed"}  # by how they were used


def every_subset(story: Story, scores: Scores) -> Table:
    """Score, interval, rows, validation, other metrics and calibration of each subset, and their means."""
    held, apart = validation(story) if scores.split == "test" else None, completed(story, scores)
    columns: list[Column] = [Column(metric(story), scores.per_subset, scores.mean, _pooled(story, scores))]
    bounds = {s: interval(story, scores, s) for s in story.subsets}
    if any(bounds.values()):
        columns.append(
            Column("95 % interval", texts={s: f"{number(b[0])} to {number(b[1])}" for s, b in bounds.items() if b})
        )
    if scores.rows:
        columns.append(Column("rows scored", texts={s: f"{scores.rows.get(s, 0):,}" for s in story.subsets}))
    if held:
        columns.append(Column("validation", held["per_subset"], held["mean_subset"]))
    if apart:
        columns.append(Column(COMPLETED[apart["use"]], apart["per_subset"], apart["mean_subset"]))
    columns += _beside(story, scores)
    rows = [[s, *(column.cell(s) for column in columns)] for s in story.subsets]
    if scores.split == "test":
        rows.append(["mean over subsets", *(column.foot(column.mean) for column in columns)])
    if any(column.pooled is not None for column in columns):
        rows.append(["all predictions pooled", *(column.foot(column.pooled) for column in columns)])
    return Table(f"Every subset ({scores.source})", ["subset", *(column.name for column in columns)], rows)


@dataclass(frozen=True)
class Column:
    """One column of the table of subsets: numbers by subset with both means, or texts."""

    name: str
    values: Mapping[str, float | None] | None = None
    mean: float | None = None
    pooled: float | None = None
    texts: Mapping[str, str] | None = None

    def cell(self, subset: str) -> str:
        """Text of one subset."""
        return self.texts.get(subset, DASH) if self.texts is not None else number((self.values or {}).get(subset))

    def foot(self, value: float | None) -> str:
        """Text of a mean; empty where the record knows none."""
        return "" if value is None else number(value)


def _pooled(story: Story, scores: Scores) -> float | None:
    found: float | None = ((story.result or {}).get("metrics") or {}).get("pooled_subset")
    return found if scores.split == "test" else None


def _beside(story: Story, scores: Scores) -> list[Column]:
    """Drop, other metrics and calibration, as far as the record knows them."""
    result = (story.result or {}) if scores.split == "test" else {}
    metrics, found = result.get("metrics") or {}, []
    both = metrics.get("overall") or {}
    if drop := (result.get("robustness") or {}).get("drop"):
        found.append(Column("drop from all", with_sizes(drop, story.modalities)))
    for name, table in sorted(scores.secondary.items()):
        means = both.get(name) or {}
        found.append(
            Column(
                name.replace("_", " ").replace(" f1", " F1"),
                table,
                means.get("mean_subset"),
                means.get("pooled_subset"),
            )
        )
    for name, part in sorted((metrics.get("calibration") or {}).items(), reverse=True):
        table = with_sizes(part["per_subset"], story.modalities)
        found.append(Column(calibration_name(name), table, part["mean_subset"], part["pooled_subset"]))
    return found


def completed(story: Story, scores: Scores) -> Row | None:
    """Scores with completed tokens that stand beside the final test scores; None where the run has none."""
    found: Row | None = (story.result or {}).get("metrics", {}).get("completed")
    if found is None or scores.split != "test":
        return None
    return found | {"per_subset": with_sizes(found["per_subset"], story.modalities)}


def validation(story: Story) -> Row | None:
    """Validation scores that belong to the final model, else the newest."""
    final: Row | None = (story.result or {}).get("metrics", {}).get("validation")
    if final:
        final = final | {"per_subset": with_sizes(final["per_subset"], story.modalities)}
    curve = story.curve("validation")
    return final or (curve[-1] if curve else None)
