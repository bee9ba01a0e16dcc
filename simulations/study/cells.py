"""Runs one cell in this process and reads what it left."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmce.config.load import config_from_json
from fedmce.study.cell import Cell
from fedmce.study.code import code_sha256
from fedmce.study.compact import compact


@dataclass(frozen=True)
class Job:
    """A cell with all that running it needs; travels to workers.

    Attributes:
        cell: what it is.
        config: its configuration as JSON.
        traced: keep what happened round by round.
    """

    cell: Cell
    config: str
    traced: bool = False


def run_cell(job: Job) -> dict[str, Any]:
    """Run a cell and return its record (:func:`fedmce.study.compact.compact`) with the code's hash.

    Raises:
        FedMCEError: the run failed.
    """
    from fedmce.data import dataset_of
    from simulations import engines
    from simulations.study.hashes import initial_hashes, splits_sha256

    code = code_sha256()
    config = config_from_json(job.config)
    # A cell that dies is run again from its beginning, so that nothing of it need stay on a disk.
    config = config.model_copy(update={"exchange": config.exchange.model_copy(update={"commit_every": 0})})
    with tempfile.TemporaryDirectory(prefix="fedmce-cell-") as name:
        folder = Path(name) / "run"
        engines.run(config, folder, lambda row: None)
        found = compact(folder, job.cell, traced=job.traced)
    found["hashes"] |= {"code": code, "splits": splits_sha256(dataset_of(config)), "initial": initial_hashes(config)}
    return found
