"""Everything that rows of one site say of a model, as sums: whoever holds the rows adds up the same way."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fedmce.config.schema import RunConfig
from fedmce.contributions import Tally, is_exact
from fedmce.metrics import Cells, calibration_sums, class_sums, score_sums
from fedmce.metrics.tables import Tables
from fedmce.models import MultimodalNet
from fedmce.streams import generator
from fedmce.subsets import LISTED
from fedmce.training.at_site import stand_in_counts
from fedmce.training.device_rows import DeviceRows
from fedmce.training.evaluation import Predictions, predict_full, predict_subsets
from fedmce.training.hidden_entries import HiddenEntries, completes_tokens, hide_each
from fedmce.training.measurement import empty_tally, measure

StandIns = dict[str, dict[str, int]]


@dataclass(frozen=True)
class ScoredRows:
    """Sums over test rows of one site.

    Attributes:
        cells: per metric and subset.
        classes: per subset, for F1 (:func:`fedmce.metrics.class_sums`).
        calibration: per subset (:func:`fedmce.metrics.calibration_sums`).
        tally: contributions of the modalities on these rows.
        completed: cells with completed tokens; None where the model uses none.
        stand_ins: what was filled from neighbours; None where nothing is.
        own: each row answered with what it holds, under code 0; of the last evaluation alone.
        own_validation: the same of validation rows as their site sees them.
        hidden: completion of hidden entries; None where the model completes no tokens.
    """

    cells: Cells
    classes: Tables
    calibration: Tables
    tally: Tally
    completed: Cells | None = None
    stand_ins: StandIns | None = None
    own: Cells | None = None
    own_validation: Cells | None = None
    hidden: HiddenEntries | None = None


def score_rows(net: MultimodalNet, rows: DeviceRows, config: RunConfig, site: str) -> tuple[ScoredRows, Predictions]:
    """Score test rows with a model that has every component.

    Args:
        net: the model; left in evaluation mode.
        rows: test rows of one site.
        config: contributions and seed.
        site: names the stream from which subsets are drawn where they are sampled.

    Returns:
        The sums, and the predictions of every scored subset that they are made of.
    """
    stream = generator(config.seed, "contributions", "test", site)
    found, tally = measure(net, rows, config.contributions, stream)
    modalities = len(net.spec.names)
    if modalities > LISTED or not is_exact(config.contributions, modalities):
        found = predict_subsets(net, rows)  # scores are of other subsets than contributions
    use = net.spec.use_completion
    return (
        ScoredRows(
            cells=found.cells(),
            classes=class_sums(found.subset, found.probability, found.target),
            calibration=calibration_sums(found.subset, found.probability, found.target),
            tally=tally,
            completed=predict_subsets(net, rows, use).cells() if use != "off" else None,
            stand_ins=stand_in_counts({site: rows}),
        ),
        found,
    )


def with_last(scored: ScoredRows, net: MultimodalNet, rows: DeviceRows | None, seen: DeviceRows | None) -> ScoredRows:
    """What is looked at once, when nothing is trained any more: own patterns, and completion of hidden entries.

    Args:
        scored: of the test rows.
        net: the same model.
        rows: the same rows; None where there is none.
        seen: validation rows under the masks of training; None where there is none.
    """
    use = net.spec.use_completion if net.spec.use_completion != "off" else "full"
    return replace(
        scored,
        own=own_cells(net, rows) if rows is not None else None,
        own_validation=own_cells(net, seen) if seen is not None else None,
        hidden=hide_each(net, rows, use) if rows is not None and completes_tokens(net) else None,
    )


def nothing_scored(config: RunConfig, modalities: int) -> ScoredRows:
    """The sums of no rows."""
    return ScoredRows({}, {}, {}, empty_tally(config.contributions, modalities))


def own_cells(net: MultimodalNet, rows: DeviceRows) -> Cells:
    """Each row answered with everything that it holds; cells under code 0, whatever the row's pattern."""
    found = predict_full(net, rows)
    return score_sums(np.zeros_like(found.subset), found.probability, found.target)
