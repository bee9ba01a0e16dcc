"""The tables of the page: the accessible form of every figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedmce.metrics.sizes import is_many
from fedmce.report import words
from fedmce.report.story import Scores, Story
from fedmce.report.words import DASH, metric, number, percent, titled

ABSENT = "not held"
LONG = 16


@dataclass(frozen=True)
class Table:
    """Text cells; the first cell of a row is its heading.

    Attributes:
        caption: what the table says, with where the numbers stand in the records.
        head: one text per column.
        rows: equally long rows. ``–`` and ``not held`` are set as missing.
        prose: True where the cells are words, set from the left.
    """

    caption: str
    head: list[str]
    rows: list[list[str]]
    prose: bool = False

    @property
    def is_long(self) -> bool:
        """True where the page folds the table away."""
        return len(self.rows) > LONG


def availability(story: Story) -> Table:
    """Share and count of training rows by site and modality, and rows with everything."""
    sites = [s for s in story.sites if story.held(s, story.modalities[0]) is not None]
    rows = [[s, *(_share(story.held(s, m)) for m in story.modalities), *_complete(story, s)] for s in sites]
    totals = [[story.held(s, m) or (0, 0) for s in sites] for m in story.modalities]
    if sites:
        pooled = [_share((sum(h for h, _ in t), sum(n for _, n in t))) for t in totals]
        complete = [(story.profiles.get(s, {}).get("patterns") or {}).get(story.full_subset, 0) for s in sites]
        every = sum(n for _, n in totals[0])
        rows.append(
            [
                "all sites",
                *pooled,
                _share((sum(complete), every)) if story.profiles and not is_many(story.modalities) else DASH,
                f"{every:,}",
            ]
        )
    head = ["site", *story.modalities, "every modality", "rows"]
    return Table("Share and number of training rows that hold each modality (profile events)", head, rows)


def _share(held: tuple[int, int] | None) -> str:
    if held is None:
        return DASH
    return f"{percent(held[0] / held[1])} ({held[0]:,})" if held[0] else ABSENT


def _complete(story: Story, site: str) -> list[str]:
    held = story.held(site, story.modalities[0])
    patterns = story.profiles.get(site, {}).get("patterns")
    total = held[1] if held else 0
    if patterns is None or not total:
        return [DASH, f"{total:,}"]
    complete = int(patterns.get(story.full_subset, 0))
    return [f"{percent(complete / total)} ({complete:,})" if complete else "0 % (0)", f"{total:,}"]


def glance(story: Story, scores: Scores) -> Table:
    """Each modality alone, all of them, mean and worst."""
    rows = [[f"only {m}", number(scores.per_subset.get(m))] for m in story.modalities]
    rows.append(["all modalities", number(scores.full)])
    rows += [["mean over subsets", number(scores.mean)], ["worst subset", number(scores.worst)]]
    empty, label = story.empty_value()
    if empty is not None:
        rows.append([label, number(empty)])
    return Table(f"{titled(metric(story))} ({scores.source})", ["given", "score"], rows)


def per_site(
    story: Story,
    table: dict[str, dict[str, float | None]],
    caption: str,
    more: Mapping[str, Mapping[str, float | None]] | None = None,
) -> Table:
    """Subsets x sites; below, further scores of each site."""
    sites = sorted(set(table).union(*(more or {}).values()))
    rows = [[s, *(number(table.get(site, {}).get(s)) for site in sites)] for s in story.subsets]
    rows += [[label, *(number(scores.get(site)) for site in sites)] for label, scores in (more or {}).items()]
    return Table(caption, ["subset", *sites], rows)


def contributions(story: Story) -> Table | None:
    """Contribution of each modality on test rows and on the rows of its source, with standard errors; None without."""
    result, how = story.result or {}, words.contribution_setup(story)
    final, received = result.get("contributions") or {}, result.get("contributions_received") or {}
    if not received:
        received = next((r["contributions"] for r in reversed(story.rounds) if r.get("contributions")), {})
    columns = [
        ("test rows", final, result.get("contributions_se") or {}),
        (how.rows, received, result.get("contributions_received_se") or {}),
    ]
    shown = [(name, values, errors) for name, values, errors in columns if values]
    if not shown:
        return None
    rows = [[m, *(_phi(values.get(m), errors.get(m)) for _, values, errors in shown)] for m in story.modalities]
    return Table(
        f"{how.title} (result.json, contributions; ± standard error over rows)",
        ["modality", *(name for name, _, _ in shown)],
        rows,
    )


def _phi(value: float | None, error: float | None) -> str:
    if value is None:
        return ABSENT
    return number(value) if error is None else f"{number(value)} ± {number(error)}"


def interactions(story: Story) -> Table | None:
    """Pairwise Shapley interactions, or None where not measured."""
    pairs = (story.result or {}).get("interactions")
    if not pairs:
        return None
    return Table(
        "Pairs of modalities (result.json, interactions)",
        ["pair", "interaction"],
        [[p, number(v)] for p, v in pairs.items()],
    )
