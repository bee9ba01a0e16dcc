"""Numbers as text, and the sentences that state what a picture shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fedmce.report.story import Row, Scores, Story

DASH = "–"
METRICS = {"accuracy": "accuracy", "auc_within_sites": "AUC within sites"}


def number(value: float | None) -> str:
    """Three decimals with a true minus; an en dash where the number is not defined."""
    return DASH if value is None else f"{value:.3f}".replace("-", "−")


def percent(share: float) -> str:
    """Whole per cent, but never 0 or 100 % for what is only almost so."""
    text = f"{100 * share:.0f}"
    return f"{100 * share:.1f} %" if text in ("0", "100") and share not in (0, 1) else f"{text} %"


def size(count: float) -> str:
    """Bytes in decimal units."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.2f} {unit}"
    return f"{count:.0f} B"


def seconds(value: float | None) -> str:
    """Seconds with a unit that suits their size."""
    if value is None:
        return DASH
    if value >= 120:
        return f"{value / 60:.1f} min"
    return f"{value:.1f} s" if value >= 1 else f"{1000 * value:.1f} ms"


def counted(count: int, noun: str) -> str:
    """``1 site``, ``3 sites``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: Iterable[str], limit: int = 5) -> str:
    """``a, b and c``; beyond the limit ``a, b, c and 9 more``."""
    shown = list(names)
    if len(shown) > limit:
        shown = [*shown[: limit - 1], f"{len(shown) - limit + 1} more"]
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1] if shown else "none"


def titled(text: str) -> str:
    """The text with a capital first letter; the rest as it is."""
    return text[:1].upper() + text[1:]


def metric(story: Story) -> str:
    """The metric's name for readers."""
    name = str(story.start["metric"])
    return METRICS.get(name, name.replace("_", " "))


def availability_finding(story: Story) -> str:
    """Who lacks what, modality by modality."""
    parts = []
    for modality in story.modalities:
        held = {s: h for s in story.sites if (h := story.held(s, modality)) is not None}
        if not held:
            continue
        rows, total = sum(h[0] for h in held.values()), sum(h[1] for h in held.values())
        lacking = [s for s in held if story.lacks(s, modality)]
        scarce = [s for s, (have, of) in held.items() if 0 < have < 0.5 * of]
        text = f"{modality} is in {percent(rows / max(total, 1))} of the training rows"
        if lacking:
            text += f", wholly absent at {listed(lacking, 4)}"
        if scarce:
            text += f", in less than half of the rows at {listed(scarce, 4)}"
        parts.append(text)
    return "; ".join(parts) + "." if parts else "No site has reported its rows."


def score_finding(story: Story, scores: Scores) -> str:
    """Each modality alone, and how far below all of them."""
    full = scores.per_subset.get(story.full_subset)
    parts = []
    for name in story.modalities:
        value = scores.per_subset.get(name)
        text = f"{name} alone has no row to score" if value is None else f"{name} alone scores {number(value)}"
        if value is not None and full is not None:
            side = "below" if value <= full else "above"
            both = "both" if len(story.modalities) == 2 else "all"
            text += f", {number(abs(full - value))} {side} {both}"
        parts.append(text)
    together = f"All {len(story.modalities)} modalities together score {number(full)}; " if full is not None else ""
    together = together.replace("All 2 modalities together", "Both modalities together")
    return together + "; ".join(parts) + "."


def site_finding(scores: Scores, full: str) -> str:
    """Best and worst site with every modality, and what no site can be scored on."""
    found = {site: table[full] for site, table in scores.per_site.items() if table.get(full) is not None}
    if not found:
        return "No site has a row with every modality to score."
    ranked = sorted(found, key=lambda site: (found[site] or 0.0, site))
    text = f"With every modality the sites range from {number(found[ranked[0]])} ({ranked[0]})"
    text += f" to {number(found[ranked[-1]])} ({ranked[-1]})"
    absent = sum(value is None for table in scores.per_site.values() for value in table.values())
    return text + (f"; {absent} hatched cells have no row to score." if absent else ".")


def contributions(story: Story) -> tuple[dict[str, float | None], str]:
    """The best known contributions and their source: test rows of the final model, else the last round's."""
    final = (story.result or {}).get("contributions")
    if final:
        return final, "final model, test rows"
    known: list[Row] = [row for row in story.rounds if row.get("contributions")]
    if known:
        return known[-1]["contributions"], f"model received in round {known[-1]['round']}, training rows"
    return {}, ""


def contribution_finding(story: Story) -> str:
    """Modalities by contribution, largest first."""
    values, source = contributions(story)
    known = {m: v for m, v in values.items() if v is not None}
    if not known:
        return "No contribution was measured."
    ranked = sorted(known, key=lambda m: -known[m])
    text = listed([f"{m} contributes {number(known[m])}" for m in ranked], 8)
    lost = [m for m in values if values[m] is None]
    return f"{text} ({source})" + (f"; not held by any row: {listed(lost)}." if lost else ".")


def weight_finding(story: Story) -> str:
    """Who has the largest say in each encoder, in the last round that had weights."""
    last: Row = next((row["weights"] for row in reversed(story.rounds) if row.get("weights")), {})
    parts = []
    for modality in story.modalities:
        weights = last.get(f"encoder.{modality}")
        if weights:
            site = max(sorted(weights), key=lambda s: weights[s])
            parts.append(
                f"{modality}: {site} with weight {number(weights[site])}, {counted(len(weights), 'site')} in all"
            )
    return "Largest say in each encoder in the last round: " + "; ".join(parts) + "." if parts else "No weights yet."


def curve_finding(story: Story) -> str:
    """From where to where the mean over subsets went, and its best round."""
    curve: Sequence[Row] = [r for r in story.curve("test") or story.curve("validation") if r["mean_subset"] is not None]
    if not curve:
        return "The model was not scored."
    best = max(curve, key=lambda row: (row["mean_subset"], -row["round"]))
    text = f"The mean over subsets goes from {number(curve[0]['mean_subset'])} after round {curve[0]['round']}"
    text += f" to {number(curve[-1]['mean_subset'])} after round {curve[-1]['round']}"
    return text + f"; highest {number(best['mean_subset'])} after round {best['round']} ({best['split']} rows)."
