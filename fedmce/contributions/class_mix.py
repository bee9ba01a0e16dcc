"""What a site's mix of classes lets expect of its modalities, from recalls that all sites measured together.

A modality is worth more for some classes than for others: gravity tells postures apart, motion tells walks apart. Where
labels are skewed between sites, a site may get little from a sensor that is in order, and contributions that were
standardised by patterns alone would take it for a broken one. Indirect standardisation (as of mortality rates by age)
compares it with what its own classes get on average.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedmce.contributions.exact import shapley

Cells = Mapping[str, Mapping[int, Sequence[float]]]  # metric -> subset -> (total, count)
LEAST_VALUE = 0.01  # a pooled contribution below this is no scale to measure with
MOST = 5.0  # a factor stays within 1/MOST and MOST


def class_factors(
    cells: Mapping[str, Cells], class_rows: Mapping[str, Sequence[int]], modalities: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Expected contribution of each site's classes over that of all sites' classes.

    With phi_cm the Shapley value of modality m in the game of class c, v_c(S) = recall of c from the subset S over the
    validation rows of all sites, and p_kc the share of class c in the training rows of site k:

        factor_km = sum_c p_kc phi_cm / sum_c p_c phi_cm

    Args:
        cells: sums ``recall:<class>`` per subset, by site, for all subsets of the modalities.
        class_rows: training rows per class, by site.
        modalities: names in data set order.

    Returns:
        site -> modality -> factor, 1 where nothing is known; classes without a validation row in some subset count as
        the others.
    """
    classes = len(next(iter(class_rows.values()), ()))
    whole = [sum(rows[c] for rows in class_rows.values()) for c in range(classes)]
    phi = _class_values(cells, classes, max(range(classes), key=whole.__getitem__, default=0), len(modalities))
    found: dict[str, dict[str, float]] = {}
    for site in sorted(class_rows):
        found[site] = {}
        for bit, name in enumerate(modalities):
            pooled, own = _mean(whole, phi, bit), _mean(class_rows[site], phi, bit)
            known = pooled is not None and own is not None and pooled > LEAST_VALUE
            found[site][name] = min(max(own / pooled, 1 / MOST), MOST) if known else 1.0  # type: ignore[operator]
    return found


def _class_values(
    cells: Mapping[str, Cells], classes: int, common: int, modalities: int
) -> dict[int, dict[int, float]]:
    """Shapley value per modality in the game of each class whose every subset was scored."""
    full = (1 << modalities) - 1
    sums: dict[tuple[int, int], list[float]] = {}
    for site in sorted(cells):
        for c in range(classes):
            for code, (total, count) in cells[site].get(f"recall:{c}", {}).items():
                pooled = sums.setdefault((c, code), [0.0, 0.0])
                pooled[0] += total
                pooled[1] += count
    found = {}
    for c in range(classes):
        game = {code: total / count for (of, code), (total, count) in sums.items() if of == c and count > 0}
        if len(game) == full:
            # Without any modality the most frequent class is named.
            found[c] = shapley(game | {0: float(c == common)}, full)
    return found


def _mean(rows: Sequence[int], phi: Mapping[int, Mapping[int, float]], bit: int) -> float | None:
    total = sum(rows[c] for c in phi)
    return sum(rows[c] * phi[c][bit] for c in sorted(phi)) / total if total else None
