"""Writes run folders by the contract of docs/record.md. Every number in them is made up, for tests only."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from fedmce.metrics import spread, worst
from fedmce.record.derived import evenness, robustness
from fedmce.record.result import BESIDE, SCORED
from fedmce.record.scored import Metrics

Table = dict[str, float | None]
DIGITS = tuple("0123456789")
CAUTION = "made-up numbers: this run never took place, its figures only exercise the report"


def subsets_of(modalities: tuple[str, ...]) -> list[str]:
    """All non-empty subsets, smallest first."""
    return ["+".join(c) for n in range(1, len(modalities) + 1) for c in combinations(modalities, n)]


class MadeRun:
    """A fabricated run whose pieces fit together (bytes, rows and holders agree)."""

    def __init__(
        self, modalities: tuple[str, ...], sites: tuple[str, ...], rounds: int, metric: str, seed: int
    ) -> None:
        self.modalities, self.sites, self.rounds, self.metric = modalities, tuple(sorted(sites)), rounds, metric
        self.random = np.random.default_rng(seed)
        self.subsets = subsets_of(modalities)
        self.classes = DIGITS if metric == "accuracy" else ("no", "yes")
        self.empty = 1 / len(self.classes)
        self.train = {s: int(self.random.integers(120, 340)) for s in self.sites}
        self.masks = {s: self._mask(k, self.train[s]) for k, s in enumerate(self.sites)}

    def _mask(self, k: int, rows: int) -> np.ndarray:
        # Last modality rare everywhere but at the last site; the first site lacks it wholly.
        share = np.full(len(self.modalities), 0.75)
        share[-1] = 0.0 if k == 0 else 0.12
        if k == len(self.sites) - 1:
            share[0], share[-1] = 0.1, 0.8
        there = self.random.random((rows, len(self.modalities))) < share
        there[~there.any(axis=1), 0] = True
        return there

    def held(self, site: str) -> dict[str, int]:
        return {m: int(self.masks[site][:, i].sum()) for i, m in enumerate(self.modalities)}

    def score(self, subset: str, progress: float, lift: float = 0.0) -> float:
        worth = [0.46, 0.28, 0.2, 0.16, 0.12, 0.1]
        gain = 1 - np.prod([1 - worth[self.modalities.index(m) % 6] for m in subset.split("+")])
        noise = self.random.normal(0, 0.012)
        value = self.empty + (0.98 - self.empty) * gain * (1 - np.exp(-3.2 * progress)) + lift + noise
        return float(np.clip(value, 0.02, 0.999))

    def components(self, site: str) -> dict[str, int]:
        held = [m for m, n in self.held(site).items() if n]
        each = {"encoder": 52_000, "projection": 4_200, "head": 1_400, "completion": 4_300}
        return {f"{part}.{m}": n for m in held for part, n in each.items()} | {"fusion": 11_000}

    # --- events ---------------------------------------------------------------------------------

    def start(self) -> dict[str, Any]:
        return {
            "event": "start", "time": "2000-01-01T12:00:00Z", "schema": "fedmce.record/1", "fedmce_version": "0.1.0",
            "versions": {"python": "3.11.7", "torch": "2.13.0", "flwr": "1.41.0"}, "name": "made-up", "method": "fedmce",
            "dataset": "av_digits" if self.metric == "accuracy" else "heart_disease",
            "provenance": {m: f"{m}: fabricated by the test suite" for m in self.modalities} | {"labels": "fabricated"},
            "caution": [CAUTION], "modalities": list(self.modalities),
            "modality_info": {m: {"kind": "tabular", "shape": [8], "units": "none", "real": i == 0} for i, m in enumerate(self.modalities)},
            "sites": list(self.sites), "classes": list(self.classes), "metric": self.metric, "seed": 3, "rounds": self.rounds,
            "engine": "inprocess", "empty_value": self.empty, "masks_sha256": "ab" * 32, "fingerprint": "cd" * 32,
        }  # fmt: skip

    def profile(self, site: str) -> dict[str, Any]:
        names = [
            "+".join(m for m, there in zip(self.modalities, row, strict=True) if there) for row in self.masks[site]
        ]
        patterns = {s: names.count(s) for s in self.subsets if s in names}
        return {
            "event": "profile", "time": "2000-01-01T12:00:01Z", "site": site,
            "rows": {"train": self.train[site], "validation": 40}, "rows_by_modality": self.held(site),
            "patterns": patterns, "components": sorted(self.components(site)), "bytes_down": 300, "bytes_up": 900,
        }  # fmt: skip

    def phi(self, progress: float) -> dict[str, float | None]:
        alone = [self.score(m, progress) - self.empty for m in self.modalities]
        return dict(zip(self.modalities, [round(a * 0.8, 6) for a in alone], strict=True))

    def round(self, r: int) -> dict[str, Any]:
        refused = self.sites[1] if r == 2 else None
        holders: dict[str, list[str]] = {}
        for site in self.sites:
            for component in self.components(site):
                if site != refused:
                    holders.setdefault(component, []).append(site)
        weights = {}
        for component, of in sorted(holders.items()):
            rows = {
                s: self.held(s).get(component.split(".")[-1], self.train[s]) * self.random.uniform(0.7, 1.3) for s in of
            }
            weights[component] = {s: n / sum(rows.values()) for s, n in rows.items()}
        return {
            "event": "round", "time": "2000-01-01T12:01:00Z", "round": r, "void": False,
            "sites": {s: self.reply(s, s == refused) for s in self.sites}, "weights": weights,
            "contributions": self.phi(r / self.rounds),
            "contributions_by_site": {s: {m: v if self.held(s)[m] else None for m, v in self.phi(r / self.rounds).items()} for s in self.sites},
            "quality": {s: {m: float(self.random.uniform(0.6, 1.2)) for m, n in self.held(s).items() if n} for s in self.sites},
            "timing": {"total_s": 1.2, "train_s": 0.9, "evaluate_s": 0.2, "aggregate_s": 0.02},
        }  # fmt: skip

    def reply(self, site: str, refused: bool) -> dict[str, Any]:
        sent = self.components(site)
        return {
            "verdict": "not_finite" if refused else "accepted",
            "detail": "encoder.image/conv.weight holds NaN" if refused else "",
            "bytes_down": sum(sent.values()), "bytes_up": sum(sent.values()),
            "bytes_down_by_component": sent, "bytes_up_by_component": sent,
            "train_s": 0.15, "evaluate_s": 0.03,
            "update_size": {m: float(self.random.uniform(0.01, 0.03)) for m, n in self.held(site).items() if n}, "losses": {"task": 0.7, "subset": 1.1},
        }  # fmt: skip

    def evaluation(self, r: int, split: str) -> dict[str, Any]:
        progress = r / self.rounds
        per_subset: dict[str, float | None] = {s: self.score(s, progress) for s in self.subsets}
        lift = {s: self.random.normal(0, 0.04) for s in self.sites}
        rare = self.modalities[-1]
        per_site = {
            k: {
                s: None if not self.held(k)[rare] and rare in s.split("+") else self.score(s, progress, lift[k])
                for s in self.subsets
            }
            for k in self.sites
        }
        others = ["balanced_accuracy"] + ([] if self.metric == "accuracy" else ["accuracy", "auc_site_mean"])
        values = [v for v in per_subset.values() if v is not None]
        return {
            "event": "evaluation", "time": "2000-01-01T12:02:00Z", "round": r, "split": split, "where": "sites",
            "metric": self.metric, "per_subset": per_subset, "rows": {s: 360 // (1 + s.count("+")) for s in self.subsets},
            "mean_subset": float(np.mean(values)), "worst_subset": min(values), "full": per_subset[self.subsets[-1]],
            "per_site": per_site, "secondary": {o: {s: self.score(s, progress) for s in self.subsets} for o in others},
            "secondary_per_site": {others[0]: per_site},
        } | self.beside(per_subset, per_site, others, last=split == "test" and r == self.rounds)  # fmt: skip

    def beside(self, per_subset: Table, per_site: dict[str, Table], others: list[str], last: bool) -> dict[str, Any]:
        """What stands beside the scores of an evaluation; own patterns and hidden entries at the end alone."""

        def both() -> dict[str, float]:
            return {key: float(self.random.uniform(0.1, 0.9)) for key in ("mean_subset", "pooled_subset")}

        calibration = {
            name: {"per_subset": {s: float(self.random.uniform(0, 0.4)) for s in self.subsets}} | both()
            for name in ("expected_calibration_error", "brier")
        }
        overall = {name: both() for name in (self.metric, *others) if name != "auc_site_mean"}
        overall[self.metric]["mean_subset"] = float(np.mean([v for v in per_subset.values() if v is not None]))
        found = {
            "pooled_subset": overall[self.metric]["pooled_subset"], "overall": overall, "worst_subset_name": worst(per_subset)[0], "calibration": calibration,
        }  # fmt: skip
        if last:
            own = {site: table[self.modalities[0]] for site, table in per_site.items()}
            one = {"score": self.score(self.modalities[0], 1), "rows": 90, "per_site": own, "fairness": spread(own)}
            keys = ("cosine", "normalised_error", "without", "with_completed")
            hidden = {m: {"rows": 90} | {k: float(self.random.uniform(0, 1)) for k in keys} for m in self.modalities}
            found |= {"as_available": {"test": one}, "completion_quality": {"use": "full", "per_modality": hidden}}
        return found

    def result(
        self, start: dict[str, Any], rounds: list[dict[str, Any]], test: dict[str, Any], held: dict[str, Any]
    ) -> dict[str, Any]:
        keep = "fedmce_version name method dataset provenance caution metric classes modalities sites seed rounds engine masks_sha256 fingerprint"
        down = [sum(x["bytes_down"] for x in r["sites"].values()) for r in rounds]
        metrics = {k: test[k] for k in (*SCORED, *BESIDE) if k in test}
        metrics |= {"validation": {k: held[k] for k in ("per_subset", "mean_subset")}}
        pairs = ["+".join(c) for c in combinations(self.modalities, 2)]
        patterns = {s: self.profile(s)["patterns"] for s in self.sites}
        robust = robustness(Metrics.model_validate(metrics), patterns, self.subsets[-1])
        even = evenness(self.phi(1.0), rounds[-1]["contributions"], rounds)
        return {k: start[k] for k in keep.split()} | {
            "schema": "fedmce.result/1",
            "availability": {s: {m: n / self.train[s] for m, n in self.held(s).items()} for s in self.sites}, "rows": self.train,
            "metrics": metrics, "robustness": robust.model_dump(), "evenness": even.model_dump(),
            "contributions": self.phi(1.0), "contributions_received": rounds[-1]["contributions"],
            "interactions": {p: float(self.random.normal(0, 0.08)) for p in pairs}, "empty_value": self.empty,
            "weights": rounds[-1]["weights"],
            "refused": [{"round": 2, "site": self.sites[1], "reason": "not_finite", "detail": "encoder.image/conv.weight holds NaN"}],
            "communication": {"bytes_down_per_round": down, "bytes_up_per_round": down, "bytes_down": sum(down), "bytes_up": sum(down)},
            "timing": {"total_s": 41.5, "per_round_s": [1.2] * len(rounds), "train_s": 0.9 * len(rounds), "aggregate_s": 0.6, "evaluate_s": 6.0},
        }  # fmt: skip


def make_run(
    folder: Path,
    *,
    modalities: tuple[str, ...] = ("image", "audio"),
    sites: tuple[str, ...] = ("amber", "birch", "cedar", "delta", "elm", "fjord"),
    rounds: int = 12,
    metric: str = "accuracy",
    seed: int = 0,
    stop_after: int | None = None,
    evaluations: bool = True,
    changes: dict[str, Any] | None = None,
) -> Path:
    """Write a fabricated run folder.

    Args:
        folder: made where absent.
        modalities: names.
        sites: names.
        rounds: planned rounds.
        metric: ``accuracy`` or ``auc_within_sites``.
        seed: of the made-up numbers.
        stop_after: interrupted after so many rounds (no result.json); None = finished.
        evaluations: False = the model was never scored.
        changes: replaced keys of the ``start`` event.
    """
    made = MadeRun(modalities, sites, rounds, metric, seed)
    done = rounds if stop_after is None else stop_after
    start = made.start() | (changes or {})
    events: list[dict[str, Any]] = [start, *(made.profile(s) for s in made.sites)]
    played, test, held = [], {}, {}
    for r in range(done + 1):
        if r:
            played.append(made.round(r))
            events.append(played[-1])
        if evaluations:
            test, held = made.evaluation(r, "test"), made.evaluation(r, "validation")
            events += [held, test]
    status = "finished" if stop_after is None else "interrupted"
    events.append(
        {
            "event": "end",
            "time": "2000-01-01T12:05:00Z",
            "status": status,
            "reason": "" if stop_after is None else "ctrl-c",
            "rounds_done": done,
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.jsonl").write_text("".join(json.dumps(e, allow_nan=False) + "\n" for e in events))
    (folder / "config.yaml").write_text("seed: 3\nrounds: 12\nmissingness:\n  name: sitewise\n")
    ids = {f"ids/{s}": np.array([f"{s}-{i}" for i in range(made.train[s])]) for s in made.sites}
    np.savez(folder / "masks.npz", **ids, **{f"available/{s}": made.masks[s] for s in made.sites})
    if stop_after is None:
        (folder / "result.json").write_text(json.dumps(made.result(start, played, test, held), allow_nan=False))
    return folder
