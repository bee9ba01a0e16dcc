"""A node that has given its connection up ends, so that whoever keeps it up can start it again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from simulations.deployment.client_join import NODE

GIVES_UP = """
import sys, threading, time
def flower_supernode():
    # As Flower's own: its service goes on in a thread that keeps the process, and the loop returns.
    threading.Thread(target=time.sleep, args=(3600,)).start()
    print("given up", *sys.argv)
"""


def node(folder: Path, source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    package = folder / "flwr" / "supernode" / "cli"
    package.mkdir(parents=True)
    for place in (package, package.parent, package.parent.parent):
        (place / "__init__.py").write_text(source if place == package else "")
    command = [sys.executable, "-P", "-c", NODE, *arguments]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_N11_a_node_that_has_given_up_is_gone(tmp_path: Path) -> None:
    done = node(tmp_path, GIVES_UP, "--superlink", "localhost:1")
    assert done.returncode == 1
    assert done.stdout == "given up flower-supernode --superlink localhost:1\n"


def test_a_node_that_ends_in_order_keeps_its_exit_code(tmp_path: Path) -> None:
    assert node(tmp_path, "import sys\ndef flower_supernode():\n    sys.exit(0)\n").returncode == 0


def test_the_installed_flower_has_the_node_where_it_is_looked_for() -> None:
    from flwr.supernode.cli import flower_supernode

    assert callable(flower_supernode)
