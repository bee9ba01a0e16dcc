import os
import subprocess
import sys
import time
from pathlib import Path

from simulations.study.pool import Failure, work_off
from tests.journeys.processes import TAG, new_tag, tagged


def job(number: int) -> int:
    if number == 2:
        raise ValueError("two")
    if number == 3:
        os._exit(1)
    return 10 * number


def test_a_job_that_fails_or_kills_its_process_loses_only_itself() -> None:
    seen: dict[int, int | Failure] = {}
    work_off(lambda: range(1, 7), job, lambda number, outcome: seen.update({number: outcome}), workers=2)
    assert seen[2] == Failure("ValueError: two")
    assert isinstance(seen[3], Failure)
    assert {n: seen[n] for n in (1, 4, 5, 6)} == {1: 10, 4: 40, 5: 50, 6: 60}


def test_what_came_out_decides_what_is_next() -> None:
    seen: list[int] = []
    work_off(lambda: [1] if not seen else [4, 5], job, lambda number, outcome: seen.append(number), workers=1)
    assert seen == [1, 4, 5]


def visible(number: int) -> str:
    time.sleep(0.3)  # so that both workers get some
    return os.environ["CUDA_VISIBLE_DEVICES"]


def test_each_worker_sees_one_device() -> None:
    seen: dict[int, str | Failure] = {}
    work_off(
        lambda: range(6), visible, lambda n, outcome: seen.update({n: outcome}), workers=2, devices=["GPU-a", "GPU-b"]
    )
    assert set(seen.values()) == {"GPU-a", "GPU-b"}


SLEEPERS = """
import pathlib, sys, time
from simulations.study.pool import work_off
def sleeper(number):
    pathlib.Path(sys.argv[1], str(number)).touch()
    time.sleep(600)
if __name__ == "__main__":
    work_off(lambda: [1, 2], sleeper, print, workers=2)
"""


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "sleepers.py").write_text(SLEEPERS)
    with new_tag() as tag:
        environment = os.environ | {TAG: tag, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path.cwd())])}
        parent = subprocess.Popen([sys.executable, "sleepers.py", str(tmp_path)], cwd=tmp_path, env=environment)
        deadline = time.monotonic() + 60
        while not all((tmp_path / name).exists() for name in "12"):
            assert time.monotonic() < deadline, "the workers did not start"
            time.sleep(0.1)
        parent.kill()
        parent.wait()
        while tagged(tag):
            assert time.monotonic() < deadline, f"still there: {tagged(tag)}"
            time.sleep(0.1)
