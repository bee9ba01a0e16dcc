"""One cell of the matrix: a trained model under one mechanism on test rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedmce.config.missingness import MissingnessConfig
from fedmce.matrix.trained import TrainedRun
from fedmce.metrics import Cells, add_cells, as_available, deployed, mean_score, pattern_shares, primary, score_sums
from fedmce.missingness.scoring_mask import draw_test_masks
from fedmce.subsets import LISTED, pattern_codes, scored_subsets, subset_name
from fedmce.training import Predictions, predict_pairs

Ints = npt.NDArray[np.int64]
Score = float | None


@dataclass(frozen=True)
class Scored:
    """Scores of one model under one mechanism.

    Attributes:
        under: label of the mechanism.
        metric: of the task.
        as_available: all test rows together, each answered with what the mask leaves it.
        mean_over_sites: the same per site, then the mean over the sites that have a score.
        deployed: sum over subsets S of pi(S) P(S): P(S) is the score of all test rows that hold S with only S shown,
            pi(S) the share of rows that the mask leaves with S. It differs from ``as_available`` by the luck of
            which rows were left with what, and has less of it.
        covered: share of the rows whose pattern has a score P(S).
        rows: test rows that the mask leaves something.
        per_site: ``as_available`` site by site.
        shares: pi(S) by name of the subset; rows that are left with nothing count as ``nothing``.
        per_pattern: score of the rows of each pattern, answered with it.
        masks_sha256: hash of the masks.
    """

    under: str
    metric: str
    as_available: Score
    mean_over_sites: Score
    deployed: Score
    covered: float
    rows: int
    per_site: dict[str, Score]
    shares: dict[str, float]
    per_pattern: dict[str, Score]
    masks_sha256: str


def score_under(run: TrainedRun, under: str, mechanism: MissingnessConfig, seed: int | None = None) -> Scored:
    """Score a run's model as if its test rows missed modalities by a mechanism.

    Args:
        run: the model and its test rows.
        under: label of the mechanism.
        mechanism: section of the mechanism; may differ from the one that the run was trained under.
        seed: root of the masks; default the run's own, so that runs of one seed are scored under the same masks.
    """
    root = run.config.seed if seed is None else seed
    masks = draw_test_masks(run.dataset, mechanism, root, sorted(run.rows))
    names, metric = run.model.network.spec.names, run.dataset.task.metric
    pooled: dict[str, Cells] = {}
    by_pattern: dict[str, Cells] = {}
    counts: dict[str, dict[str, int]] = {}
    for site in run.rows:
        pattern = _patterns(run, site, masks.sites[site].available)
        counts[site] = {subset_name(int(c), names): int((pattern == c).sum()) for c in np.unique(pattern)}
        answers = _answers(run, site, pattern)
        pooled[site] = score_sums(np.zeros_like(answers.subset), answers.probability, answers.target)
        by_pattern[site] = score_sums(answers.subset, answers.probability, answers.target)
    whole = as_available(pooled, metric)
    shares = pattern_shares(counts.values())
    expected = deployed(_per_subset(run), shares)
    found = add_cells(by_pattern)
    codes = {subset_name(code, names): code for code in found["accuracy"]}
    return Scored(
        under=under,
        metric=metric,
        as_available=whole["score"],
        mean_over_sites=mean_score(list(whole["per_site"].values())),
        deployed=expected.score,
        covered=expected.covered,
        rows=whole["rows"],
        per_site=whole["per_site"],
        shares=shares,
        per_pattern=primary(found, metric, codes),
        masks_sha256=masks.sha256(),
    )


def _patterns(run: TrainedRun, site: str, available: npt.NDArray[np.bool_]) -> Ints:
    """Code of what the mask leaves of each observed test row; 0 = nothing."""
    rows = run.dataset.sites[site]
    # The order of DeviceRows: test rows that naturally hold something.
    kept = np.flatnonzero((rows.split == "test") & rows.available.any(axis=1))
    return pattern_codes(available[kept])


def _answers(run: TrainedRun, site: str, pattern: Ints) -> Predictions:
    """One prediction per row that is left with something, from exactly that."""
    rows = np.flatnonzero(pattern)
    if len(run.model.network.spec.names) > LISTED:
        return predict_pairs(run.model.network, run.rows[site], rows, pattern[rows], run.use_completion)
    every = run.every_subset(site)
    own = every.subset == pattern[every.row]
    return Predictions(
        every.row[own], every.subset[own], every.pattern[own], every.probability[own], every.target[own], None
    )


def _per_subset(run: TrainedRun) -> dict[str, Score]:
    """P(S) over all test rows that hold S."""
    cells = add_cells({site: run.every_subset(site).cells() for site in run.rows})
    return primary(cells, run.dataset.task.metric, scored_subsets(run.model.network.spec.names))
