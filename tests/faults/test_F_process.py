"""F01 between real processes: the disk of a server that runs fills up, with state, record and Flower's database on it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from fedmce.audit import verify
from tests.faults.federation import Federation
from tests.faults.small_disk import filled, small_disk

pytestmark = [pytest.mark.processes, pytest.mark.timeout(1800)]

LONG_S = 600.0  # on a machine that does much else
ROUNDS = 4


def test_F01_a_disk_that_fills_up_under_a_running_federation_is_waited_for(tmp_path: Path) -> None:
    plan = ["exchange.wait_sites_s=600", "exchange.deadline_s=600"]
    f = Federation(tmp_path / "f", sites=2, rounds=ROUNDS, overrides=plan, proxied=False)
    aside = tmp_path / "aside"
    shutil.copytree(f.project, aside)
    with small_disk(f.project, 64) as disk:
        shutil.copytree(aside, disk, dirs_exist_ok=True)
        with f:
            f.await_round(1, LONG_S)
            with filled(disk):
                f.await_that(lambda: os.statvfs(disk).f_bavail == 0, LONG_S, "the disk to be full")
                f.await_that(lambda: f"the disk of {f.project} is full" in f.server.log, LONG_S, "the server's word")
                done = committed(f)
                time.sleep(5.0)
                assert f.server.is_alive
                assert committed(f) == done
                assert len(done) < ROUNDS
            assert f.await_end(LONG_S) == 0, f.server.log
        assert "Traceback" not in f.server.log
        verify(f.run / "state" / "log" / "audit.jsonl")
        assert committed(f) == list(range(1, ROUNDS + 1))
        model = (f.run / "model.safetensors").read_bytes()
        assert "accepted" in [f.verdicts(site).get(ROUNDS) for site in f.sites]
        # A site that Flower answered with 500 meanwhile may come back too late for a round, which goes on without it.
        rounds = range(1, ROUNDS + 1)
        if all(f.verdicts(site).get(number) == "accepted" for site in f.sites for number in rounds):
            assert model == (f.simulated(tmp_path / "simulated") / "model.safetensors").read_bytes()


def committed(f: Federation) -> list[int]:
    return [int(line["round"]) for line in f.audit("commit")]
