"""Pass Y, what lies outside ``site.yaml``: the kit's name, the federation's plan, permissions."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from fedmce.config.folders import FoldersConfig, PlannedModality
from fedmce.config.nearest import nearest
from fedmce.folders.declared import Declared
from fedmce.folders.demands import Demands
from fedmce.folders.findings import Example, Findings
from fedmce.folders.layout import FEATURES, SAMPLES, SITE_FILE, FolderModality
from fedmce.folders.plan import PLANNED, Plan


def check_agreement(site: Declared, demands: Demands, findings: Findings) -> None:
    """The declaration against the kit and the plan, as far as they are known."""
    if demands.kit_site is not None and site.site is not None and site.site != demands.kit_site:
        fix = "use the kit of this site, or the folder of the kit's site"
        findings.error("D61", SITE_FILE, "site", repr(site.site), repr(demands.kit_site), fix)
    if demands.plan is not None:
        _check_task(site, demands.plan, findings)
        _check_modalities(site, demands.plan, findings)


def _check_task(site: Declared, plan: Plan | FoldersConfig, findings: Findings) -> None:
    fix = "compare with the plan in the kit"
    if site.kind == "regression":
        findings.error("D08", SITE_FILE, "task.kind", "regression", "classification", fix)
    elif site.classes is not None and plan.classes and site.classes != plan.classes:
        allowed = f"{len(plan.classes)} classes in this order: {', '.join(plan.classes)}"
        given = f"{len(site.classes)} classes: {', '.join(site.classes)}"
        findings.error("D08", SITE_FILE, "task.classes", given, allowed, fix)
    elif site.metric is not None and plan.metric is not None and site.metric != plan.metric:
        findings.error("D08", SITE_FILE, "task.metric", site.metric, plan.metric, fix)


def _check_modalities(site: Declared, plan: Plan | FoldersConfig, findings: Findings) -> None:
    known = {modality.name: modality for modality in plan.modalities}
    for name in site.names if known else ():
        if name not in known:
            hit = nearest(name, known)
            fix = f"did you mean {hit!r}? rename it" if hit else "remove it, or rename it"
            findings.error("D09", SITE_FILE, f"modalities.{name}", name, ", ".join(known), fix)
        elif name in site.modalities:
            for key, own, planned in _unlike(site.modalities[name], known[name]):
                fix = "export the modality as the plan says"
                findings.error("D40", SITE_FILE, f"modalities.{name}.{key}", own, f"{planned} as in the plan", fix)


def _unlike(own: FolderModality, planned: PlannedModality) -> Iterator[tuple[str, str, str]]:
    for key in sorted(PLANNED):
        given, needed = getattr(own, key), getattr(planned, key)
        if given != needed:
            yield key, _shown(given), _shown(needed)


def _shown(value: object) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def check_links(folder: Path, site: Declared, findings: Findings) -> None:
    """``site.yaml``, the table and the arrays lie in the folder, unless links may lead out."""
    root = os.path.realpath(folder)
    names = (SITE_FILE, *SAMPLES, *(f"{FEATURES}/{name}.npy" for name in site.names))
    out = [
        Example(name, f"a link to {real}")
        for name in names
        if not (real := os.path.realpath(folder / name)).startswith(root + os.sep) and os.path.lexists(folder / name)
    ]
    if not site.allow_links:
        fix = "move the file in, or set allow_links: true in site.yaml"
        findings.many("D11", "", "", out, len(out), "files inside the folder", fix)


def check_permissions(folder: Path, site: Declared, findings: Findings) -> None:
    """Warn of a folder that anyone can write to, or of private features that anyone can read."""
    folder = Path(os.path.realpath(folder))
    try:
        closed = not folder.stat().st_mode & (stat.S_IXOTH | stat.S_IROTH)
        files = [folder, *sorted(folder.iterdir()), *sorted((folder / FEATURES).glob("*"))]
        modes = {file: file.stat().st_mode for file in files if not file.is_symlink()}
    except OSError:
        return  # a pass that needs the file says so
    told = {file: "." if file == folder else str(file.relative_to(folder)) for file in modes}
    writable = [Example(told[f], f"mode {stat.S_IMODE(m):04o}") for f, m in modes.items() if m & stat.S_IWOTH]
    if not closed or modes[folder] & stat.S_IWOTH:
        allowed, fix = "written by its owner only", f"chmod -R o-w {folder}"
        findings.many("D62", "", "", writable, len(writable), allowed, fix, is_error=False)
    readable = [
        Example(told[f], f"mode {stat.S_IMODE(m):04o}")
        for f, m in modes.items()
        if f.parent.name == FEATURES and m & stat.S_IROTH and stat.S_ISREG(m)
    ]
    if site.private and not closed:
        allowed, fix = "read by its owner only, since private: true", f"chmod -R o-rwx {folder}, or set private: false"
        findings.many("D62", "", "", readable, len(readable), allowed, fix, is_error=False)
