"""A federation whose sites lie above, at and below the floors, and a grid that keeps every byte of it.

``ash`` holds everything, ``birch`` has no sound, ``cedar`` has images on half of its rows and sound on 20 (below
``min_rows``, above ``k_min``), ``dale`` has images on 7 (below ``k_min``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from client.app import app as client_app
from client.workplace import open_workplace
from fedmce.cli.compose import load_config
from fedmce.config.privacy import PrivacyConfig
from fedmce.config.schema import FoldersConfig, RunConfig
from fedmce.data import FederatedDataset, SiteRows
from fedmce.flower_compat import Message, identity, pack_records
from fedmce.folders.plan import planned
from fedmce.wire import REPORT
from simulations.engines.inprocess import RUN_ID, InProcessGrid
from tests.folders.made import exported
from tests.server.made import everything_everywhere, made_config, made_dataset, made_site

COUNTS = {"train": 163, "validation": 47, "test": 43}
IMAGE, SOUND, BLOOD = range(3)
NAMES = ("image", "sound", "blood")
ROUNDS = 2


def floors(**changes: Any) -> PrivacyConfig:
    """``privacy=floors``, with some keys otherwise."""
    return PrivacyConfig.model_validate(load_config(["privacy=floors"]).privacy.model_dump() | changes)


def quiet(**changes: Any) -> PrivacyConfig:
    """The same without noise, so that two runs are equal; what is dense then needs 128 rows."""
    return floors(**({"site_noise": "none"} | changes))


def floored_config(privacy: PrivacyConfig | None = None, **changes: Any) -> RunConfig:
    """A small run with floors on the federation of this module."""
    told = {"missingness": everything_everywhere(), "rounds": ROUNDS, "privacy": (privacy or quiet()).model_dump()}
    return made_config(**(told | changes))


def floored_dataset() -> FederatedDataset:
    """The four sites."""
    cedar = with_rows(with_rows(make("cedar"), SOUND, 20), IMAGE, 81)
    birch, dale = with_rows(make("birch"), SOUND, 0), with_rows(make("dale"), IMAGE, 7)
    return made_dataset(make("ash"), birch, cedar, dale)


def single_holder_dataset(rows: int = 130) -> FederatedDataset:
    """Sound is held by ``cedar`` alone, on so many rows."""
    others = [with_rows(make(name), SOUND, 0) for name in ("ash", "birch", "dale")]
    return made_dataset(*others, with_rows(make("cedar"), SOUND, rows))


def make(name: str, counts: dict[str, int] | None = None) -> SiteRows:
    """A site of the made federation with more rows."""
    return made_site(name, counts or COUNTS)


def with_rows(site: SiteRows, column: int, kept: int) -> SiteRows:
    """The site with this modality on its first ``kept`` rows, which are training rows, and on no other."""
    available = site.available.copy()
    available[kept:, column] = False
    values = site.features[NAMES[column]].copy()
    values[~available[:, column]] = np.nan
    return replace(site, available=available, features=site.features | {NAMES[column]: values})


@dataclass
class Said:
    """One message and its answer."""

    site: str
    kind: str
    round: int
    down: Message
    up: Message

    @property
    def bytes_down(self) -> bytes:
        return pack_records(self.down.content)

    @property
    def bytes_up(self) -> bytes:
        return self.up.error.reason.encode() if self.up.has_error() else pack_records(self.up.content)

    @property
    def error(self) -> str | None:
        return self.up.error.reason if self.up.has_error() else None

    @property
    def report(self) -> dict[str, Any]:
        return dict(self.up.content.metric_records[REPORT])


Change = Callable[[str, Message], None]


class RecordingGrid(InProcessGrid):
    """Keeps every message, and may change one on its way to a site."""

    def __init__(self, sites: list[str], run: Any, change: Change | None = None) -> None:
        super().__init__(client_app, len(sites), run)
        self.names = dict(zip(sorted(self._contexts), sites, strict=True))
        self.said: list[Said] = []
        self._change = change

    def _answer(self, message: Message) -> str:
        site = self.names[message.metadata.dst_node_id]
        if self._change is not None:
            self._change(site, message)
        message_id = super()._answer(message)
        number = int(message.metadata.group_id)
        self.said.append(Said(site, message.metadata.message_type, number, message, self._replies[message_id]))
        return message_id

    def of(self, site: str, kind: str | None = None) -> list[Said]:
        """What was said to and by a site."""
        return [said for said in self.said if said.site == site and kind in (None, said.kind)]


@dataclass
class Dump:
    """What a run of sites with folders of their own left behind."""

    grid: RecordingGrid
    folder: Path
    homes: Path
    error: BaseException | None = field(default=None)


def at_sites(config: RunConfig, path: Path) -> RunConfig:
    """The same run for a server that has the plan of the folders alone."""
    section = FoldersConfig.model_validate({"path": str(path)}).model_dump()
    told = planned(RunConfig.model_validate(config.model_dump() | {"dataset": section}))
    return told.model_copy(update={"dataset": told.dataset.model_copy(update={"path": None})})


def run_recorded(
    config: RunConfig,
    dataset: FederatedDataset,
    out: Path,
    change: Change | None = None,
    prepare: Callable[[Path], None] | None = None,
) -> Dump:
    """Run ``config`` on sites that each open a folder of their own and have a home.

    Args:
        config: of any data set.
        dataset: is written to folders.
        out: folders, homes and the run folder are made in it.
        change: done to every message before it reaches its site.
        prepare: done to the folder of folders after the plan was made.
    """
    from server.federation import federate

    path = exported(out / "sites", dataset)
    told = at_sites(config, path)
    if prepare is not None:
        prepare(path)
    open_workplace.cache_clear()
    folder = out / "run"
    folder.mkdir(parents=True)
    assert told.sites is not None
    with identity(RUN_ID) as run:
        grid = RecordingGrid(list(told.sites), run, change)
        for node, site in grid.names.items():
            home = out / "homes" / site
            home.mkdir(mode=0o700, parents=True)
            grid._contexts[node].node_config = {"site": site, "folder": str(path / site), "home": str(home)}
        dump = Dump(grid, folder, out / "homes")
        try:
            federate(grid, told, folder)
        except Exception as error:  # the test says which
            dump.error = error
    return dump


def counts_of(report: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Every count of rows in a report, with its name."""
    whole = ("rows", "validation_rows", "test_rows", "rows_by_modality", "class_rows", "train.other", "heldout.other")
    for name, value in report.items():
        is_count = name in whole or name.startswith("rows.") or name.endswith((".rows", ".count", "pattern_rows"))
        if is_count or name.endswith("hidden.angles"):
            for number in value if isinstance(value, list) else [value]:
                assert float(number).is_integer(), (name, number)
                yield name, int(number)
