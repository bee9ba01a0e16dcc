"""The checker of a site folder: all passes over it, all findings at once, the folder opened for reading only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmce.config.folders import FoldersConfig
from fedmce.config.schema import DatasetConfig
from fedmce.errors import DataError
from fedmce.folders.counts import Counts
from fedmce.folders.declared import Declared
from fedmce.folders.demands import Demands
from fedmce.folders.findings import Finding, Findings
from fedmce.folders.layout import FEATURES, SITE_FILE
from fedmce.folders.pass_agreement import check_agreement, check_links, check_permissions
from fedmce.folders.pass_arrays import check_values
from fedmce.folders.pass_table import Table, check_table
from fedmce.folders.pass_yaml import read_declaration
from fedmce.folders.plan import Plan
from fedmce.folders.seal import check_seal

SITE_ERROR = "data_invalid"
"""All that the server hears of a folder with errors."""


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        folder: as it was given.
        site: its name as ``site.yaml`` has it, None where that is no text.
        findings: errors first, each in the order of the passes.
        counts: who has what; None where no table could be read.
        files: of single samples that the table names and that can be opened, relative to the folder.
        features: all files with values, whole paths: arrays and files of samples.
        used: all files that the folder needs, relative to it: what a seal covers.
    """

    folder: Path
    site: str | None
    findings: tuple[Finding, ...]
    counts: Counts | None
    files: tuple[str, ...] = ()
    features: tuple[Path, ...] = ()
    used: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings for which the folder is refused."""
        return tuple(finding for finding in self.findings if finding.is_error)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that are told, and the folder is used."""
        return tuple(finding for finding in self.findings if not finding.is_error)

    @property
    def exit_code(self) -> int:
        """3 with errors, else 0."""
        return DataError.exit_code if self.errors else 0

    @property
    def site_error(self) -> str | None:
        """The code that may cross the wire, without any text; None where the folder is fine."""
        return SITE_ERROR if self.errors else None

    def text(self) -> str:
        """All findings, a blank line between them; empty if there is none."""
        return "\n\n".join(finding.text() for finding in self.findings)

    def raise_errors(self) -> None:
        """Refuse the folder.

        Raises:
            DataError: there are errors; all of them are in the message.
        """
        if self.errors:
            texts = "\n\n".join(finding.text() for finding in self.errors)
            raise DataError(f"{self.folder}: {len(self.errors)} errors in the site folder; needed none\n\n{texts}")

    def to_json(self) -> dict[str, Any]:
        """Findings and counts as one tree."""
        return {
            "folder": str(self.folder),
            "site": self.site,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "findings": [finding.to_json() for finding in self.findings],
            "counts": self.counts.to_json() if self.counts else None,
        }


def check_folder(
    path: Path,
    plan: Plan | DatasetConfig | None = None,
    kit_site: str | None = None,
    *,
    demands: Demands | None = None,
    values: bool = True,
) -> Report:
    """Check a site folder; the same code runs at the command line and in the client before its first call.

    Nothing is written, moved or repaired, and no exception leaves this function for anything that a folder holds.

    Args:
        path: the folder.
        plan: modalities and classes of the federation, or the section ``dataset`` of its configuration; None = not known.
        kit_site: name of the site in the kit; None = no kit.
        demands: everything that the federation asks; then ``plan`` and ``kit_site`` are taken from it.
        values: read the features too (pass V); without it the cost does not grow with their size.
    """
    folder = Path(path)
    if demands is None:
        demands = Demands(plan=plan if isinstance(plan, Plan | FoldersConfig) else None, kit_site=kit_site)
    findings = Findings()
    site = read_declaration(folder, findings)
    if site is None:
        return Report(folder, None, _sorted(findings), None)
    check_agreement(site, demands, findings)
    check_links(folder, site, findings)
    check_permissions(folder, site, findings)
    table = check_table(folder, site, demands, findings)
    if values:
        check_values(folder, site, table, demands, findings)
    used = _used(table)
    if values:
        check_seal(folder, used, findings)
    features = tuple(folder / FEATURES / f"{name}.npy" for name in table.headers) + tuple(
        folder / f for f in table.files
    )
    return Report(folder, site.site, _sorted(findings), table.counts, table.files, features, used)


def _used(table: Table) -> tuple[str, ...]:
    arrays = [f"{FEATURES}/{name}.npy" for name in table.headers]
    return tuple(dict.fromkeys([SITE_FILE, *([table.file] if table.file else []), *arrays, *table.files]))


def _sorted(findings: Findings) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: not finding.is_error))


__all__ = ["Declared", "Demands", "Report", "check_folder"]
