"""Pass T: too few rows, absent modalities, and counts below the floors of what may leave the site."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmce.config.privacy import PrivacyConfig
from fedmce.folders.counts import NOTHING, Counts
from fedmce.folders.declared import Declared
from fedmce.folders.demands import HELD_OUT_LEAST, Demands
from fedmce.folders.findings import Findings
from fedmce.folders.layout import SITE_FILE
from fedmce.folders.pass_ids import Ids


def check_counts(
    counts: Counts,
    site: Declared,
    demands: Demands,
    nothing: npt.NDArray[np.bool_],
    ids: Ids,
    file: str,
    findings: Findings,
    complete: bool = True,
) -> None:
    """What the counts of a folder say.

    Args:
        counts: of the rows.
        site: its declaration.
        demands: of the federation.
        nothing: rows without any modality, bool ``(rows,)``.
        ids: names of rows.
        file: the table.
        findings: collects.
        complete: every modality that the file names could be read; else nobody can say that no row holds one.
    """
    floors = site.release.overrule(demands.floors)
    _check_splits(counts, floors, demands, file, findings)
    if complete:
        _check_presence(counts, file, findings)
    rows = np.flatnonzero(nothing)
    fix = "none needed; such rows are counted and left out of training"
    shown = ids.examples(rows, lambda row: "every modality is absent")
    findings.many("D32", file, "", shown, len(rows), "yes, if it is meant", fix, is_error=False)
    _check_floors(counts, floors, file, findings)


def _check_splits(counts: Counts, floors: PrivacyConfig, demands: Demands, file: str, findings: Findings) -> None:
    least = max(1, floors.min_rows)
    if counts.rows["train"] < least:
        allowed = f"at least {least}" + (" (min_rows: nothing could be released)" if least > 1 else "")
        fix = "check the split; rows named train are what a site learns from"
        findings.error("D26", file, "split", f"{counts.rows['train']} train rows", allowed, fix)
    if demands.held_out is not None and (rows := int(demands.held_out * counts.rows["train"])) < HELD_OUT_LEAST:
        given = f"{rows} rows, {demands.held_out:.0%} of the train rows"
        allowed = f"at least {HELD_OUT_LEAST} to measure contributions on"
        fix = "add train rows, or agree on contributions.source=received"
        findings.error("D27", file, "split", given, allowed, fix)


def _check_presence(counts: Counts, file: str, findings: Findings) -> None:
    held = {name: sum(by.values()) for name, by in counts.held.items()}
    total = sum(counts.rows.values())
    if held and not any(held.values()):
        fix = "check the export: a row number or a path where a modality is there"
        findings.error("D10", file, "", "no row holds a modality", "at least one row with one modality", fix)
        return
    for name in (name for name, rows in held.items() if not rows):
        fix = f"none needed; or remove modalities.{name} from {SITE_FILE}"
        findings.warning("D33", file, f'column "{name}"', "declared but never present", "yes, if it is meant", fix)
    if len(held) > 1 and total and all(rows == total for rows in held.values()):
        fix = "none needed, unless absent samples were filled up with zeros or means"
        findings.warning("D33", file, "", "every row holds every modality", "yes, if it is meant", fix)


def _check_floors(counts: Counts, floors: PrivacyConfig, file: str, findings: Findings) -> None:
    least = max(floors.k_min, floors.min_rows)
    for name, by in counts.held.items():
        if 0 < by["train"] < least:
            given = f"{by['train']} train rows"
            fix = "none needed; the modality is used here and its components are not released"
            findings.warning("D34", file, f'column "{name}"', given, f"at least {least} to be released", fix)
    rare = {name: by["train"] for name, by in counts.patterns.items() if 0 < by["train"] < floors.k_min}
    rare.pop(NOTHING, None)
    if rare:
        given = f"{len(rare)} patterns of {', '.join(map(str, sorted(rare.values())[:20]))} train rows"
        fix = 'none needed; they are told as "other"'
        findings.warning("D35", file, "", given, f"at least k_min {floors.k_min} to be told apart", fix)
