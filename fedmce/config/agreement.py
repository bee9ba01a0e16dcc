"""Names in a configuration against the names of a data set: modalities and sites."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from fedmce.config.explain import config_error
from fedmce.config.nearest import unknown
from fedmce.config.quality import DegradedConfig, QualityConfig
from fedmce.config.schema import (
    ImbalancedConfig,
    MceConfig,
    MissingnessConfig,
    ObjectiveConfig,
    RareConfig,
    RunConfig,
    SitewiseConfig,
)
from fedmce.subsets import AUTO_LIMIT, EXACT_LIMIT


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str:
        """The name."""


class SitesAndModalities(Protocol):
    """What this room needs of a ``FederatedDataset``; the data room lies above this one."""

    @property
    def name(self) -> str:
        """Registry name."""

    @property
    def modalities(self) -> Sequence[Named]:
        """In registry order."""

    @property
    def sites(self) -> Mapping[str, object]:
        """By name, in data set order."""


def check_against(config: RunConfig, dataset: SitesAndModalities) -> None:
    """Refuse modality and site names that the data set does not have.

    Args:
        config: a checked configuration.
        dataset: the loaded data set with all of its sites.

    Raises:
        ConfigError: every problem in one message, each with the nearest known name.
    """
    modalities = [modality.name for modality in dataset.modalities]
    problems = [*_selection(config, list(dataset.sites))]
    part = list(dataset.sites) if problems or config.sites is None else list(config.sites)
    problems += quality_problems(config.quality, modalities, list(dataset.sites))
    problems += _names("model.encoders", "modality", config.model.encoders, modalities)
    problems += _missingness(config.missingness, modalities, part)
    problems += _subsets(config.objective, len(modalities))
    if problems:
        raise config_error(problems, f"configuration for data set {dataset.name}")


def quality_problems(quality: QualityConfig, modalities: Sequence[str], sites: Sequence[str]) -> Iterator[str]:
    """Names in the section ``quality`` that the data set does not have, one message each."""
    if not isinstance(quality, DegradedConfig):
        return
    if quality.modality is not None:
        yield from _names("quality.modality", "modality", [quality.modality], modalities)
    if isinstance(quality.sites, tuple):
        yield from _names("quality.sites", "site", quality.sites, sites)


def _selection(config: RunConfig, sites: list[str]) -> Iterator[str]:
    if config.sites is None:
        return
    yield from _names("sites", "site", config.sites, sites)
    twice = sorted({site for site in config.sites if config.sites.count(site) > 1})
    if twice:
        yield f"sites: {', '.join(twice)} given more than once; needed each site once"
    if not config.sites:
        yield f"sites: given none; needed at least one of {', '.join(sites)}"


def _subsets(objective: ObjectiveConfig, modalities: int) -> Iterator[str]:
    """What needs every subset, against how many modalities there are."""
    if not isinstance(objective, MceConfig):
        return
    if objective.subsets == "all" and modalities > EXACT_LIMIT:
        yield (
            f"objective.subsets: given all, with {modalities} modalities; every subset is listed up to {EXACT_LIMIT}. "
            "use objective.subsets=sampled"
        )
    draws = objective.subsets == "auto" and modalities > AUTO_LIMIT
    if objective.capability in ("shapley", "published") and draws:
        yield (
            f"objective.capability: given {objective.capability}, with {modalities} modalities; it needs the value of "
            f"every subset, which are drawn beyond {AUTO_LIMIT}. use gap or adaptive, or objective.subsets=all"
        )


def _missingness(mechanism: MissingnessConfig, modalities: list[str], sites: list[str]) -> Iterator[str]:
    if isinstance(mechanism, ImbalancedConfig | SitewiseConfig):
        if any(part.startswith(f"{name}_") for part in modalities for name in set(mechanism.rates) - set(modalities)):
            # A data set whose modalities were cut into parts, and rates for the whole ones.
            yield (
                f"missingness.rates: given for {', '.join(mechanism.rates)}; needed names out of {', '.join(modalities)}. "
                f"write 'missingness.rates={{{modalities[0]}: 0.5}}' or missingness=natural"
            )
        else:
            yield from _names("missingness.rates", "modality", mechanism.rates, modalities)
    if isinstance(mechanism, ImbalancedConfig) and mechanism.in_order is not None:
        if len(mechanism.in_order) != len(modalities):
            yield (
                f"missingness.in_order: given {len(mechanism.in_order)} rates; needed {len(modalities)}, one for each of "
                f"{', '.join(modalities)}"
            )
    if isinstance(mechanism, RareConfig):
        yield from _names("missingness.modality", "modality", [mechanism.modality], modalities)
        yield from _names("missingness.rates", "modality", mechanism.rates, modalities)
        if not isinstance(mechanism.holders, float):
            yield from _count_or_names("missingness.holders", mechanism.holders, sites, least=1)
    if isinstance(mechanism, SitewiseConfig):
        yield from _count_or_names("missingness.reversed_sites", mechanism.reversed_sites, sites, least=0)
        yield from _names("missingness.holders", "modality", mechanism.holders, modalities)
        for modality, holders in mechanism.holders.items():
            yield from _count_or_names(f"missingness.holders.{modality}", holders, sites, least=1)
        yield from _names("missingness.table", "site", mechanism.table, sites)
        for site, rates in mechanism.table.items():
            yield from _names(f"missingness.table.{site}", "modality", rates, modalities)


def _count_or_names(where: str, given: int | tuple[str, ...], sites: list[str], least: int) -> Iterator[str]:
    if isinstance(given, int):
        if not least <= given <= len(sites):
            yield f"{where}: given {given}; needed {least} to {len(sites)}, as many as sites take part"
        return
    if len(given) < least:
        yield f"{where}: given no site; needed at least {least} of {', '.join(sites)}"
    yield from _names(where, "site", given, sites)


def _names(where: str, what: str, given: Iterable[str], known: Sequence[str]) -> Iterator[str]:
    return (f"{where}: {unknown(what, name, known)}" for name in dict.fromkeys(given) if name not in known)
