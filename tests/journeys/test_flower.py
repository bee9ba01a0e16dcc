"""The same apps under Flower's own simulation: same scores, honest endings, nothing left running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from fedmce.cli.compose import load_config
from fedmce.errors import RunError
from fedmce.flower_compat import SWITCHES
from fedmce.record import read_record
from server.settings import write_config
from simulations.engines import flower
from simulations.ports import free_ports
from simulations.processes import MARK
from tests.journeys.processes import TAG, environment_of, fedmce, new_tag, nothing_left, rounds_in, tagged, wait_until
from tests.journeys.runs import record, result

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SMALL = ["rounds=2", "dataset.train_rows=20", "training.local_epochs=1"]
NUMBERS = ("metrics", "contributions", "contributions_received", "interactions", "weights", "empty_value")


def some_sites() -> list[str]:
    from fedmce.data import load_dataset

    config = load_config([])
    return list(load_dataset(config.dataset, None, config.seed).sites)[:3]


def overrides() -> list[str]:
    return [*SMALL, f"sites=[{','.join(some_sites())}]"]


def assert_close(a: Any, b: Any, where: str = "") -> None:
    """Equal trees, numbers within 1e-6."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_close(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, float):
        assert b == pytest.approx(a, abs=1e-6), where
    else:
        assert a == b, where


@pytest.fixture(scope="module")
def inprocess(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "inprocess"
    with new_tag() as tag:
        process = fedmce(["run", *overrides(), f"out={folder}"], folder.parent, tag)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return folder


@pytest.fixture(scope="module")
def tag() -> Iterator[str]:
    with new_tag() as given:
        yield given


def assert_equal_runs(one: Path, other: Path) -> None:
    a, b = result(one), result(other)
    for key in NUMBERS:
        assert_close(a[key], b[key], key)
    for key in ("sites", "masks_sha256", "fingerprint", "availability", "rows", "refused", "communication"):
        assert a[key] == b[key], key
    first, second = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_allclose(first[key], second[key], atol=1e-6, rtol=0)
    events = [[row["event"] for row in record(folder)] for folder in (one, other)]
    assert events[0] == events[1]


def test_flowers_engine_gives_the_scores_of_the_default_one(inprocess: Path, tag: str) -> None:
    folder = inprocess.parent / "flower"
    process = fedmce(["run", *overrides(), "engine=flower", f"out={folder}"], folder.parent, tag)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert nothing_left(tag, 0.5)
    assert (result(inprocess)["engine"], result(folder)["engine"]) == ("inprocess", "flower")
    assert_equal_runs(inprocess, folder)
    assert (folder / "report.html").exists()


@pytest.mark.parametrize("whom", ["the program", "the whole group, as a terminal does"])
def test_ctrl_c_under_flowers_engine_leaves_a_record_and_no_process(tmp_path: Path, tag: str, whom: str) -> None:
    folder = tmp_path / "stopped"
    long = [*overrides()[1:], "rounds=100000", "engine=flower", f"out={folder}"]
    process = fedmce(["run", *long], tmp_path, tag)
    wait_until(lambda: rounds_in(folder) >= 2, process, 240)
    homes = {environment_of(p).get(MARK) for p in tagged(tag)} - {None}
    assert len(homes) == 1
    if whom == "the program":
        process.send_signal(signal.SIGINT)
    else:
        os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert nothing_left(tag, 0.5)
    assert not Path(str(homes.pop())).exists()
    end = read_record(folder)[-1]
    assert (end["event"], end["status"]) == ("end", "interrupted")
    assert end["rounds_done"] == rounds_in(folder) >= 2
    assert not (folder / "result.json").exists()
    assert "Traceback" not in err


def test_a_server_app_that_fails_is_an_error_although_flower_exits_0(
    tmp_path: Path, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(["dataset=heart_disease", f"data_dir={tmp_path / 'nowhere'}", "engine=flower", "rounds=1"])
    folder = tmp_path / "failed"
    folder.mkdir()
    write_config(config, folder)
    monkeypatch.setenv(TAG, tag)
    rows: list[dict[str, Any]] = []
    with pytest.raises(RunError, match="finished:failed"):
        flower.run(config, folder, rows.append, ["cleveland"])
    assert nothing_left(tag, 0.5)
    assert rows[-1]["event"] == "end"
    assert rows[-1]["status"] == "failed"
    assert [row["event"] for row in read_record(folder)].count("end") == 1
    assert not (folder / "result.json").exists()
    assert (folder / "flower.log").exists()


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Path:
    """A copy of what a clone holds, so that the run folder does not land in ours."""
    folder = tmp_path / "checkout"
    for name in ("fedmce", "server", "client", "simulations", "configs"):
        shutil.copytree(repository / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(repository / name, folder / name)
    (folder / ".flwr-home").mkdir()
    shutil.copy(repository / ".flwr-home" / "config.toml", folder / ".flwr-home")
    return folder


def test_flwr_run_from_a_checkout_leaves_a_run_folder_with_the_same_scores(checkout: Path, tmp_path: Path) -> None:
    """As the README says: its variables, six nodes from our home, all sites; only the ports are the test's own."""
    with new_tag() as tag:
        twin = fedmce(["run", *SMALL, f"out={tmp_path / 'inprocess'}"], tmp_path, tag)
        _, err = twin.communicate(timeout=120)
        assert twin.returncode == 0, err
        environment = os.environ | SWITCHES
        environment |= {"FLWR_HOME": str(checkout / ".flwr-home"), TAG: tag, "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
        port = free_ports(2)
        environment |= {"FLWR_LOCAL_SUPERLINK_HTTP_API_PORT": str(port), "FLWR_LOCAL_CONTROL_API_PORT": str(port + 1)}
        scripts = Path(sys.executable).parent
        environment["PATH"] = f"{scripts}{os.pathsep}{environment['PATH']}"
        command = [str(scripts / "flwr"), "run", ".", "--stream"]
        command += ["--run-config", f"overrides={json.dumps(' '.join(SMALL))}"]
        done = subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=400, check=False
        )
        (run,) = (checkout / "runs").glob("*-run") if (checkout / "runs").exists() else [None]
        assert run is not None, done.stdout[-3000:] + done.stderr[-3000:]
        assert done.returncode == 0
        assert read_record(run)[-1]["status"] == "finished"
        assert_equal_runs(tmp_path / "inprocess", run)
        assert len(result(run)["sites"]) == 6
        assert (run / "report.html").exists()
        assert (run / "config.yaml").exists()
        assert tagged(tag), "Flower is known to leave its SuperLink running; if it no longer does, say so in the README"
