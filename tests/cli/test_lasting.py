"""Output that nobody reads any more, or that finds no room, costs lines and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys, typer
from fedmce.cli.lasting import lasting_output
with lasting_output():
    for number in range(3):
        typer.echo(f"line {number}")
        print("said", number, file=sys.stderr)
sys.exit(7)
"""


def test_a_reader_that_goes_away_does_not_end_the_program() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run([sys.executable, "-c", PROGRAM], stdout=writes, stderr=writes)
    os.close(writes)
    assert done.returncode == 7


def test_a_full_disk_does_not_end_the_program() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", PROGRAM], stdout=full, stderr=full)
    assert done.returncode == 7


def test_what_can_be_written_is_written_in_its_order() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["line 0", "line 1", "line 2"]
    assert done.stderr.splitlines() == ["said 0", "said 1", "said 2"]
