"""Puts sentences, tables and figures of one run into one HTML file."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from fedmce.report import beyond, ledger, tables, words
from fedmce.report.origins import origin_finding
from fedmce.report.story import Scores, Story
from fedmce.report.subset_table import every_subset
from fedmce.report.words import counted, listed, number, seconds, size


@dataclass(frozen=True)
class Picture:
    """A PNG inside the page.

    Attributes:
        name: file name without ending.
        uri: ``data:`` address.
        alt: the finding, in a sentence.
        wide: True where the picture needs the page's full width.
        width: shown at most so wide, CSS pixels.
    """

    name: str
    uri: str
    alt: str
    wide: bool
    width: int


def environment() -> Environment:
    """Templates of this package, everything escaped, an unknown name is an error."""
    made = Environment(
        loader=PackageLoader("fedmce.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(missing=(words.DASH, tables.ABSENT, f"0 B ({tables.ABSENT})"))
    return made


def picture(path: Path, alt: str) -> Picture:
    """Read a PNG and embed it; its size decides how it is laid out."""
    data = path.read_bytes()
    # PNG: width is the big-endian integer at byte 16; figures are drawn at 200 dots and shown at 104 pixels per inch.
    width = int.from_bytes(data[16:20], "big") * 104 // 200
    uri = "data:image/png;base64," + base64.b64encode(data).decode("ascii")
    return Picture(path.stem, uri, alt, width > 620, width)


def write(path: Path, text: str) -> Path:
    """Write a whole page or none: a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)
    return path


def render(story: Story, figures: dict[str, Path]) -> str:
    """The page of one run as text.

    Args:
        story: the run's records.
        figures: name -> PNG, for the figures that could be drawn.
    """
    scores = story.scores()
    alts = findings(story, scores)
    pictures = {name: picture(figures[name], alt) if name in figures else None for name, alt in alts.items()}
    template = environment().get_template("template.html.jinja")
    return template.render(
        story=story,
        start=story.start,
        scores=scores,
        pictures=pictures,
        findings=alts,
        title=f"{story.start['method']} on {story.start['dataset']}",
        sentence=what_was_run(story),
        interruption=interruption(story),
        tiles=tiles(story, scores),
        tables=_tables(story, scores),
        silence=ledger.silence_finding(story),
        efficiency=efficiency(story, scores),
        contribution_note=words.contribution_note(story),
        metric=words.titled(words.metric(story)),
        by_site=by_site(story, scores),
    )


def findings(story: Story, scores: Scores | None) -> dict[str, str]:
    """What each picture shows, as a sentence; alt text and lead of its section."""
    unscored = "The model was not scored."
    return {
        "availability": words.availability_finding(story),
        "score_per_subset": words.score_finding(story, scores) if scores else unscored,
        "score_per_site_subset": words.site_finding(scores, story.full_subset) if scores else unscored,
        "contributions_and_weights": f"{words.contribution_finding(story)} {words.weight_finding(story)}",
        "contributions": words.contribution_finding(story),
        "weights": f"{words.weight_finding(story)} {origin_finding(story)}".strip(),
        "learning_curve": words.curve_finding(story),
    }


def what_was_run(story: Story) -> str:
    """One plain paragraph: method, data, sites, mechanism, rounds, seed, engine."""
    start = story.start
    mechanism = _missingness(story.config)
    gaps = f" Missing values follow the mechanism “{mechanism}”." if mechanism else ""
    return (
        f"The method “{start['method']}” trained one shared model at {counted(len(story.sites), 'site')} of the data set "
        f"“{start['dataset']}” from {counted(len(story.modalities), 'modality').replace('modalitys', 'modalities')} "
        f"({listed(story.modalities, 8)}), {story.rounds_done} of {counted(int(start['rounds']), 'round')}, "
        f"seed {start['seed']}, engine “{start['engine']}”.{gaps}"
    )


