"""The plan of a federation of site folders: modalities in order, classes and metric; no rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedmce.config.folders import FoldersConfig, Metric, PlannedModality
from fedmce.config.privacy_rules import asked_problems
from fedmce.config.schema import RunConfig
from fedmce.errors import ConfigError, DataError
from fedmce.folders.layout import SITE_FILE, SiteFile


@dataclass(frozen=True)
class Plan:
    """What all sites must agree on."""

    modalities: tuple[PlannedModality, ...]
    classes: tuple[str, ...]
    metric: Metric


def site_files(path: Path) -> dict[Path, SiteFile]:
    """Every site folder directly under ``path``, sorted by the name of the site.

    Raises:
        DataError: there is none, a ``site.yaml`` is wrong, or two sites have one name.
    """
    path = Path(path).expanduser()
    if (path / SITE_FILE).is_file():
        raise DataError(
            f"{path}: is a site folder itself; needed the folder that holds one per site. give {path.parent}"
        )
    folders = sorted(entry.parent for entry in path.glob(f"*/{SITE_FILE}"))
    if not folders:
        raise DataError(f"{path}: no folder in it has a {SITE_FILE}; needed one site folder per site")
    found = {folder: SiteFile.read(folder) for folder in folders}
    by_name: dict[str, Path] = {}
    for folder, site in found.items():
        if site.site in by_name:
            raise DataError(f"{by_name[site.site]} and {folder}: both are site {site.site!r}; needed a name each")
        by_name[site.site] = folder
    return {by_name[name]: found[by_name[name]] for name in sorted(by_name)}


def agreed_plan(config: FoldersConfig, sites: Sequence[SiteFile]) -> Plan:
    """The plan of the configuration, filled up from the folders, which must agree with it and with each other.

    Without a plan in the configuration the modalities come in the order of their first appearance.

    Args:
        config: section ``dataset``.
        sites: in order of their names; none where each site opens its own folder.

    Raises:
        DataError: all disagreements in one message.
    """
    told = {modality.name: modality for modality in config.modalities}
    by: dict[str, str] = dict.fromkeys(told, "the plan")
    classes, metric = config.classes, config.metric
    problems: list[str] = []
    for site in sites:
        classes, metric = classes or site.task.classes, metric or site.task.metric
        for key, given, needed in (
            ("classes", list(site.task.classes), list(classes)),
            ("metric", site.task.metric, metric),
        ):
            if given != needed:
                problems.append(f"site {site.site}, task.{key}: {given}; the others have {needed}")
        for name, modality in site.modalities.items():
            own = PlannedModality(name=name, **modality.model_dump(include=PLANNED))
            if name not in told and config.modalities:
                problems.append(f"site {site.site}, modalities.{name}: not in the plan; known are {', '.join(told)}")
                continue
            first = told.setdefault(name, own)
            by.setdefault(name, f"site {site.site}")
            problems += [
                f"site {site.site}, modalities.{name}.{key}: {getattr(own, key)!r}; {by[name]} has {getattr(first, key)!r}"
                for key in sorted(PLANNED)
                if getattr(own, key) != getattr(first, key)
            ]
    if problems:
        raise DataError(
            "site folders: " + "; ".join(problems) + ". needed one task and one description of each modality"
        )
    assert metric is not None or not sites
    return Plan(tuple(told.values()), classes, metric or "accuracy")


PLANNED = set(PlannedModality.model_fields) - {"name"}


def planned(config: RunConfig) -> RunConfig:
    """The configuration with what its folders say written out: modalities, classes, metric, sites, whole path.

    It is what travels, and its fingerprint is the same whether rows lie under one path or each at its own site.
    A configuration of another data set is returned as it is.

    Raises:
        DataError: the folders are not there, or do not agree.
        ConfigError: no path and no names of sites, or floors below those of a site.
    """
    section = config.dataset
    if not isinstance(section, FoldersConfig):
        return config
    files = site_files(Path(section.path)) if section.path is not None else {}
    plan = agreed_plan(section, list(files.values()))
    names = config.sites or tuple(site.site for site in files.values())
    if not names:
        raise ConfigError("sites: nothing given; needed the names of the sites, where each site opens its own folder")
    for problem in asked_problems(config.privacy, len(names)):
        raise ConfigError(problem)
    lower = {
        site.site: keys
        for site in files.values()
        if site.site in names and (keys := site.release.above(config.privacy))
    }
    if lower:
        sites = "; ".join(f"site {site}: {', '.join(keys)}" for site, keys in sorted(lower.items()))
        raise ConfigError(
            f"privacy: below the floors of {len(lower)} site(s) (site.yaml: release); {sites}. raise these keys of privacy, "
            "or leave the sites out"
        )
    whole = str(Path(section.path).expanduser().resolve()) if section.path is not None else None
    told = FoldersConfig(path=whole, modalities=plan.modalities, classes=plan.classes, metric=plan.metric)
    return config.model_copy(update={"dataset": told, "sites": names})
