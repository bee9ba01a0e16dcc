"""Numbers as text, and the sentences that state what a picture shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fedmce.metrics.sizes import is_many
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


def calibration_name(key: str) -> str:
    """What readers call it."""
    return "Brier score" if key == "brier" else key.replace("expected_", "").replace("_", " ")


def availability_finding(story: Story) -> str:
    """Who lacks what, modality by modality."""
    parts = []
    if is_many(story.modalities):
        return _many_available(story)
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
    if is_many(story.modalities):
        return _many_scores(story, scores, full)
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


def _many_available(story: Story) -> str:
    shares = {}
    for modality in story.modalities:
        held = [h for s in story.sites if (h := story.held(s, modality)) is not None]
        if held:
            shares[modality] = sum(h[0] for h in held) / max(sum(h[1] for h in held), 1)
    if not shares:
        return "No site has reported its rows."
    ranked = sorted(shares, key=lambda m: (shares[m], m))
    low, high = ranked[0], ranked[-1]
    text = f"Of {len(shares)} modalities the rarest, {low}, is in {percent(shares[low])} of the training rows"
    return f"{text}, the most frequent, {high}, in {percent(shares[high])}."


def _many_scores(story: Story, scores: Scores, full: float | None) -> str:
    alone = {m: v for m in story.modalities if (v := scores.per_subset.get(m)) is not None}
    text = f"All {len(story.modalities)} modalities together score {number(full)}" if full is not None else ""
    if not alone:
        return f"{text}." if text else "No single modality has a row to score."
    best, worst = max(alone, key=lambda m: (alone[m], m)), min(alone, key=lambda m: (alone[m], m))
    found = f"single modalities from {number(alone[worst])} ({worst}) to {number(alone[best])} ({best})"
    return f"{text}; {found}. Subsets of one size are shown as their mean." if text else f"{found}."


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


@dataclass(frozen=True)
class Setup:
    """How contributions were measured, in words: of the table, of the rows, of the index, of the model, of an axis."""

    title: str
    rows: str
    index: str
    model: str
    axis: str


def contribution_setup(story: Story) -> Setup:
    """As the record states it; older records mean exact Shapley values of accuracy on training rows."""
    how = story.start.get("contributions") or {}
    index = {"banzhaf": "Banzhaf", "leave_one_out": "leave-one-out"}.get(str(how.get("index")), "Shapley")
    value = str(how.get("value", "accuracy")).replace("_", " ")
    source = str(how.get("source", "received"))
    rows = {"heldout": "held-out rows", "server": "rows at the server"}.get(source, "training rows")
    exact = how.get("estimator", "exact") == "exact"
    kind = "Exact" if exact else f"Estimated ({how['estimator']}, {how['budget']} subsets per row)"
    model = "model as returned" if source == "server" else "model as received"
    return Setup(f"{kind} {index} contribution to {value}", rows, index, model, f"contribution to {value}")


def contribution_note(story: Story) -> str:
    """What a contribution is, in one sentence."""
    how = story.start.get("contributions") or {}
    value = str(how.get("value", "accuracy"))
    what = "the share of right predictions" if value == "accuracy" else f"the {value.replace('_', ' ')} of a prediction"
    if how.get("index") == "banzhaf":
        return f"A modality's contribution is its Banzhaf value: by how much it raises {what}, on average over all sets of the others."
    if how.get("index") == "leave_one_out":
        return f"A modality's contribution is by how much {what} falls without it, all others there."
    return f"A modality's contribution is its Shapley value: by how much it raises {what}, on average over all orders in which modalities could be added."


def contributions(story: Story) -> tuple[dict[str, float | None], str]:
    """The best known contributions and their source: test rows of the final model, else the last round's."""
    final = (story.result or {}).get("contributions")
    if final:
        return final, "final model, test rows"
    known: list[Row] = [row for row in story.rounds if row.get("contributions")]
    if known:
        return known[-1][
            "contributions"
        ], f"{contribution_setup(story).model} in round {known[-1]['round']}, {contribution_setup(story).rows}"
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
    for modality in () if is_many(story.modalities) else story.modalities:
        weights = last.get(f"encoder.{modality}")
        if weights:
            site = max(sorted(weights), key=lambda s: weights[s])
            parts.append(
                f"{modality}: {site} with weight {number(weights[site])}, {counted(len(weights), 'site')} in all"
            )
    if parts:
        return "Largest say in each encoder in the last round: " + "; ".join(parts) + "."
    return "" if last else "No weights yet."


def curve_finding(story: Story) -> str:
    """From where to where the mean over subsets went, and its best round."""
    curve: Sequence[Row] = [r for r in story.curve("test") or story.curve("validation") if r["mean_subset"] is not None]
    if not curve:
        return "The model was not scored."
    best = max(curve, key=lambda row: (row["mean_subset"], -row["round"]))
    text = f"The mean over subsets goes from {number(curve[0]['mean_subset'])} after round {curve[0]['round']}"
    text += f" to {number(curve[-1]['mean_subset'])} after round {curve[-1]['round']}"
    return text + f"; highest {number(best['mean_subset'])} after round {best['round']} ({best['split']} rows)."
