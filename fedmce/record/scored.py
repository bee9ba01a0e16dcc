"""Scores of the final model in ``result.json``, as its last evaluation gave them."""

from __future__ import annotations

from pydantic import Field

from fedmce.record.part import Part, Score


class CompletedScores(Part):
    """Scores with completed tokens for what a subset lacks; beside, never instead of, the plain ones."""

    use: str
    per_subset: dict[str, Score]
    mean_subset: Score
    worst_subset: Score


class ValidationScores(Part):
    """Scores on validation rows, each at its own site, of the final model."""

    per_subset: dict[str, Score]
    mean_subset: Score
    completed: CompletedScores | None = None


class BothMeans(Part):
    """The mean over subsets, and the score of all (row, subset) pairs together."""

    mean_subset: Score
    pooled_subset: Score


class Calibration(BothMeans):
    """One calibration measure per subset; lower is better."""

    per_subset: dict[str, Score]


class Fairness(Part):
    """How even a score is over the sites that have one (:func:`fedmce.metrics.spread`)."""

    sites: int
    mean: Score
    sd: Score
    percentile_10: Score
    worst_decile: Score
    worst: Score
    worst_site: str | None
    jain: Score


class AsAvailable(Part):
    """Each row answered with what it really has."""

    score: Score
    rows: int
    per_site: dict[str, Score]
    fairness: Fairness


class HiddenModality(Part):
    """Completion of one modality where it is there and was hidden from the row."""

    rows: int
    cosine: Score
    normalised_error: Score
    without: Score
    with_completed: Score


class CompletionQuality(Part):
    """Completion of hidden entries, with completed tokens used as ``use`` says."""

    use: str
    per_modality: dict[str, HiddenModality]


class Metrics(Part):
    """Scores of the final model on test rows. What older records lack is empty or None."""

    per_subset: dict[str, Score]
    mean_subset: Score
    pooled_subset: Score = None
    worst_subset: Score
    worst_subset_name: str | None = None
    full: Score
    per_site: dict[str, dict[str, Score]]
    rows: dict[str, int]
    secondary: dict[str, dict[str, Score]]
    overall: dict[str, BothMeans] = Field(default_factory=dict)
    calibration: dict[str, Calibration] = Field(default_factory=dict)
    as_available: dict[str, AsAvailable] = Field(default_factory=dict)
    completion_quality: CompletionQuality | None = None
    validation: ValidationScores | None
    completed: CompletedScores | None = None
