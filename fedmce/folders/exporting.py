"""Every site of a data set written as a site folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedmce.data.dataset import FederatedDataset
from fedmce.errors import ConfigError
from fedmce.folders.write import new_folder, write_site


def folder_name(site: str) -> str:
    """The name that a site has in its folder: small letters, digits and ``-``, at most 40.

    >>> folder_name("us_f3")
    'us-f3'
    """
    return re.sub(r"[^a-z0-9-]", "-", site.lower())[:40]


def export_sites(
    out: Path,
    data: FederatedDataset,
    sites: Sequence[str],
    shown: Mapping[str, npt.NDArray[np.bool_]] | None = None,
) -> dict[str, Path]:
    """Write the named sites, each to ``out/<its name>``.

    Args:
        out: new or empty.
        data: the data set.
        sites: names in the data set.
        shown: per site what its rows may show, bool ``(rows, modalities)``, such as the masks of a run: what is hidden
            is nowhere in the folders. None = all that was recorded.

    Returns:
        Site in the data set -> its folder.

    Raises:
        ConfigError: ``out`` is not empty, or two sites would get one name.
    """
    names = {site: folder_name(site) for site in sites}
    if len(set(names.values())) < len(names):
        raise ConfigError(f"sites {', '.join(names)}: two of them would share a name in {sorted(names.values())}")
    out = new_folder(out)
    found = {}
    for site, name in names.items():
        rows = data.sites[site]
        found[site] = write_site(out / name, data, rows, name, rows.available if shown is None else shown[site])
    return found
