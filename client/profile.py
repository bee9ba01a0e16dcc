"""Round 0 at a site: what it holds, as counts and sums, nothing per row and nothing below the site's floors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from client.policy import Policy, policy_of
from client.workplace import Workplace
from fedmce.folders.digests import salted_data_digest
from fedmce.folders.fingerprint import FolderFingerprint
from fedmce.missingness import keep_modalities
from fedmce.models import entry_sums, feature_sums
from fedmce.privacy import Cohort, rounded, told_entries, told_sums
from fedmce.site_errors import SiteError
from fedmce.wire import Arrays, Number, text_sha256


def profile(place: Workplace, policy: Policy | None = None) -> tuple[dict[str, Number], Arrays]:
    """Counts of rows, modalities, patterns and classes, and the sums behind the normalisation.

    With floors every count is rounded down, small patterns are merged into ``train.other``, and totals are made of what
    is told; a modality of fewer than ``k_min`` rows is not told at all.

    Args:
        place: the site.
        policy: of the site; default that of the plan alone.

    Returns:
        Numbers for the report (``rows``, ``validation_rows``, ``test_rows``, ``rows_by_modality`` in data set order,
        ``train.*`` and, of rows held out, ``heldout.*`` as :func:`availability_counts` names them,
        ``class_rows``) and arrays ``<modality>/total|square|count`` over observed training entries; with
        ``model.absent=mean_input`` and ``knn_input`` also ``entry_total|entry_count`` for every entry by itself.
    """
    policy = policy or policy_of(place)
    floors = policy.floors
    seen = keep_modalities(place.train, place.names, policy.told)
    numbers: dict[str, Number] = {
        "rows": policy.train.rows,
        "validation_rows": rounded(place.validation.rows, floors),
        "test_rows": rounded(place.test.rows, floors) if place.test is not None else 0,
        "rows_by_modality": list(policy.train.rows_by_modality),
        "class_rows": [rounded(int(n), floors) for n in np.bincount(seen.targets, minlength=len(place.task.classes))],
    }
    numbers |= _named("train", availability_counts(policy.train))
    if policy.heldout is not None:
        numbers |= _named("heldout", availability_counts(policy.heldout))
    if policy.train.other:
        numbers["train.other"] = policy.train.other
    arrays: Arrays = {}
    for modality in place.modalities:
        values = place.train.values[modality.name]
        raw = feature_sums(values, modality)
        sums = told_sums(raw, modality, floors)
        arrays[f"{modality.name}/total"] = sums.total
        arrays[f"{modality.name}/square"] = sums.square
        arrays[f"{modality.name}/count"] = sums.count
        if place.spec.needs_blank:
            entries = told_entries(entry_sums(values), raw, floors)
            arrays[f"{modality.name}/entry_total"] = entries.total
            arrays[f"{modality.name}/entry_count"] = entries.count
    return numbers, arrays


def availability_counts(told: Cohort) -> dict[str, list[int]]:
    """Rows by what they hold.

    Returns:
        ``size.modality, size.size, size.rows``: rows per modality and number of modalities held; and, where
        every subset is predicted, ``patterns, pattern_rows``. With many modalities a pattern is nearly a
        row of its own, so patterns do not travel.
    """
    keys = sorted(told.sizes)
    found = {
        "size.modality": [bit for bit, _ in keys],
        "size.size": [size for _, size in keys],
        "size.rows": [told.sizes[key] for key in keys],
    }
    if told.patterns is not None:
        found |= {"patterns": list(told.patterns), "pattern_rows": list(told.patterns.values())}
    return found


def told_data(folder: Path, config: str) -> str:
    """Digest of all values in a site folder, salted by the run: two sites with the same data tell the same.

    Args:
        folder: the site's.
        config: of the run, as it travels.

    Raises:
        SiteError: ``data_unavailable``.
    """
    try:
        return salted_data_digest(FolderFingerprint.take(folder).features(folder), text_sha256(config).encode())
    except OSError as error:
        raise SiteError("data_unavailable", f"{folder}: {error}; needed the site folder") from error


def _named(rows: str, counts: dict[str, list[int]]) -> dict[str, Number]:
    # Empty lists are left out, since their type would be unknown.
    return {f"{rows}.{name}": column for name, column in counts.items() if column}
