"""Tables of how even, how calibrated and how robust the final model is, and of completion on hidden entries."""

from __future__ import annotations

from fedmce.metrics import site_means
from fedmce.report.story import Row, Scores, Story
from fedmce.report.tables import Table
from fedmce.report.words import DASH, calibration_name, metric, number, percent, titled

PATTERNS = "patterns as in training"
SPREADS = {
    "mean_subset": "every subset alike",
    "deploy": PATTERNS,
    "test": "test rows as they are",
    "validation": "validation rows as they are",
}


def glance(story: Story) -> Table | None:
    """One line per question beyond the score per subset; None where the result does not say."""
    result = story.result or {}
    robust, even, metrics = result.get("robustness"), result.get("evenness"), result.get("metrics") or {}
    if not robust or not even:
        return None
    rows = [*_robust(metrics, robust), *_calibrated(metrics), *_even(story, even)]
    head = ["question", "answer", "how to read it"]
    return Table("Beyond the score per subset (result.json, metrics, robustness, evenness)", head, rows, prose=True)


def _robust(metrics: Row, robust: Row) -> list[list[str]]:
    name, deploy = metrics.get("worst_subset_name"), robust.get("deploy")
    rows = []
    if name is not None:
        lost, share = robust["drop"].get(name), robust["relative_drop"].get(name)
        rows.append(["worst subset", f"{number(metrics['worst_subset'])} ({name})", "the lowest score over subsets"])
        if lost is not None:
            part = "" if share is None else f" ({percent(share)})"
            rows.append(["lost there", f"{number(lost)}{part}", "against all modalities"])
    if deploy:
        text = "each subset counts by how many training rows hold exactly it"
        if deploy["covered"] < 1:
            text += f"; {percent(deploy['covered'])} of these rows have a score"
        rows.append([PATTERNS, number(deploy["score"]), text])
    if metrics.get("pooled_subset") is not None:
        text = "all pairs of a row and a subset pooled; the mean over subsets counts every subset alike"
        rows.append(["every prediction alike", number(metrics["pooled_subset"]), text])
    return rows


def _calibrated(metrics: Row) -> list[list[str]]:
    found: Row = metrics.get("calibration") or {}
    explained = {
        "expected_calibration_error": "how far confidence is from accuracy, mean over subsets; 0 is best",
        "brier": "squared error of the probabilities, mean over subsets; 0 is best, 2 worst",
    }
    named = [(key, text) for key, text in explained.items() if key in found]
    return [[calibration_name(key), number(found[key]["mean_subset"]), text] for key, text in named]


def _even(story: Story, even: Row) -> list[list[str]]:
    least, rows = 1 / len(story.modalities), []
    equity = even["equity"]
    if equity.get("gini") is not None:
        text = f"1 − Gini of contributions: 1 if all alike, {number(least)} if one does everything"
        rows.append(["equity", number(equity["gini"]), text])
        rows.append(["equity, by entropy", number(equity["entropy"]), "1 if all alike, 0 if one does everything"])
    if even.get("learning_imbalance") is not None:
        text = "spread of how far sites move each encoder per round: 0 if all move alike"
        rows.append(["learning imbalance", number(even["learning_imbalance"]), text])
    return rows


def fairness(story: Story) -> Table | None:
    """How the score spreads over sites, by what rows are given; None where the result does not say."""
    result = story.result or {}
    metrics, robust = result.get("metrics") or {}, result.get("robustness") or {}
    spreads: Row = dict(robust.get("fairness") or {})
    together = {"mean_subset": metrics.get("mean_subset"), "deploy": (robust.get("deploy") or {}).get("score")}
    for split, part in (metrics.get("as_available") or {}).items():
        spreads[split], together[split] = part["fairness"], part["score"]
    rows = []
    for key, label in SPREADS.items():
        found = spreads.get(key)
        if found and found["sites"]:
            numbers = (number(found[k]) for k in ("mean", "sd", "percentile_10", "worst_decile", "worst", "jain"))
            rows.append([label, number(together[key]), *numbers, found["worst_site"] or DASH])
    if not rows:
        return None
    head = [
        "given",
        "all rows",
        "mean of sites",
        "sd",
        "10th percentile",
        "worst tenth",
        "worst",
        "Jain index",
        "worst site",
    ]
    return Table(f"{titled(metric(story))} over sites (result.json, fairness)", head, rows)


def of_sites(story: Story, scores: Scores) -> dict[str, dict[str, float | None]]:
    """Further scores of each site, below its subsets: means of the test scores, and of rows with what they have."""
    if story.result is None or scores.split != "test":
        return {}
    robust, metrics = story.result.get("robustness") or {}, story.result["metrics"]
    found = {"mean_subset": site_means(metrics["per_site"])}
    if robust.get("deploy"):
        found["deploy"] = robust["deploy"]["per_site"]
    found |= {split: part["per_site"] for split, part in (metrics.get("as_available") or {}).items()}
    labels = SPREADS | {"mean_subset": "mean over subsets"}
    return {labels[key]: table for key, table in found.items() if key in labels}


def completion(story: Story) -> Table | None:
    """Completion graded where the truth was hidden on purpose; None where the model completes nothing."""
    found = ((story.result or {}).get("metrics") or {}).get("completion_quality")
    if not found:
        return None
    keys = ("cosine", "normalised_error", "without", "with_completed")
    parts = found["per_modality"]
    rows = [[m, f"{parts[m]['rows']:,}", *(number(parts[m][k]) for k in keys)] for m in story.modalities if m in parts]
    name = metric(story)
    head = ["hidden", "rows", "cosine", "error / variance", f"{name} without it", f"{name} with it completed"]
    return Table("Each held modality hidden from its test row and completed from the rest", head, rows)
