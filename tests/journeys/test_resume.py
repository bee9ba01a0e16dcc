"""The command line: a run is killed without a word, resumed, and ends with the scores of one that was not."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.journeys.processes import fedmce, new_tag, nothing_left, rounds_in, wait_until

SMALL = ["dataset.train_rows=20", "training.local_epochs=1", "rounds=6", "--quiet"]


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with new_tag() as tag:
        finish(["run", *SMALL, f"out={whole}"], tmp_path, tag)
        process = fedmce(["run", *SMALL, f"out={killed}"], tmp_path, tag)
        wait_until(lambda: rounds_in(killed) >= 3, process, 120)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        assert nothing_left(tag)
        assert not (killed / "result.json").exists()
        finish(["run", f"resume={killed}", "--quiet"], tmp_path, tag)
        said = finish(["run", f"resume={killed}"], tmp_path, tag)
        finish(["audit", "verify", str(killed)], tmp_path, tag)
    assert "finished already" in said
    assert (whole / "model.safetensors").read_bytes() == (killed / "model.safetensors").read_bytes()
    results = [json.loads((folder / "result.json").read_text(encoding="utf-8")) for folder in (whole, killed)]
    assert results[0]["metrics"] == results[1]["metrics"]
    assert results[0]["weights"] == results[1]["weights"]


def finish(arguments: list[str], cwd: Path, tag: str) -> str:
    process = fedmce(arguments, cwd, tag)
    _, err = process.communicate(timeout=280)
    assert process.returncode == 0, err
    return err
