"""Predictions of a site that has components of some modalities only, for every subset of what a row holds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.models import MultimodalNet
from fedmce.objectives.pairs import all_pairs
from fedmce.subsets import pattern_codes
from fedmce.training.device_rows import DeviceRows
from fedmce.training.evaluation import Predictions, predict_pairs


def predict_own(
    net: MultimodalNet, rows: DeviceRows, usable: tuple[str, ...], prior: npt.NDArray[np.float64]
) -> Predictions:
    """Score every subset of what each row holds with the part of it that the site can read.

    A subset of which the site can read nothing is answered by the shares of its classes: that is all it knows.

    Args:
        net: the components that the site has.
        rows: rows with whatever they hold.
        usable: modalities whose components are all there.
        prior: shares of the classes at the site, ``(classes,)``.

    Returns:
        Predictions under the codes of the subsets that were asked for.
    """
    names = net.spec.names
    able = sum(1 << bit for bit, name in enumerate(names) if name in usable)
    asked = all_pairs(rows.observed.available)
    read = asked.subset & able
    pattern = pattern_codes(rows.observed.available)[asked.row]
    probability = np.tile(prior, (len(read), 1))
    known = np.flatnonzero(read)
    if len(known):
        probability[known] = predict_pairs(net, rows, asked.row[known], read[known]).probability
    return Predictions(asked.row, asked.subset, pattern, probability, rows.observed.targets[asked.row], None)
