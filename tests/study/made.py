"""Results of a study that nobody ran: scores by formula, records as :func:`fedmce.study.compact.compact` makes them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from fedmce.config.study import StudyConfig
from fedmce.study.plan import Choice
from fedmce.study.results import Facts, Results

MODALITIES = ("image", "audio")


def study(**changes: Any) -> StudyConfig:
    """Three methods, two settings, four seeds."""
    tree: dict[str, Any] = {
        "name": "made",
        "settings": {"easy": ["dataset=av_digits"], "hard": ["dataset=av_digits"]},
        "methods": {"ours": [], "plain": [], "other": []},
        "reference": "ours",
        "seeds": [0, 1, 2, 3],
    }
    return StudyConfig.model_validate(tree | changes)


def record(
    setting: str, method: str, seed: int, mean: float, modalities: tuple[str, ...] = MODALITIES
) -> dict[str, Any]:
    """A record whose mean over subsets is ``mean``, single modalities a tenth below and all of them above."""
    names = ["+".join(p) for size in range(1, len(modalities) + 1) for p in combinations(modalities, size)]
    offsets = np.linspace(-0.1, 0.1, len(names))
    subsets = {name: float(mean + offset) for name, offset in zip(names, offsets, strict=True)}
    sites = ["north", "south"]
    return {
        "cell": {"setting": setting, "method": method, "seed": seed, "values": {}, "tunes": False},
        "metric": "accuracy",
        "modalities": list(modalities),
        "sites": sites,
        "versions": {"fedmce": "0.1.0", "torch": "2.13.0"},
        "hashes": {
            "fingerprint": f"{setting}{method}{seed}",
            "masks": f"masks of {setting} {seed}",
            "splits": f"splits of {setting} {seed}",
            "initial": {"fusion": f"shape {method}:values {seed}", "encoder.image": f"shape:values {seed}"},
            "code": "c0de",
        },
        "metrics": {
            "per_subset": subsets,
            "mean_subset": mean,
            "worst_subset": mean - 0.1,
            "full": mean + 0.1,
            "per_site": dict.fromkeys(sites, subsets),
            "rows": dict.fromkeys(names, 40),
            "secondary": {"macro_f1": {name: value / 2 for name, value in subsets.items()}},
            "validation": {"per_subset": subsets, "mean_subset": mean + 0.01},
            "completed": None,
        },
        "bytes": {"bytes_down": 1000, "bytes_up": 900},
        "seconds": {"total_s": 2.5, "train_s": 1.0, "aggregate_s": 0.1, "evaluate_s": 0.4},
        "patterns": {"north": {names[0]: 30, names[-1]: 70}, "south": {names[-1]: 50}},
    }


def results(made: StudyConfig, scores: dict[tuple[str, str], list[float]], **changes: Any) -> Results:
    """Results with the given mean score per (setting, method) and seed."""
    facts = {
        name: Facts(s.dataset or "av_digits", s.protocol or name, s.x, s.curve or s.dataset or "av_digits", s.rare)
        for name, s in made.settings.items()
    }
    records = {
        (setting, method, seed): record(setting, method, seed, value)
        for (setting, method), values in scores.items()
        for seed, value in zip(made.seeds, values, strict=False)
    }
    choices = {(method, setting): Choice(()) for method in made.methods for setting in made.settings}
    given: dict[str, Any] = {"lost": (), "open": 0, "seconds": 60.0, "runs": len(records), "codes": ("c0de",)} | changes
    return Results(study=made, facts=facts, records=records, choices=choices, **given)
