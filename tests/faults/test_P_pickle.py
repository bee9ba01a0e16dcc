"""P19: a full run reads no pickle, at the server or at a site."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# Hooks of the audit trail catch every way into the unpickler: pickle.loads, torch.load, np.load, shelve, joblib.
PROGRAM = """
import pickle, sys
import pathlib
from fedmce._paths import use_app
use_app()
import numpy, torch, flwr.app  # what they read of their own while they are imported is not the run's

found = []
real = pickle.loads
def refuse(*told, **named):
    found.append("loaded")
    raise RuntimeError("something was unpickled")
torch.load = pickle.load = pickle.loads = refuse
def hook(event, told):
    if event == "pickle.find_class":
        found.append(str(told))
        raise RuntimeError(f"unpickled {told}")
sys.addaudithook(hook)
if sys.argv[2] == "trap":
    try:
        pickle._loads(pickle.dumps(pathlib.PurePosixPath))
    except RuntimeError:
        print("caught"); raise SystemExit(0)
    raise SystemExit(1)
from fedmce.cli.compose import load_config
from simulations import engines
config = load_config(["rounds=2", "training.local_epochs=1", "privacy=floors"])
engines.run(config, pathlib.Path(sys.argv[1]), lambda event: None)
assert not found, found
print("pickle-free")
"""


def run(folder: Path, what: str) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, str(folder), what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_P19_a_full_run_unpickles_nothing(tmp_path: Path) -> None:
    assert "pickle-free" in run(tmp_path, "run")
    assert (tmp_path / "result.json").exists()


def test_P19_the_trap_catches_an_unpickler(tmp_path: Path) -> None:
    assert "caught" in run(tmp_path, "trap")
