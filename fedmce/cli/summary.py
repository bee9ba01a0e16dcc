"""The result of a run as tables on stdout."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fedmce.metrics.sizes import is_many, label, with_sizes


def print_summary(folder: Path, result: dict[str, Any]) -> None:
    """Print scores per subset, who lacks what, contributions, cautions and where the files are.

    Args:
        folder: the run folder.
        result: content of its ``result.json``.
    """
    # A pipe has no width: nothing may be cut off there.
    width = None if sys.stdout.isatty() else 200
    console = Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
    metrics = result["metrics"]
    console.print("score on test rows, per subset of modalities")
    console.print(_subsets(result, rows_scored(folder)))
    summary = (f"{key.replace('_', ' ')} {score(metrics[key])}" for key in ("mean_subset", "worst_subset", "full"))
    console.print("   ".join(summary))
    if apart := metrics.get("completed"):
        console.print(f"with completed tokens ({apart['use']}): mean subset {score(apart['mean_subset'])}")
    console.print()
    console.print("missing share of training rows, per site")
    console.print(_availability(result))
    if result["contributions"]:
        console.print(f"\ncontribution per modality ({_index(result)} on test rows)")
        console.print(_contributions(result))
    else:
        console.print("\ncontribution per modality on test rows: not measured, since every site has a model of its own")
    console.print()
    for text in result.get("caution", ()):
        console.print(f"caution: {text}")
    for names, text in _provenance(result.get("provenance", {})):
        console.print(f"{names}: {text}")
    for name in ("report.html", "result.json"):
        if (folder / name).is_file():
            console.print(f"{name}: {folder / name}", soft_wrap=True)


def _provenance(texts: dict[str, str]) -> list[tuple[str, str]]:
    """Each text once, with what it is true of."""
    by_text: dict[str, list[str]] = {}
    for name, text in texts.items():
        by_text.setdefault(text, []).append(name)
    return [(", ".join(names), text) for text, names in by_text.items()]


def rows_scored(folder: Path) -> dict[str, int]:
    """Test rows behind each subset's score, from the last evaluation of test rows in the record."""
    rows: dict[str, int] = {}
    with (folder / "record.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["event"] == "evaluation" and row["split"] == "test":
                rows = row["rows"]
    return rows


def score(value: float | None) -> str:
    """Three digits, or a dash where the score is not defined."""
    return "-" if value is None else f"{value:.3f}"


def _subsets(result: dict[str, Any], rows: dict[str, int]) -> Table:
    if is_many(result["modalities"]):
        return _sizes(result)
    table = _table("subset", result["metric"], "rows")
    order = {name: place for place, name in enumerate(result["modalities"])}
    scores = result["metrics"]["per_subset"]
    for subset in sorted(scores, key=lambda name: (name.count("+"), [order[part] for part in name.split("+")])):
        table.add_row(subset, score(scores[subset]), str(rows.get(subset, "-")))
    return table


def _sizes(result: dict[str, Any]) -> Table:
    """The mean over the scored subsets of each size: names of many modalities fill a line each."""
    modalities = result["modalities"]
    table = _table("modalities given", f"mean {result['metric']}")
    means = with_sizes(result["metrics"]["per_subset"], modalities)
    for size in range(1, len(modalities) + 1):
        if (name := label(size, modalities)) in means:
            table.add_row(name, score(means[name]))
    return table


def _availability(result: dict[str, Any]) -> Table:
    modalities = result["modalities"]
    if is_many(modalities):
        table = _table("site", "mean", "most", "rows")
        for site, held in result["availability"].items():
            missing = [1 - held[modality] for modality in modalities]
            mean, most = sum(missing) / len(missing), max(missing)
            table.add_row(site, f"{mean:.0%}", f"{most:.0%}", str(result["rows"][site]))
        return table
    table = _table("site", *modalities, "rows")
    for site, held in result["availability"].items():
        shares = [f"{1 - held[modality]:.0%}" for modality in modalities]
        table.add_row(site, *shares, str(result["rows"][site]))
    return table


def _index(result: dict[str, Any]) -> str:
    how = result.get("contributions_setup") or {}
    index = {"banzhaf": "Banzhaf", "leave_one_out": "leave-one-out"}.get(how.get("index", ""), "Shapley")
    value = how.get("value", "accuracy")
    kind = "exact" if how.get("estimator", "exact") == "exact" else "estimated"
    return f"{kind} {index} value" + ("" if value == "accuracy" else f" of {value.replace('_', ' ')}")


def _contributions(result: dict[str, Any]) -> Table:
    table = _table("modality", "contribution")
    for modality in result["modalities"]:
        value = result["contributions"][modality]
        table.add_row(modality, "-" if value is None else f"{value:+.3f}")
    return table


def _table(first: str, *numbers: str) -> Table:
    table = Table(header_style="")
    table.add_column(first, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table
