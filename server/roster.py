"""Who takes part: the profile of each site and the node that stands for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fedmce.config.schema import ContributionsConfig, PrivacyConfig, RunConfig
from fedmce.contributions import prior_value, tells_patterns
from fedmce.errors import WireError
from fedmce.models import (
    EntrySums,
    FeatureSums,
    MultimodalNet,
    NetworkSpec,
    Statistics,
    blank_sample,
    components,
    modality_of,
    pool,
    state_of,
)
from fedmce.subsets import subset_name
from fedmce.wire import DATA, Arrays

DIGEST_LENGTH = 64  # of SHA-256, in hexadecimal digits


@dataclass(frozen=True)
class RowCounts:
    """Rows by what they hold.

    Attributes:
        patterns: rows per availability pattern (code); None where sites do not tell them.
        sizes: rows per (modality bit, modalities that the row holds).
        other: rows of patterns that are too small to be told; in no other count but the totals.
    """

    patterns: dict[int, int] | None
    sizes: dict[tuple[int, int], int]
    other: int = 0


@dataclass(frozen=True)
class SiteProfile:
    """What a site said of itself in round 0.

    Attributes:
        site: its name.
        node_id: Flower's id of its node; random, never used to sort or seed.
        rows: training rows.
        validation_rows: validation rows.
        test_rows: test rows that the site will score itself; 0 where the server scores them.
        rows_by_modality: training rows that hold each modality.
        train: training rows by what they hold.
        heldout: the same of rows that never train; None unless ``contributions.source=heldout``.
        class_rows: training rows per class.
        sums: sums of observed entries per modality.
        entries: sums of each entry by itself; empty unless their mean stands in for what is absent.
        data: digest of all values in the site's folder; empty where sites have no folders of their own.
    """

    site: str
    node_id: int
    rows: int
    validation_rows: int
    rows_by_modality: dict[str, int]
    train: RowCounts
    heldout: RowCounts | None
    class_rows: tuple[int, ...]
    sums: dict[str, FeatureSums]
    test_rows: int = 0
    entries: dict[str, EntrySums] = field(default_factory=dict)
    data: str = ""


def read_profile(
    node_id: int,
    stamp: Mapping[str, Any],
    report: Mapping[str, Any],
    sums: Arrays,
    spec: NetworkSpec,
    contributions: ContributionsConfig,
    floors: PrivacyConfig | None = None,
) -> SiteProfile:
    """Check a profile reply. Raises :class:`WireError` if counts or shapes do not fit together.

    With floors the parts of a count may be too small to be told, so that they need not add up to it, and a count that
    is finer than the floors let any site tell is refused: nobody here wants to know it.
    """
    floors = floors or PrivacyConfig.model_validate({})
    site = str(stamp.get("site", ""))
    told = tells_patterns(contributions, len(spec.names))
    try:
        by_modality = [int(n) for n in report["rows_by_modality"]]
        found = SiteProfile(
            site=site,
            node_id=node_id,
            rows=int(report["rows"]),
            validation_rows=int(report["validation_rows"]),
            rows_by_modality=dict(zip(spec.names, by_modality, strict=True)),
            train=_row_counts("train", report, told),
            heldout=_row_counts("heldout", report, told) if contributions.source == "heldout" else None,
            class_rows=tuple(int(n) for n in report["class_rows"]),
            sums={
                m.name: FeatureSums(*(sums[f"{m.name}/{part}"] for part in ("total", "square", "count")))
                for m in spec.modalities
            },
            test_rows=int(report["test_rows"]),
            entries={
                m.name: EntrySums(*(sums[f"{m.name}/{part}"] for part in ("entry_total", "entry_count")))
                for m in (spec.modalities if spec.needs_blank else ())
            },
            data=str(stamp.get(DATA, ""))[:DIGEST_LENGTH],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(f"profile of site {site!r}: {error}; the layout of the profile reply is needed") from error
    counts = [found.rows, found.validation_rows, found.test_rows, *by_modality, *found.class_rows]
    parts = [n for rows in (found.train, found.heldout) if rows for n in (*(rows.patterns or {}).values(), rows.other)]
    fine = [n for n in (*counts, *parts) if n % floors.count_step or 0 < n < floors.k_min]
    if fine:
        raise WireError(
            f"profile of site {site!r}: tells counts finer than privacy.count_step={floors.count_step} and "
            f"k_min={floors.k_min} allow; the site runs another version or another plan"
        )
    if (
        min(counts) < 0
        or max(by_modality) > found.rows
        or not _adds_up(found, by_modality, floors)
        or not all(_fit(rows, len(spec.names)) for rows in (found.train, found.heldout) if rows is not None)
    ):
        raise WireError(
            f"profile of site {site!r}: counts do not add up ({found.rows} rows, {by_modality}, {found.train})"
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
        entries = found.entries.get(modality.name)
        if entries and any(
            a.shape != modality.shape or not np.isfinite(a).all() for a in (entries.total, entries.count)
        ):
            raise WireError(
                f"profile of site {site!r}: entries of {modality.name} are not finite {modality.shape} arrays"
            )
    return found


def _row_counts(rows: str, report: Mapping[str, Any], told: bool) -> RowCounts:
    # A site without such rows leaves the columns out.
    columns = [
        [int(n) for n in report.get(f"{rows}.{name}", ())] for name in ("size.modality", "size.size", "size.rows")
    ]
    sizes = {(m, k): n for m, k, n in zip(*columns, strict=True)}
    if not told:
        return RowCounts(None, sizes)
    codes, counts = (report.get(f"{rows}.{name}", ()) for name in ("patterns", "pattern_rows"))
    return RowCounts(
        dict(zip(map(int, codes), map(int, counts), strict=True)), sizes, int(report.get(f"{rows}.other", 0))
    )


def _adds_up(found: SiteProfile, by_modality: list[int], floors: PrivacyConfig) -> bool:
    """Rows, modalities, patterns and classes tell the same rows, as far as floors let them."""
    train = found.train
    held = [sum(n for (m, _), n in train.sizes.items() if m == bit) for bit in range(len(by_modality))]
    merged = train.other
    if merged < 0 or (train.patterns is not None and sum(train.patterns.values()) + merged != found.rows):
        return False
    if floors.is_open:
        return held == by_modality and merged == 0 and sum(found.class_rows) == found.rows
    # Each part was rounded down by itself, and what no pattern tells is missing in all of them.
    parts = len(train.patterns or train.sizes) + 1
    most = found.rows + parts * (floors.count_step - 1) + floors.k_min - 1
    return all(told <= whole for told, whole in zip(held, by_modality, strict=True)) and sum(found.class_rows) <= most


def _fit(rows: RowCounts, modalities: int) -> bool:
    """Counts are positive, of modalities and sizes that there are, and both tellings agree."""
    if not all(0 <= m < modalities and 1 <= k <= modalities and n > 0 for (m, k), n in rows.sizes.items()):
        return False
    if rows.patterns is None:
        return True
    if not all(0 <= code < 1 << modalities and n > 0 for code, n in rows.patterns.items()):
        return False
    sizes: dict[tuple[int, int], int] = {}
    for code, count in rows.patterns.items():
        for bit in (m for m in range(modalities) if code >> m & 1):
            key = (bit, code.bit_count())
            sizes[key] = sizes.get(key, 0) + count
    return sizes == rows.sizes


@dataclass(frozen=True)
class Roster:
    """All sites with training rows, and what each may receive.

    Attributes:
        profiles: by site name, sorted.
        names: modality names in data set order.
        whole_model: every site works on every component (plain FedAvg).
        components: all components of the network.
        spec: the network.
        value: value function of contributions.
    """

    profiles: dict[str, SiteProfile]
    names: tuple[str, ...]
    whole_model: bool
    components: tuple[str, ...]
    spec: NetworkSpec
    value: str = "accuracy"

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
        if component.startswith("completion."):
            alone = profile.train.sizes.get((self.names.index(modality), 1), 0)
            return profile.rows_by_modality[modality] - alone
        return profile.rows_by_modality[modality]

    def pairs_per_row(self, site: str) -> float:
        """(row, subset) pairs per training row of the site: mean of 2^n - 1 over its rows that hold n modalities."""
        profile = self.profiles[site]
        rows = {int(size): count for size, count in _by_size(profile.train).items()}
        return sum(count * (2.0**size - 1.0) for size, count in rows.items()) / max(sum(rows.values()), 1)

    @property
    def holders(self) -> dict[str, int]:
        """Sites that are granted each component."""
        counts = Counter(component for site in self.profiles for component in self.granted(site))
        return {component: counts[component] for component in self.components}

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
        """v(nothing): value of always answering the shares of the classes, for accuracy the most frequent one."""
        return prior_value(self.value, self._class_rows())

    @property
    def empty_accuracy(self) -> float:
        """Accuracy of always naming the most frequent class."""
        return prior_value("accuracy", self._class_rows())

    def _class_rows(self) -> list[int]:
        """Rows per class over all sites; one of each where no site may tell any of them."""
        told: list[int] = np.sum([p.class_rows for p in self.profiles.values()], axis=0).tolist()
        return told if any(told) else [1] * len(told)

    def statistics(self, spec: NetworkSpec) -> dict[str, Statistics]:
        """Pooled mean and standard deviation per modality; the mean of each entry where it stands in for gaps."""
        pooled = {m.name: pool({s: p.sums[m.name] for s, p in self.profiles.items()}) for m in spec.modalities}
        if not spec.needs_blank:
            return pooled
        entries = {name: {s: p.entries[name] for s, p in self.profiles.items()} for name in pooled}
        return {name: replace(scale, blank=blank_sample(entries[name], scale)) for name, scale in pooled.items()}

    def record_row(self, site: str) -> dict[str, Any]:
        """The site's ``profile`` event."""
        p = self.profiles[site]
        patterns = {subset_name(code, self.names): n for code, n in sorted((p.train.patterns or {}).items())}
        rows = {"train": p.rows, "validation": p.validation_rows}
        if p.heldout is not None:
            rows["heldout"] = _total(p.heldout)
        return {
            "site": site,
            "rows": rows,
            "rows_by_modality": p.rows_by_modality,
            # With many modalities sites tell rows per number of modalities held instead.
            "patterns": patterns if p.train.patterns is not None else None,
            "rows_by_size": _by_size(p.train),
            "components": list(self.granted(site)),
        }


def make_roster(profiles: Mapping[str, SiteProfile], spec: NetworkSpec, config: RunConfig) -> Roster:
    """Roster of the sites that have training rows, sorted by name."""
    names = tuple(components(state_of(MultimodalNet(spec))))
    kept = {site: profiles[site] for site in sorted(profiles) if profiles[site].rows > 0}
    return Roster(kept, spec.names, config.aggregation.whole_model, names, spec, config.contributions.value)


def _by_size(rows: RowCounts) -> dict[str, int]:
    """Rows per number of modalities held: a row that holds k of them is counted by each of the k."""
    found: dict[int, int] = {}
    for (_, size), count in rows.sizes.items():
        found[size] = found.get(size, 0) + count
    return {str(size): found[size] // size for size in sorted(found)}


def _total(rows: RowCounts) -> int:
    return sum(_by_size(rows).values())
