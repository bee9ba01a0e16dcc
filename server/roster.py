"""Who takes part: the profile of each site and the node that stands for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedmce.config.schema import RunConfig
from fedmce.errors import WireError
from fedmce.models import FeatureSums, MultimodalNet, NetworkSpec, Statistics, components, modality_of, pool, state_of
from fedmce.subsets import subset_name
from fedmce.wire import Arrays


@dataclass(frozen=True)
class SiteProfile:
    """What a site said of itself in round 0.

    Attributes:
        site: its name.
        node_id: Flower's id of its node; random, never used to sort or seed.
        rows: training rows.
        validation_rows: validation rows.
        rows_by_modality: training rows that hold each modality.
        patterns: training rows per availability pattern (code).
        class_rows: training rows per class.
        sums: sums of observed entries per modality.
    """

    site: str
    node_id: int
    rows: int
    validation_rows: int
    rows_by_modality: dict[str, int]
    patterns: dict[int, int]
    class_rows: tuple[int, ...]
    sums: dict[str, FeatureSums]


def read_profile(
    node_id: int, stamp: Mapping[str, Any], report: Mapping[str, Any], sums: Arrays, spec: NetworkSpec
) -> SiteProfile:
    """Check a profile reply. Raises :class:`WireError` if counts or shapes do not fit together."""
    site = str(stamp.get("site", ""))
    try:
        by_modality = [int(n) for n in report["rows_by_modality"]]
        patterns = dict(zip(map(int, report["patterns"]), map(int, report["pattern_rows"]), strict=True))
        found = SiteProfile(
            site=site,
            node_id=node_id,
            rows=int(report["rows"]),
            validation_rows=int(report["validation_rows"]),
            rows_by_modality=dict(zip(spec.names, by_modality, strict=True)),
            patterns=patterns,
            class_rows=tuple(int(n) for n in report["class_rows"]),
            sums={
                m.name: FeatureSums(*(sums[f"{m.name}/{part}"] for part in ("total", "square", "count")))
                for m in spec.modalities
            },
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(f"profile of site {site!r}: {error}; the layout of the profile reply is needed") from error
    counts = [found.rows, found.validation_rows, *by_modality, *patterns.values(), *found.class_rows]
    if (
        min(counts) < 0
        or max(by_modality) > found.rows
        or sum(patterns.values()) != found.rows
        or sum(found.class_rows) != found.rows
    ):
        raise WireError(
            f"profile of site {site!r}: counts do not add up ({found.rows} rows, {by_modality}, {patterns})"
        )
    for modality in spec.modalities:
        part = found.sums[modality.name]
        if any(
            a.shape != modality.statistics_shape or not np.isfinite(a).all()
            for a in (part.total, part.square, part.count)
        ):
            raise WireError(
                f"profile of site {site!r}: sums of {modality.name} are not finite {modality.statistics_shape} arrays"
            )
    return found


@dataclass(frozen=True)
class Roster:
    """All sites with training rows, and what each may receive.

    Attributes:
        profiles: by site name, sorted.
        names: modality names in data set order.
        whole_model: every site works on every component (plain FedAvg).
        components: all components of the network.
    """

    profiles: dict[str, SiteProfile]
    names: tuple[str, ...]
    whole_model: bool
    components: tuple[str, ...]

    def modalities(self, site: str) -> tuple[str, ...]:
        """Modalities whose components the site is given: those that its training rows hold."""
        counts = self.profiles[site].rows_by_modality
        return tuple(m for m in self.names if self.whole_model or counts[m] > 0)

    def granted(self, site: str) -> tuple[str, ...]:
        """Components that the site receives and returns."""
        held = self.modalities(site)
        return tuple(c for c in self.components if (modality_of(c) or held[0]) in held)

    def rows_of(self, site: str, component: str) -> int:
        """Most rows that can have trained the component at the site."""
        profile, modality = self.profiles[site], modality_of(component)
        if modality is None or self.whole_model:
            return profile.rows
        bit = 1 << self.names.index(modality)
        if component.startswith("completion."):
            return sum(n for code, n in profile.patterns.items() if code & bit and code != bit)
        return profile.rows_by_modality[modality]

    @property
    def all_rows(self) -> int:
        """Training rows of all sites."""
        return sum(p.rows for p in self.profiles.values())

    @property
    def all_rows_by_modality(self) -> tuple[int, ...]:
        """Training rows that hold each modality, over all sites."""
        return tuple(sum(p.rows_by_modality[m] for p in self.profiles.values()) for m in self.names)

    @property
    def empty_value(self) -> float:
        """v(nothing): hit rate of always naming the most frequent class."""
        classes = np.sum([p.class_rows for p in self.profiles.values()], axis=0)
        return float(classes.max() / max(classes.sum(), 1))

    def statistics(self, spec: NetworkSpec) -> dict[str, Statistics]:
        """Pooled mean and standard deviation per modality."""
        return {m.name: pool({s: p.sums[m.name] for s, p in self.profiles.items()}) for m in spec.modalities}

    def record_row(self, site: str) -> dict[str, Any]:
        """The site's ``profile`` event."""
        p = self.profiles[site]
        return {
            "site": site,
            "rows": {"train": p.rows, "validation": p.validation_rows},
            "rows_by_modality": p.rows_by_modality,
            "patterns": {subset_name(code, self.names): n for code, n in sorted(p.patterns.items())},
            "components": list(self.granted(site)),
        }


def make_roster(profiles: Mapping[str, SiteProfile], spec: NetworkSpec, config: RunConfig) -> Roster:
    """Roster of the sites that have training rows, sorted by name."""
    names = tuple(components(state_of(MultimodalNet(spec))))
    kept = {site: profiles[site] for site in sorted(profiles) if profiles[site].rows > 0}
    return Roster(kept, spec.names, config.aggregation.whole_model, names)
