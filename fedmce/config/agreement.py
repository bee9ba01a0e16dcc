"""Names in a configuration against the names of a data set: modalities and sites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from fedmce.config.agreement_missingness import missingness_problems
from fedmce.config.exchange import ExchangeConfig
from fedmce.config.explain import config_error
from fedmce.config.names import names
from fedmce.config.privacy_rules import asked_problems
from fedmce.config.quality import DegradedConfig, QualityConfig
from fedmce.config.schema import MceConfig, MissingnessConfig, NaturalConfig, ObjectiveConfig, RunConfig
from fedmce.subsets import AUTO_LIMIT, EXACT_LIMIT


class HasGaps(Protocol):
    """Rows of a site."""

    @property
    def available(self) -> Any:
        """What each row recorded, a bool array ``(rows, modalities)``."""


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
    def sites(self) -> Mapping[str, HasGaps]:
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
    problems += names("model.encoders", "modality", config.model.encoders, modalities)
    problems += missingness_problems(config.missingness, modalities, part)
    problems += _gaps(config.missingness, {site: dataset.sites[site] for site in part if site in dataset.sites})
    problems += _subsets(config.objective, len(modalities))
    problems += _neighbours(config.model.absent, len(modalities))
    taking_part = len(part) if config.scope == "sites" else 1
    problems += asked_problems(config.privacy, taking_part)
    problems += _replies(config.exchange, taking_part)
    if problems:
        raise config_error(problems, f"configuration for data set {dataset.name}")


def _gaps(mechanism: MissingnessConfig, sites: Mapping[str, HasGaps]) -> Iterator[str]:
    """Rows that lack something, where the bound without missingness was asked for."""
    if not (isinstance(mechanism, NaturalConfig) and mechanism.only_complete):
        return
    lacking = {site: sum(not all(row) for row in rows.available.tolist()) for site, rows in sites.items()}
    if any(lacking.values()):
        site = max(lacking, key=lambda name: lacking[name])
        yield (
            f"missingness.only_complete: {sum(lacking.values())} rows came without some modality, most of them at {site}; "
            "what was never recorded cannot be shown. needed complete data: this bound does not exist here"
        )


def quality_problems(quality: QualityConfig, modalities: Sequence[str], sites: Sequence[str]) -> Iterator[str]:
    """Names in the section ``quality`` that the data set does not have, one message each."""
    if not isinstance(quality, DegradedConfig):
        return
    if quality.modality is not None:
        yield from names("quality.modality", "modality", [quality.modality], modalities)
    if isinstance(quality.sites, tuple):
        yield from names("quality.sites", "site", quality.sites, sites)


def _selection(config: RunConfig, sites: list[str]) -> Iterator[str]:
    if config.sites is None:
        return
    yield from names("sites", "site", config.sites, sites)
    twice = sorted({site for site in config.sites if config.sites.count(site) > 1})
    if twice:
        yield f"sites: {', '.join(twice)} given more than once; needed each site once"
    if not config.sites:
        yield f"sites: given none; needed at least one of {', '.join(sites)}"


def _replies(exchange: ExchangeConfig, sites: int) -> Iterator[str]:
    """Replies that a round waits for, against how many there can be."""
    for key, given in (("accept_min", exchange.accept_min), ("goal", exchange.goal)):
        if given is not None and given > sites:
            yield f"exchange.{key}: given {given}; needed at most {sites}, as many as sites take part"


def _neighbours(absent: str, modalities: int) -> Iterator[str]:
    if absent == "knn_input" and modalities > AUTO_LIMIT:
        yield (
            f"model.absent: given knn_input, with {modalities} modalities; every subset has neighbours of its own, which "
            f"is done up to {AUTO_LIMIT}. use mean_input"
        )


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
