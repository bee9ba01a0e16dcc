"""Logistic regression on heart_disease, blocks alone and together: what the splits and codes of the loader allow.

    python tools/heart_baseline.py DIR --seeds 10

Trained centrally on training and validation rows (holes = training mean, standardised, C 0.5, balanced
class weights), scored by the mean of the hospitals' AUC and by pooled AUC. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fedmce.config.schema import HeartDiseaseConfig
from fedmce.data import load_dataset

HOSPITALS_SCORED = ("cleveland", "hungarian", "va")  # switzerland's two or three negatives decide nothing


def score(data_dir: Path, seed: int) -> dict[str, tuple[float, float]]:
    """Mean AUC within hospitals and pooled AUC per choice of blocks; rows without the block are left out."""
    sites = load_dataset(HeartDiseaseConfig(), data_dir, seed).sites
    hospital = np.concatenate([np.full(len(s.targets), name) for name, s in sites.items()])
    target = np.concatenate([s.targets for s in sites.values()])
    test = np.concatenate([s.split == "test" for s in sites.values()])
    available = np.concatenate([s.available for s in sites.values()])
    names = list(next(iter(sites.values())).features)
    blocks = {name: np.concatenate([s.features[name] for s in sites.values()]) for name in names}
    found = {}
    for key, chosen in [*((name, [name]) for name in names), ("all", names)]:
        x = np.concatenate([blocks[name] for name in chosen], axis=1)
        held = available[:, [names.index(name) for name in chosen]].any(axis=1)
        model = make_pipeline(
            SimpleImputer(), StandardScaler(), LogisticRegression(C=0.5, class_weight="balanced", max_iter=1000)
        )
        model.fit(x[held & ~test], target[held & ~test])
        rows = held & test
        score = np.full(len(target), np.nan)
        score[rows] = model.decision_function(x[rows])
        within = []
        for name in HOSPITALS_SCORED:
            own = rows & (hospital == name)
            if len(set(target[own])) == 2:
                within.append(roc_auc_score(target[own], score[own]))
        found[key] = (float(np.mean(within)), float(roc_auc_score(target[rows], score[rows])))
    return found


def main() -> None:
    """Print mean and population standard deviation over seeds."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("data_dir", type=Path)
    ask.add_argument("--seeds", type=int, default=10)
    given = ask.parse_args()
    runs = [score(given.data_dir, seed) for seed in range(given.seeds)]
    for key in runs[0]:
        values = np.array([run[key] for run in runs])
        (within, pooled), (a, b) = values.mean(0), values.std(0)
        print(f"{key}: within {within:.3f} +- {a:.3f}, pooled {pooled:.3f} +- {b:.3f}")


if __name__ == "__main__":
    main()