def _missingness(config: str) -> str:
    try:
        tree: Any = yaml.safe_load(config)
    except yaml.YAMLError:
        return ""
    section = tree.get("missingness") if isinstance(tree, dict) else None
    return str(section.get("name", "")) if isinstance(section, dict) else ""


def interruption(story: Story) -> str:
    """Empty for a finished run, else how far it came and what the page therefore rests on."""
    if story.status == "finished":
        return ""
    done = counted(story.rounds_done, "round")
    verb = "failed" if story.status == "failed" else "was interrupted"
    reason = f" Reason: {story.end['reason']}." if story.end and story.end.get("reason") else ""
    scores = story.scores()
    basis = (
        f"The scores below are those of the {scores.source}, not a final result."
        if scores
        else "The model was never scored."
    )
    return f"This run {verb} after {done} of {story.start['rounds']}.{reason} {basis}"


def tiles(story: Story, scores: Scores | None) -> list[tuple[str, str]]:
    """The first numbers that a reader sees: label and value."""
    shown: list[tuple[str, str]] = []
    if scores:
        shown += [
            ("mean over subsets", number(scores.mean)),
            ("all modalities", number(scores.full)),
            ("worst subset", number(scores.worst)),
        ]
    shown.append(("rounds", f"{story.rounds_done} of {story.start['rounds']}"))
    shown.append(("moved, both ways", size(sum(story.bytes_moved()))))
    total = ((story.result or {}).get("timing") or {}).get("total_s")
    return [*shown, ("time", seconds(total))] if total is not None else shown


def efficiency(story: Story, scores: Scores | None) -> str:
    """The law that contributions add up to what all modalities gain, where these rows let it hold."""
    values = (story.result or {}).get("contributions") or {}
    empty = story.empty_accuracy()
    accuracies = scores and (
        scores.per_subset if story.start["metric"] == "accuracy" else scores.secondary.get("accuracy")
    )
    full = accuracies.get(story.full_subset) if accuracies else None
    known = [v for v in values.values() if v is not None]
    how = story.start.get("contributions") or {}
    other = how.get("value", "accuracy") != "accuracy" or how.get("index", "shapley") != "shapley"
    if not known or full is None or empty is None or other:
        return ""
    total, gain = sum(known), full - empty
    text = f"The contributions on test rows sum to {number(total)}; all modalities gain {number(gain)} over {number(empty)} without any. "
    if abs(total - gain) < 5e-4:
        return text + "They agree, as they must where every row holds every modality."
    return (
        text
        + "They differ because each modality is measured on the rows that hold it, and these are not the same rows."
    )


def by_site(story: Story, scores: Scores | None) -> list[tables.Table]:
    """Other metrics site by site, one table each."""
    if scores is None:
        return []
    named = sorted(scores.secondary_per_site.items())
    return [
        tables.per_site(story, table, f"{words.titled(m.replace('_', ' '))} by site (last evaluation)")
        for m, table in named
    ]


def _tables(story: Story, scores: Scores | None) -> dict[str, tables.Table | None]:
    made: dict[str, tables.Table | None] = {
        "glance": None,
        "every_subset": None,
        "per_site": None,
        "availability": tables.availability(story),
        "contributions": tables.contributions(story),
        "interactions": tables.interactions(story),
        "weights": ledger.weights(story),
        "refused": ledger.refused(story),
        "traffic": ledger.traffic(story),
        "by_component": ledger.by_component(story),
        "timing": ledger.timing(story),
        "beyond": beyond.glance(story),
        "fairness": beyond.fairness(story),
        "completion": beyond.completion(story),
    }
    if scores:
        made["glance"] = tables.glance(story, scores)
        made["every_subset"] = every_subset(story, scores)
        made["per_site"] = tables.per_site(
            story,
            scores.per_site,
            f"{words.titled(words.metric(story))} by site ({scores.source})",
            beyond.of_sites(story, scores),
        )
    return made
