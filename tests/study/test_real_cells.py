"""Studies whose cells really train: the quick study, interruption, a Ray cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulations.ports import free_ports
from tests.journeys.processes import fedmce, new_tag, nothing_left, tagged, wait_until

pytestmark = pytest.mark.slow

SMALL = {
    "name": "small",
    "common": ["dataset=av_digits", "dataset.train_rows=20", "rounds=1", "training.local_epochs=1"],
    "settings": {"even": ["missingness=natural"]},
    "methods": {"ours": ["method=fedmce"], "plain": ["method=fedavg_owner"]},
    "reference": "ours",
    "seeds": [0, 1],
}


def rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / "cells.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "cells").glob("*.json"))]


def call(arguments: list[str], cwd: Path, timeout: int = 300) -> tuple[int, str, str]:
    with new_tag() as tag:
        process = fedmce(arguments, cwd, tag)
        out, err = process.communicate(timeout=timeout)
        assert nothing_left(tag)
    return process.returncode, out, err


@pytest.mark.timeout(600)
def test_the_quick_study_takes_under_five_minutes_its_runs_are_pairs_and_can_be_repeated(tmp_path: Path) -> None:
    began = time.monotonic()
    code, out, err = call(["study", "study=quick", "--workers", "2", "--out", "quick"], tmp_path)
    assert time.monotonic() - began < 300
    assert code == 0, err
    assert "Nothing is missing" in out
    folder = tmp_path / "quick"
    assert len(rows(folder)) == len(records(folder)) == 36
    assert (folder / "report.html").stat().st_size > 100_000
    masks = {(r["cell"]["setting"], r["cell"]["seed"], r["hashes"]["masks"]) for r in records(folder)}
    splits = {(r["cell"]["seed"], r["hashes"]["splits"]) for r in records(folder)}
    assert (len(masks), len(splits)) == (9, 3)  # one per setting and seed, one per seed: all four methods share them
    # Nothing is left to do, and the page is made again of the records alone.
    page = (folder / "report.html").read_bytes()
    code, _, err = call(["study", "study=quick", "--out", "quick"], tmp_path)
    assert (code, err) == (0, "")
    assert (folder / "report.html").read_bytes() == page
    # A reader repeats one cell by its overrides.
    row = rows(folder)[5]
    code, _, err = call(["run", "--quiet", *row["overrides"], f"seed={row['seed']}", "out=again"], tmp_path)
    assert code == 0, err
    again = json.loads((tmp_path / "again" / "result.json").read_text())
    assert again["metrics"]["mean_subset"] == row["score"]
    hashes = json.loads((folder / "cells" / f"{row['key']}.json").read_text())["hashes"]
    assert (again["fingerprint"], again["masks_sha256"]) == (hashes["fingerprint"], hashes["masks"])


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_study_that_is_stopped_keeps_its_cells_and_leaves_no_process(
    tmp_path: Path, stop: signal.Signals, code: int
) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL | {"seeds": list(range(50))}))
    folder = tmp_path / "out"
    with new_tag() as tag:
        process = fedmce(["study", "study=small.yaml", "--workers", "1", "--out", "out"], tmp_path, tag)
        wait_until(lambda: len(rows(folder)) >= 2, process, 120)
        began = time.monotonic()
        for running in tagged(tag) if stop is signal.SIGINT else [process]:  # a terminal's Ctrl-C reaches all
            running.send_signal(stop)
        _, err = process.communicate(timeout=60)
        assert time.monotonic() - began < 30
        assert process.returncode == code, err
        assert nothing_left(tag)
    assert "Traceback" not in err
    assert "the same command goes on" in err
    assert len(records(folder)) >= len([row for row in rows(folder) if row["status"] == "done"]) >= 2


@contextmanager
def ray_cluster(folder: Path) -> Iterator[str]:
    """A cluster of its own on this machine; the address."""
    port = free_ports()
    ray = Path(sys.executable).with_name("ray")
    log = (folder / "ray.log").open("w")
    # A folder of its own, near the root since paths of sockets are short: in the common one a killed cluster leaves an
    # address that every later Ray of this machine would try to reach.
    with new_tag() as tag, tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as place:
        environment = os.environ | {"FEDMCE_TEST_TAG": tag, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [str(ray), "start", "--head", "--block", f"--port={port}", "--node-ip-address=127.0.0.1", "--num-cpus=2",
             f"--temp-dir={place}", "--include-dashboard=false", "--disable-usage-stats", "--object-store-memory=100000000"],
            stdout=log, stderr=subprocess.STDOUT, env=environment,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 90
            while "Ray runtime started" not in (folder / "ray.log").read_text():
                assert process.poll() is None, (folder / "ray.log").read_text()
                assert time.monotonic() < deadline, (folder / "ray.log").read_text()
                time.sleep(0.5)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=60)
            log.close()


@pytest.mark.timeout(400)
def test_a_ray_cluster_runs_the_cells_to_the_same_scores(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL))
    assert call(["study", "study=small.yaml", "--workers", "2", "--out", "here"], tmp_path)[0] == 0
    with ray_cluster(tmp_path) as address:
        with new_tag() as tag:
            process = fedmce(["study", "study=small.yaml", "--ray", address, "--out", "there"], tmp_path, tag)
            out, err = process.communicate(timeout=240)
        assert process.returncode == 0, out + err
    here, there = ({row["key"]: row["score"] for row in rows(tmp_path / name)} for name in ("here", "there"))
    assert len(here) == 4
    assert here == there


def test_an_address_that_nobody_answers_at_is_refused_soon(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL))
    began = time.monotonic()
    code, _, err = call(["study", "study=small.yaml", "--ray", "127.0.0.1:1", "--out", "out"], tmp_path)
    assert code == 1
    assert "--ray: no cluster at 127.0.0.1:1" in err
    assert time.monotonic() - began < 60
