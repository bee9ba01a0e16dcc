"""R26: what a site noted as released is still noted after the server, or the site itself, was killed and came back."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from fedmce.privacy import Block, Entry, Ledger, read_ledger
from tests.faults.killed import in_child


def entry(number: int) -> Entry:
    block = Block("encoder.m", 40, 1.25, None, 0.02, False, (), f"{number:032x}")
    return Entry(number, "train", "north", "cd" * 32, "", 3, 10, 16, (block,), {"steps": 1}, f"{number:032x}")


def rounds(ledger: Ledger) -> list[int]:
    return [line["round"] for line in read_ledger(ledger.path)]


def test_R26_a_round_that_is_released_again_after_a_resume_is_noted_again(tmp_path: Path) -> None:
    """The killed server's round left the site, so both stand there: there is no budget that could fall."""
    ledger = Ledger(tmp_path)
    for number in (0, 1, 2, 3):
        ledger.write(entry(number))
    first = ledger.path.read_bytes()
    for number in (3, 4):  # the server had committed round 2
        Ledger(tmp_path).write(entry(number))
    assert rounds(ledger) == [0, 1, 2, 3, 3, 4]
    assert ledger.path.read_bytes().startswith(first)


def test_R26_a_site_that_is_killed_while_it_writes_forgets_nothing_that_left(tmp_path: Path) -> None:
    """A reply leaves after its line was flushed: lines of rounds that a child said had left are all there."""
    left = tmp_path / "left"
    left.mkdir()

    def write() -> None:
        for number in range(100_000):
            Ledger(tmp_path).write(entry(number))
            (left / str(number)).touch()

    Ledger(tmp_path).write(entry(100_000))  # so that there is one, however slow the machine
    kills, wait_s = 0, 0.05
    while kills < 5 or not any(left.iterdir()):
        kills, wait_s = kills + 1, min(wait_s * 1.5, 10.0)
        assert in_child(write, kill_after_s=wait_s) == signal.SIGKILL
        noted = [line["digest"] for line in read_ledger(tmp_path / "ledger.jsonl")]
        assert {f"{int(file.name):032x}" for file in left.iterdir()} <= set(noted)
    Ledger(tmp_path).write(entry(7))  # a half-written line gives way
    lines = (tmp_path / "ledger.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["round"] == 7
