"""A site's ``flwr-clientapp``: Flower's own, with a look at the bundle before anything of it is unpacked (T20)."""

from __future__ import annotations

import inspect
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fedmce.flower_compat import Context, Message, RecordDict, identity
from fedmce.kits.app_code import bundle_digest
from fedmce.site_errors import code_of_number
from simulations.deployment.checked_app import PROGRAM, check_first, checked_path
from tests.kits.test_bundle import CODE, PROJECT, packed

BUNDLE = packed(CODE | {"pyproject.toml": PROJECT.encode()})


class Flower:
    """Stands for the two steps of Flower."""

    def __init__(self) -> None:
        self.unpacked: list[bytes] = []

    def install(self, content: bytes, skip_prompt: bool) -> None:
        assert skip_prompt
        self.unpacked.append(content)

    def loader(self, **given: Any) -> Any:
        return lambda *named: "the app of the bundle"


def test_a_process_per_message_brings_neither_torch_nor_the_supernode_and_its_database() -> None:
    program = (
        "import sys; from fedmce.flower_compat import client_app_program; import client.app; "
        "assert callable(client_app_program(lambda *steps: steps)); "
        "print(*{'torch', 'sqlalchemy', 'alembic', 'uvicorn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_right_bundle_is_unpacked_and_loaded(tmp_path: Path) -> None:
    flower = Flower()
    install, loader = check_first(bundle_digest(BUNDLE), tmp_path / "refused.log", flower.install, flower.loader)
    install(BUNDLE, skip_prompt=True)
    assert flower.unpacked == [BUNDLE]
    assert loader(multi_app=True)("id", "version", "hash") == "the app of the bundle"
    assert not (tmp_path / "refused.log").exists()


def test_T20_nothing_of_another_bundle_is_unpacked_and_the_reply_says_plan_refused(tmp_path: Path) -> None:
    flower, log = Flower(), tmp_path / "log" / "refused.log"
    install, loader = check_first("0" * 64, log, flower.install, flower.loader)
    install(BUNDLE, skip_prompt=True)
    assert flower.unpacked == []
    with identity(1):
        message = Message(RecordDict(), 2, "train")
    reply = loader(multi_app=True)("id", "version", "hash")(
        message=message, context=Context(1, 2, {}, RecordDict(), {})
    )
    assert code_of_number(reply.error.code) == reply.error.reason == "plan_refused"
    assert f"digest {bundle_digest(BUNDLE)[:12]}; the kit was made for 000000000000" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_flower_still_takes_both_steps_by_the_names_that_are_replaced() -> None:
    from flwr.supernode.runtime import run_clientapp

    source = inspect.getsource(run_clientapp.run_clientapp)
    before, _, after = source.partition("install_from_fab(fab.content, skip_prompt=True)")
    assert after, "Flower unpacks bundles in another way: look at checked_app again"
    assert "get_load_client_app_fn(" in after
    assert "load_app" not in before


def test_flower_starts_the_program_through_the_path() -> None:
    from flwr.supercore.constant import TASK_TYPE_TO_COMMAND, TaskType

    assert TASK_TYPE_TO_COMMAND[TaskType.CLIENT_APP] == PROGRAM


@pytest.mark.slow
def test_the_program_first_on_the_path_is_flower_s_behind_the_check(tmp_path: Path) -> None:
    home = tmp_path / "a home, with blanks"
    home.mkdir()
    folder = checked_path(home, "0" * 64)
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    done = subprocess.run([PROGRAM, "--help"], env=os.environ | {"PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage: flwr-clientapp" in done.stdout
    assert stat.S_IMODE((folder / PROGRAM).stat().st_mode) == 0o700
