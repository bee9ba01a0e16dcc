"""The masks of an experiment, saved, read again and hashed."""

from __future__ import annotations

import csv
import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedmce.errors import DataError

Shares = dict[str, dict[str, float]]
"""site -> modality -> share."""


@dataclass(frozen=True)
class SiteMask:
    """Availability of one site's rows after masking: bool ``(rows, modalities)``, True = there."""

    sample_ids: tuple[str, ...]
    available: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class MaskSet:
    """What every site holds after the experiment has hidden its part.

    Attributes:
        modalities: order of the columns.
        sites: mask per site; covers all rows of the site, test rows with their natural gaps only.
        rates: nominal missing rates, as the mechanism tells them, per site and modality (empty for ``natural``).
        realised: missing share of the training rows that naturally held the modality, after empty rows were settled;
            a modality that no row held is left out. Rates and shares are known where masks are drawn, not in a file.
    """

    modalities: tuple[str, ...]
    sites: dict[str, SiteMask]
    rates: Shares
    realised: Shares = field(default_factory=dict)

    def sha256(self) -> str:
        """Hash of names, sample ids and availability; independent of the order of sites."""
        digest = hashlib.sha256("\x1f".join(self.modalities).encode())
        for name in sorted(self.sites):
            mask = self.sites[name]
            digest.update("\x1e".join([name, *mask.sample_ids]).encode())
            digest.update(np.packbits(mask.available).tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write ``modalities``, ``ids/<site>`` and ``available/<site>`` as npz without pickle."""
        arrays: dict[str, npt.NDArray[Any]] = {"modalities": np.array(self.modalities)}
        for name in sorted(self.sites):
            arrays[f"ids/{name}"] = np.array(self.sites[name].sample_ids)
            arrays[f"available/{name}"] = self.sites[name].available
        with path.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> MaskSet:
        """Read what :meth:`save` wrote. Raises :class:`DataError` if it is something else."""
        try:
            with np.load(path, allow_pickle=False) as file:
                names = sorted(key.removeprefix("ids/") for key in file.files if key.startswith("ids/"))
                sites = {n: SiteMask(tuple(file[f"ids/{n}"].tolist()), file[f"available/{n}"]) for n in names}
                return cls(tuple(file["modalities"].tolist()), sites, {})
        except (OSError, KeyError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: {error}; a mask file of a run is needed") from error

    def to_csv(self, path: Path) -> None:
        """Write one line per row: site, sample_id, then 1 (there) or 0 per modality, sites sorted by name."""
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["site", "sample_id", *self.modalities])
            for name in sorted(self.sites):
                mask = self.sites[name]
                for sample, row in zip(mask.sample_ids, mask.available, strict=True):
                    table.writerow([name, sample, *row.astype(int).tolist()])

    @classmethod
    def from_csv(cls, path: Path) -> MaskSet:
        """Read what :meth:`to_csv` wrote, or another made by the same rules; lines in any order of sites.

        Raises:
            DataError: the file cannot be read, or a line is not a site, a sample id and a 0 or 1 per modality.
        """
        try:
            with path.open(newline="", encoding="utf-8") as file:
                return _from_lines(csv.reader(file, strict=True), path)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path}: {error}; a CSV table of masks is needed") from error


def read_masks(path: Path) -> MaskSet:
    """Read a CSV table (by its name) or an npz of masks. Raises :class:`DataError` if it is neither."""
    return MaskSet.from_csv(path) if path.suffix.lower() == ".csv" else MaskSet.load(path)


def _from_lines(lines: Iterable[list[str]], path: Path) -> MaskSet:
    table = iter(lines)
    head = next(table, [])
    if head[:2] != ["site", "sample_id"] or len(head) < 3 or len(set(head)) != len(head):
        raise DataError(f"{path}: the first line is {','.join(head)!r}; needed site,sample_id and each modality once")
    rows: dict[str, dict[str, list[bool]]] = {}
    for number, line in enumerate(table, start=2):
        if not line:
            continue
        if len(line) != len(head) or set(line[2:]) - {"0", "1"}:
            raise DataError(f"{path}: line {number} is {','.join(line)!r}; needed {','.join(head)} with 0 or 1 each")
        site = rows.setdefault(line[0], {})
        if line[1] in site:
            raise DataError(f"{path}: line {number} names row {line[1]!r} of site {line[0]!r} again; needed it once")
        site[line[1]] = [cell == "1" for cell in line[2:]]
    sites = {name: SiteMask(tuple(found), np.array(list(found.values()), dtype=bool)) for name, found in rows.items()}
    return MaskSet(tuple(head[2:]), sites, {})
