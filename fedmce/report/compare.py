"""One page that puts several runs side by side."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fedmce.errors import DataError
from fedmce.report.page import environment, picture, write
from fedmce.report.reader import read
from fedmce.report.story import Scores, Story
from fedmce.report.style import FAINT, INK, NARROW, SOFT, canvas, drawing, save, short
from fedmce.report.subset_axis import positions, uses_dots, with_subset_axis
from fedmce.report.tables import Table
from fedmce.report.words import DASH, counted, listed, metric, number, seconds, size, titled

# Modalities own the palette; methods are told apart by marker and by shade.
LOOKS = (("o", INK), ("s", "#8a929b"), ("^", "#4a6072"), ("D", "#b7a68a"), ("v", "#6d5a52"), ("P", "#a0a0a0"))


@dataclass(frozen=True)
class Entry:
    """A run with the name of its column and the method that it belongs to."""

    label: str
    story: Story
    scores: Scores | None

    @property
    def method(self) -> str:
        """Runs of one method differ by seed or setting and share a marker."""
        return str(self.story.start["method"])


def compare(runs: list[Path], out: Path) -> Path:
    """Write one page with the scores of several runs per subset, a figure, and what may make them incomparable.

    Args:
        runs: run folders, at least one; runs of the same method are averaged in a table of their own.
        out: file to write (ends in ``.html``), or a folder that gets ``compare.html``.

    Returns:
        Path of the page.

    Raises:
        DataError: no run given, a folder without a readable record, or runs with different modalities or metric.
    """
    if not runs:
        raise DataError("compare: no run folder was given; needed at least one")
    stories = [read(run) for run in runs]
    _comparable(stories)
    entries = [Entry(label, story, story.scores()) for label, story in zip(_labels(stories), stories, strict=True)]
    page = out if out.suffix == ".html" else out / "compare.html"
    drawn = None
    with TemporaryDirectory() as folder:
        if any(entry.scores for entry in entries):
            png = Path(folder) / "compare.png"
            with drawing():
                save(_figure(entries), png)
            drawn = picture(png, finding(entries))
    text = (
        environment()
        .get_template("compare.html.jinja")
        .render(
            title=f"{len(entries)} runs on {listed(sorted({str(e.story.start['dataset']) for e in entries}))}",
            finding=finding(entries),
            cautions=cautions(entries),
            picture=drawn,
            scores=scores_table(entries),
            methods=methods_table(entries),
            costs=costs_table(entries),
            metric=titled(metric(stories[0])),
        )
    )
    return write(page, text)


def _comparable(stories: Sequence[Story]) -> None:
    for key in ("modalities", "metric"):
        found = {str(story.start[key]): story.folder for story in stories}
        if len(found) > 1:
            given = "; ".join(f"{folder.name}: {value}" for value, folder in found.items())
            raise DataError(f"compare: {key} differ ({given}); needed runs that answer the same question")


def _labels(stories: Sequence[Story]) -> list[str]:
    """The shortest names that tell the runs apart: method, method and seed, else the folder."""
    for parts in (("method",), ("method", "seed"), ("name", "method", "seed")):
        labels = [", ".join(f"seed {s.start[p]}" if p == "seed" else str(s.start[p]) for p in parts) for s in stories]
        if len(set(labels)) == len(labels):
            return labels
    return [f"{i}: {s.folder.name}" for i, s in enumerate(stories, start=1)]


def cautions(entries: Sequence[Entry]) -> list[str]:
    """Reasons why a difference between the runs may not be due to the method."""
    found = []
    for key, what in (("dataset", "data sets"), ("masks_sha256", "masks"), ("rounds", "numbers of rounds")):
        if len({str(e.story.start[key]) for e in entries}) > 1:
            found.append(f"The runs have different {what}: their scores answer different questions.")
    stopped = [e.label for e in entries if e.story.status != "finished"]
    if stopped:
        found.append(f"Not finished: {listed(stopped, 8)}; their scores are those of the newest evaluation.")
    own = {text for e in entries for text in e.story.start.get("caution", [])}
    return found + sorted(own)


def finding(entries: Sequence[Entry]) -> str:
    """Which run has the best mean over subsets, and by how much."""
    known = [(e.scores.mean, e.label) for e in entries if e.scores and e.scores.mean is not None]
    if not known:
        return "None of the runs was scored."
    ranked = sorted(known, key=lambda pair: (-pair[0], pair[1]))
    text = f"{ranked[0][1]} has the highest mean over subsets, {number(ranked[0][0])}"
    if len(ranked) > 1:
        text += f", {number(ranked[0][0] - ranked[1][0])} above {ranked[1][1]}"
    return text + "."


def scores_table(entries: Sequence[Entry]) -> Table:
    """Subsets x runs, with mean, worst and full below."""
    subsets = entries[0].story.subsets
    rows = [[s, *(number(e.scores.per_subset.get(s)) if e.scores else DASH for e in entries)] for s in subsets]
    rows.append(["mean over subsets", *(number(e.scores.mean) if e.scores else DASH for e in entries)])
    rows.append(["worst subset", *(number(e.scores.worst) if e.scores else DASH for e in entries)])
    return Table(f"{titled(metric(entries[0].story))} of every run", ["subset", *(e.label for e in entries)], rows)


def methods_table(entries: Sequence[Entry]) -> Table | None:
    """Mean and standard deviation over the runs of each method; None unless a method was run twice."""
    groups: dict[str, list[Scores]] = {}
    for entry in entries:
        if entry.scores:
            groups.setdefault(entry.method, []).append(entry.scores)
    if all(len(group) < 2 for group in groups.values()):
        return None
    subsets = entries[0].story.subsets
    rows = [[s, *(_spread([g.per_subset.get(s) for g in group]) for group in groups.values())] for s in subsets]
    rows.append(["mean over subsets", *(_spread([g.mean for g in group]) for group in groups.values())])
    head = ["subset", *(f"{name} ({counted(len(group), 'run')})" for name, group in groups.items())]
    return Table("Mean ± standard deviation over the runs of each method", head, rows)


def _spread(values: Sequence[float | None]) -> str:
    known = [v for v in values if v is not None]
    if not known:
        return DASH
    return number(statistics.fmean(known)) + (f" ± {number(statistics.stdev(known))}" if len(known) > 1 else "")


def costs_table(entries: Sequence[Entry]) -> Table:
    """Runs x rounds, bytes, time and contributions."""
    modalities = entries[0].story.modalities
    rows = []
    for entry in entries:
        result = entry.story.result or {}
        moved = sum(entry.story.bytes_moved())
        phi = [number((result.get("contributions") or {}).get(m)) for m in modalities]
        rows.append(
            [
                entry.label,
                str(entry.story.rounds_done),
                size(moved),
                seconds((result.get("timing") or {}).get("total_s")),
                *phi,
            ]
        )
    return Table(
        "Cost and contributions of each run",
        ["run", "rounds", "moved", "time", *(f"contribution of {m}" for m in modalities)],
        rows,
    )


def _figure(entries: Sequence[Entry]) -> Figure:
    story = entries[0].story
    subsets = story.subsets
    heights = positions(subsets)
    methods = list(dict.fromkeys(e.method for e in entries))
    each = 0.19 if len(subsets) > 16 else 0.36
    figure = canvas(
        NARROW, 1.1 + each * heights[-1] + (0.7 if uses_dots(story.modalities) else 0.1) + 0.17 * len(methods) / 2
    )
    axes = with_subset_axis(figure, story.modalities, subsets, heights, NARROW)
    for entry in entries:
        at = methods.index(entry.method)
        shape, shade = LOOKS[at % len(LOOKS)]
        # Methods stand a little apart so that equal scores do not hide each other.
        shift = 0.5 * (at - (len(methods) - 1) / 2) / max(len(methods), 1)
        table = entry.scores.per_subset if entry.scores else {}
        points = [(v, y + shift) for s, y in zip(subsets, heights, strict=True) if (v := table.get(s)) is not None]
        axes.plot([v for v, _ in points], [y for _, y in points], shape, color=shade, markersize=4.5, ls="", alpha=0.85)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(metric(story))
    looks = [(m, LOOKS[i % len(LOOKS)]) for i, m in enumerate(methods)]
    legend = [Line2D([], [], marker=shape, color=shade, ls="", label=short(m, 30)) for m, (shape, shade) in looks]
    empty, label = story.empty_value()
    if empty is not None:
        axes.axvline(empty, color=SOFT, linestyle=":", linewidth=1.1, zorder=0)
        legend.append(Line2D([], [], color=SOFT, linestyle=":", label=label))
    figure.legend(handles=legend, loc="outside lower left", ncols=2)
    return figure
