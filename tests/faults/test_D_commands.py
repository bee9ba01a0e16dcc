"""Group D, law of all its cases: no command that reads a site's folder changes a byte, a date or a right of it (G13)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client.workplace import open_workplace
from fedmce.cli.app import app
from fedmce.folders.exporting import export_sites
from tests.faults.federation import PLAN
from tests.faults.site_folders import snapshot
from tests.server.made import made_dataset, made_site

ROWS = {"train": 40, "validation": 12, "test": 16}
NAMES = ("ash", "birch")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("commands")
    export_sites(folder / "sites", made_dataset(*(made_site(name, ROWS) for name in NAMES)), NAMES)
    yield folder
    open_workplace.cache_clear()


def test_no_command_changes_a_sites_folder(place: Path) -> None:
    sites, ash, run, project = place / "sites", place / "sites" / "ash", place / "run", place / "project"
    plan = ["dataset=folders", f"dataset.path={sites}", "rounds=2", *PLAN]
    kit = project / "kits" / "ash"
    lines: list[tuple[list[str], int]] = [
        (["site", "check", str(ash), "--picture", str(place / "ash.png")], 0),
        (["site", "check", str(ash), "--no-values", "--json", "--like", str(sites / "birch")], 0),
        (["config", "show", *plan], 0),
        (["provision", "--sites", ",".join(NAMES), "--out", str(project), "--server", "localhost:8000", *plan], 0),
        (["site", "check", str(ash), "--kit", str(kit)], 0),
        (["doctor", "--kit", str(kit), "--data", str(ash), "--home", str(place / "home")], 4),  # no server answers
        (["run", "--quiet", *plan, f"out={run}"], 0),
        (["report", str(run)], 0),
        (["matrix", str(run)], 0),
        (["run", "--quiet", f"resume={run}"], 0),
    ]
    before = snapshot(sites)
    for line, code in lines:
        done = CliRunner().invoke(app, line)
        assert done.exit_code == code, (line, done.exit_code, done.output[-600:])
        assert snapshot(sites) == before, line
    assert len(before) > 2 * len(NAMES)
