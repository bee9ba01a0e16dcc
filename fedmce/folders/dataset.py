"""Site folders as a data set: all of them, one at its own site, or the plan alone at a server without rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fedmce.config.folders import FoldersConfig, PlannedModality
from fedmce.data.dataset import FederatedDataset, Modality, SiteRows, Task
from fedmce.errors import DataError
from fedmce.folders.layout import FEATURES, SAMPLES, SITE_FILE, SiteFile
from fedmce.folders.plan import Plan, agreed_plan, site_files
from fedmce.folders.read import read_rows


def folders_dataset(config: FoldersConfig) -> FederatedDataset:
    """All site folders under ``config.path``; sites in order of their names.

    Raises:
        DataError: no path, no folders, folders that do not agree, or one that is not as the format says.
    """
    if config.path is None:
        raise DataError("dataset.path: nothing given; needed the folder that holds one site folder per site")
    files = site_files(Path(config.path))
    plan = agreed_plan(config, list(files.values()))
    sites = {site.site: read_rows(folder, site, plan.modalities) for folder, site in files.items()}
    return _dataset(plan, sites, list(files.values()))


def site_dataset(folder: Path, config: FoldersConfig, sites: Sequence[str] = ()) -> FederatedDataset:
    """The data set as one site sees it: its own rows, in the order of the plan's modalities.

    Args:
        folder: its site folder.
        config: section ``dataset`` with the plan.
        sites: that take part; the others are there without rows.

    Raises:
        DataError: the folder does not fit the plan or the format.
    """
    site = SiteFile.read(folder)
    plan = agreed_plan(config, [site])
    rows = {name: no_rows(name, plan.modalities) for name in sites or (site.site,)}
    return _dataset(plan, rows | {site.site: read_rows(folder, site, plan.modalities)}, [site])


def planned_dataset(config: FoldersConfig, sites: Sequence[str]) -> FederatedDataset:
    """The plan with the named sites, none of which has a row here."""
    plan = agreed_plan(config, [])
    return _dataset(plan, {name: no_rows(name, plan.modalities) for name in sites}, [])


def no_rows(name: str, plan: Sequence[PlannedModality]) -> SiteRows:
    """A site whose rows are elsewhere."""
    return SiteRows(
        name=name,
        sample_ids=(),
        targets=np.zeros(0, dtype=np.int64),
        split=np.zeros(0, dtype="<U10"),
        features={m.name: np.zeros((0, *m.shape), dtype=np.float32) for m in plan},
        available=np.zeros((0, len(plan)), dtype=np.bool_),
    )


def stamp(config: FoldersConfig) -> str:
    """What changes when a file of the folders does: names, sizes and times of all that a loader reads by name."""
    if config.path is None:
        return ""
    wanted = (SITE_FILE, *SAMPLES, f"{FEATURES}/*")
    files = sorted(file for name in wanted for file in Path(config.path).expanduser().glob(f"*/{name}"))
    return "|".join(f"{file}:{(at := file.stat()).st_size}:{at.st_mtime_ns}" for file in files)


def _dataset(plan: Plan, sites: dict[str, SiteRows], files: Sequence[SiteFile]) -> FederatedDataset:
    return FederatedDataset(
        name="folders",
        modalities=tuple(Modality(m.name, m.kind, m.shape, m.units, m.pooled_axes, m.real) for m in plan.modalities),
        task=Task(plan.classes, plan.metric),
        sites=sites,
        provenance=_provenance(plan, files),
        caution=tuple(dict.fromkeys(text for site in files for text in site.caution)),
    )


def _provenance(plan: Plan, files: Sequence[SiteFile]) -> dict[str, str]:
    """What the sites say, each text once; of a modality at least whether it was measured."""
    found: dict[str, str] = {}
    for name in (*(m.name for m in plan.modalities), "labels", "sites"):
        if told := list(dict.fromkeys(site.provenance[name] for site in files if name in site.provenance)):
            found[name] = "; ".join(told)
    for modality in plan.modalities:
        usual = "real: own data of the sites" if modality.real else "synthetic: made by a program, as the sites say"
        found.setdefault(modality.name, usual)
    return found
