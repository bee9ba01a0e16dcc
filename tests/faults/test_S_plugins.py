"""S15: an exception in a user's objective at a site, or in the scoring at the server, costs no committed round."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.workplace import open_workplace
from fedmce.data import FederatedDataset
from fedmce.errors import StoppedError
from fedmce.record import read_record
from server import scoring
from tests.faults.real_run import assert_equal_runs, run, small
from tests.server.made import made_dataset, use

# Every training ends in an exception while a file is there.
OBJECTIVE = """
from pathlib import Path
import torch.nn.functional as F

def broken(options, facts, generator):
    def loss(net, batch, available):
        if Path(options["switch"]).exists():
            raise KeyError("patient P4711")
        token = net.encode(batch)
        return F.cross_entropy(net.unimodal(token)[:, 0], batch.targets)
    return loss
"""


@pytest.fixture(scope="module", autouse=True)
def made() -> Iterator[FederatedDataset]:
    with pytest.MonkeyPatch.context() as patch:
        yield use(patch, made_dataset())
    open_workplace.cache_clear()


def test_S15_scoring_that_raises_ends_the_run_after_its_last_commit_to_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small()
    run(config, tmp_path / "whole")
    honest, calls = scoring.TestRows.score, list[bool]()

    def score(self: scoring.TestRows, state: Any, last: bool = False) -> dict[str, Any]:
        calls.append(last)
        if last:
            raise ZeroDivisionError("of a user's metric")
        return honest(self, state, last)

    with monkeypatch.context() as patch:
        patch.setattr(scoring.TestRows, "score", score)
        with pytest.raises(ZeroDivisionError):
            run(config, tmp_path / "resumed")
    end = read_record(tmp_path / "resumed")[-1]
    assert (end["event"], end["status"]) == ("end", "failed")
    assert "ZeroDivisionError" in end["reason"]
    assert calls[-1]
    run(config, tmp_path / "resumed")
    assert_equal_runs(tmp_path / "whole", tmp_path / "resumed")


def test_S15_an_objective_that_raises_at_the_sites_is_a_code_and_void_rounds(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.py").write_text(OBJECTIVE)
    switch = tmp_path / "switch"
    switch.touch()
    options = {"name": "python", "call": f"{tmp_path}/mine.py:broken", "options": {"switch": str(switch)}}
    config = small("fedavg_owner", objective=options, exchange__void_limit=2, exchange__accept_min=1)
    with pytest.raises(StoppedError, match="2 void rounds in a row") as stopped:
        run(config, tmp_path / "run")
    assert stopped.value.exit_code == 6
    rounds = [row for row in read_record(tmp_path / "run") if row["event"] == "round"]
    assert [row["void"] for row in rounds] == [True, True]
    assert {site["verdict"] for row in rounds for site in row["sites"].values()} == {"site_error"}
    record = (tmp_path / "run" / "record.jsonl").read_text()
    assert not [word for word in ("patient", "P4711") if word in record]  # digits alone are in some timing
    switch.unlink()
    run(config, tmp_path / "run")
    assert read_record(tmp_path / "run")[-1]["status"] == "finished"
