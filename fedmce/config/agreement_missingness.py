"""Sections of missingness against the modalities and sites that there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fedmce.config.missingness import (
    ImbalancedConfig,
    MarConfig,
    MissingnessConfig,
    NestedConfig,
    PatternProductConfig,
    PatternTableConfig,
    RareConfig,
    RowShareConfig,
    SiteFractionConfig,
    SiteTableConfig,
    SitewiseConfig,
    TwoLevelConfig,
)
from fedmce.config.names import count_or_names, names
from fedmce.subsets import EXACT_LIMIT


def missingness_problems(config: MissingnessConfig, modalities: Sequence[str], sites: Sequence[str]) -> Iterator[str]:
    """One message per name or number that the data set does not have.

    Args:
        config: any section of the group.
        modalities: of the data set, in order.
        sites: that take part.
    """
    rates = getattr(config, "rates", None)
    if rates is not None:
        yield from _rates(rates, modalities)
    if isinstance(config, RareConfig | NestedConfig):
        yield from names("missingness.modality", "modality", [config.modality], modalities)
    if isinstance(config, ImbalancedConfig | PatternProductConfig):
        yield from _one_each(config.in_order, modalities)
    match config:
        case MarConfig() if config.by is not None:
            yield from names("missingness.by", "modality", [config.by], modalities)
        case PatternProductConfig() if len(modalities) > EXACT_LIMIT:
            yield (
                f"missingness.name: given pattern_product, with {len(modalities)} modalities; every pattern is listed up "
                f"to {EXACT_LIMIT}. use missingness=imbalanced"
            )
        case PatternTableConfig():
            yield from _patterns(config.patterns, modalities)
        case RowShareConfig():
            yield from names("missingness.split", "modality", config.split, modalities)
            if config.split and sum(config.split.values()) == 0:
                yield "missingness.split: all weights are 0; needed one above 0"
        case NestedConfig():
            yield from names("missingness.by_site", "site", config.by_site, sites)
        case RareConfig():
            yield from count_or_names("missingness.holders", config.holders, sites, least=1)
        case SiteFractionConfig():
            yield from _lost(config, len(modalities))
        case SiteTableConfig():
            yield from _table(config, modalities, sites)
        case TwoLevelConfig():
            yield from count_or_names("missingness.sites", config.sites, sites, least=0)
        case SitewiseConfig():
            yield from _sitewise(config, modalities, sites)


def _rates(rates: Mapping[str, object], modalities: Sequence[str]) -> Iterator[str]:
    if any(part.startswith(f"{name}_") for part in modalities for name in set(rates) - set(modalities)):
        # A data set whose modalities were cut into parts, and rates for the whole ones.
        yield (
            f"missingness.rates: given for {', '.join(rates)}; needed names out of {', '.join(modalities)}. "
            f"write 'missingness.rates={{{modalities[0]}: 0.5}}' or missingness=natural"
        )
    else:
        yield from names("missingness.rates", "modality", rates, modalities)


def _one_each(rates: Sequence[float] | None, modalities: Sequence[str]) -> Iterator[str]:
    if rates is not None and len(rates) != len(modalities):
        yield (
            f"missingness.in_order: given {len(rates)} rates; needed {len(modalities)}, one for each of "
            f"{', '.join(modalities)}"
        )


def _patterns(patterns: Mapping[str, float], modalities: Sequence[str]) -> Iterator[str]:
    if sum(patterns.values()) == 0:
        yield "missingness.patterns: given no weight above 0; needed one, e.g. {" + "+".join(modalities) + ": 1}"
    known = [*modalities, "nothing"]
    for pattern in patterns:
        parts = pattern.split("+")
        yield from names(f"missingness.patterns.{pattern}", "modality", parts, known)
        if len(set(parts)) != len(parts) or ("nothing" in parts and len(parts) > 1):
            yield f"missingness.patterns.{pattern}: needed each modality once, joined by +, or nothing"


def _lost(config: SiteFractionConfig, modalities: int) -> Iterator[str]:
    for key, given in (("least", config.least), ("most", config.most)):
        if given is not None and given >= modalities:
            yield f"missingness.{key}: given {given}; needed 0 to {modalities - 1}, so that a site keeps a modality"


def _table(config: SiteTableConfig, modalities: Sequence[str], sites: Sequence[str]) -> Iterator[str]:
    yield from names("missingness.sets", "site", config.sets, sites)
    given = {f"sets.{site}": entry for site, entry in config.sets.items()}
    given |= {f"in_order[{place}]": entry for place, entry in enumerate(config.in_order)}
    for where, entry in given.items():
        yield from names(f"missingness.{where}", "modality", [m for m in entry if isinstance(m, str)], modalities)
        for number in (m for m in entry if isinstance(m, int) and not 0 <= m < len(modalities)):
            yield f"missingness.{where}: given {number}; needed 0 to {len(modalities) - 1}, or a name"


def _sitewise(config: SitewiseConfig, modalities: Sequence[str], sites: Sequence[str]) -> Iterator[str]:
    yield from count_or_names("missingness.reversed_sites", config.reversed_sites, sites, least=0)
    yield from names("missingness.holders", "modality", config.holders, modalities)
    for modality, holders in config.holders.items():
        yield from count_or_names(f"missingness.holders.{modality}", holders, sites, least=1)
    yield from names("missingness.table", "site", config.table, sites)
    for site, rates in config.table.items():
        yield from names(f"missingness.table.{site}", "modality", rates, modalities)
