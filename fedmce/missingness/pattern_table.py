"""``pattern_table``: named patterns with their shares or counts.

For masks whose patterns are not independent, such as the nuScenes files of MCE, where rates hold but camera with radar
never occurs, and no formula reproduces what does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.config.missingness import PatternTableConfig
from fedmce.missingness.counts import counts
from fedmce.missingness.deal import deal_to_sites
from fedmce.missingness.mechanism import Hidden, Rates, SiteView, mechanism


def table(
    patterns: dict[str, float], modalities: tuple[str, ...]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Which modalities each pattern holds, bool ``(patterns, modalities)``, and its share, ``(patterns,)``.

    Patterns are sorted by name, so that the order in which they are written changes nothing.
    """
    names = sorted(patterns)
    held = np.array([[m in name.split("+") for m in modalities] for name in names], dtype=bool)
    weights = np.array([patterns[name] for name in names], dtype=np.float64)
    return held, weights / weights.sum()


@mechanism("pattern_table")
def pattern_table(config: PatternTableConfig, view: SiteView) -> tuple[Hidden, Rates]:
    """Hide what each row's pattern lacks; rows that rounding leaves over draw their pattern by the shares."""
    held, shares = table(config.patterns, view.modalities)
    if config.scope == "all":
        sizes = dict(view.split_rows) or {view.site: len(view.sample_ids)}
        everywhere = counts(shares, sum(sizes.values()), config.rounding)
        numbers = deal_to_sites(everywhere, sizes, view.site, view.seed, f"pattern-table/{view.split}")
    else:
        numbers = counts(shares, len(view.sample_ids), config.rounding)
    dealt = view.lot("pattern-table")
    pattern = np.empty(len(dealt), dtype=np.int64)
    given = int(numbers.sum())
    pattern[dealt[:given]] = np.repeat(np.arange(len(held)), numbers)
    rest = view.uniforms("pattern-table-rest", ["row"])[dealt[given:], 0]
    pattern[dealt[given:]] = np.searchsorted(np.cumsum(shares), rest, side="right").clip(max=len(held) - 1)
    rates = dict(zip(view.modalities, (1.0 - shares @ held).clip(0, 1).tolist(), strict=True))
    return view.available & ~held[pattern], rates
