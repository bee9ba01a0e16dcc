"""One wrong value for the options of the commands between sites: an exit code, one message, nothing written."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from fedmce.cli.app import app
from fedmce.cli.door import door
from tests.kits.made import project

KIT, SITES = "P/kits/north", "--sites north,south"
FOLDERS = "dataset=folders dataset.modalities=[{name:x,kind:tabular,shape:[2]}] dataset.classes=[a,b]"
PROVISION = f"provision --out NEW {SITES} {FOLDERS}"
IMPORT = "site import NEW --site a --target y --table t=t.csv"
WRONG = {
    # provision
    f"{PROVISION} --server localhost": 2,
    f"{PROVISION} --server localhost:99999": 2,
    f"{PROVISION} --san *": 2,
    f"{PROVISION} --days 0": 2,
    f"{PROVISION} --keys nowhere": 2,
    f"{PROVISION} --max-rows north=0": 2,
    f"{PROVISION} --max-rows north=99999999999999999999": 2,
    f"{PROVISION} --max-rows east=5": 2,
    f"{PROVISION} privacy=open": 2,
    f"{PROVISION} rounds=0": 2,
    f"provision --out NEW {SITES}": 2,
    f"provision --out NEW --sites north,north {FOLDERS}": 2,
    f"provision --out P {SITES} {FOLDERS}": 2,
    f"provision --out file {SITES} {FOLDERS}": 2,
    f"provision --out file/x {SITES} {FOLDERS}": 2,
    # server
    "server up --dir nowhere": 4,
    "server up --dir file": 4,
    "server up --dir P --port 0": 2,
    "server up --dir P --port TAKEN": 4,
    "server up --dir P --port TAKEN-1": 4,
    "server up --dir P --port TAKEN-2": 4,
    "server recipes file --dir P": 2,
    "server recipes NEW --dir nowhere": 4,
    # client
    "client keygen file": 2,
    "client keygen file/x": 2,
    f"client keygen {KIT}": 4,
    "client join nowhere --data data": 3,
    f"client join {KIT} --data nowhere": 3,
    f"client join {KIT} --data file": 3,
    f"client join {KIT} --data data --patience -1": 2,
    f"client join {KIT} --data data --port 0": 2,
    f"client recipes {KIT} --data nowhere --home H --out NEW": 3,
    "client worker --socket file/x/sock": 2,
    "client worker --socket NEW/s --memory-gib -1": 2,
    "client ledger nowhere": 5,
    # site
    "site init file --site a --modality x:tabular:3": 2,
    "site init file/x --site a --modality x:tabular:3": 2,
    "site init NEW --site a --modality x": 2,
    "site init NEW --site a --modality x:tabular:3 --modality x:tabular:4": 2,
    "site init NEW --site A_B --modality x:tabular:3": 3,
    f"{IMPORT} --target zz": 3,
    f"{IMPORT} --id zz": 3,
    f"{IMPORT} --split zz": 3,
    f"{IMPORT} --array x=nowhere.npy": 3,
    f"{IMPORT} --array x=file": 3,
    f"{IMPORT} --samples nowhere": 3,
    f"{IMPORT} --metric zz": 2,
    f"{IMPORT} --metric auc_within_sites --classes 0,1,2": 3,
    f"{IMPORT} --test-share 0.6 --validation-share 0.6": 2,
    "site export file dataset=av_digits": 2,
    "site check nowhere": 3,
    "site seal nowhere": 3,
    # the rest
    "doctor --dir nowhere": 4,
    "doctor --kit nowhere": 4,
    "doctor --outside localhost:1": 2,
    "doctor --outside localhost:1 --ca nowhere": 4,
    "doctor --outside nonsense --ca P/ca.crt": 2,
    "doctor --dir P --port 70000": 2,
    "deploy-demo --out P": 2,
    "deploy-demo --out file": 2,
    "deploy-demo --out NEW nokey=1": 2,
    "leak-probe --rows x": 2,
    "leak-probe --rows 0": 2,
    "leak-probe --noise -1": 2,
    "leak-probe --noise nan": 2,
    "leak-probe --device tpu --rows 4 --noise 0 --seeds 1": 2,
    "audit verify nowhere": 5,
    "audit verify file": 5,
    "run resume=nowhere": 2,
    "run resume=file": 2,
    "run resume=data": 2,
    "run resume=": 2,
    "run --accept-rollback rounds=1": 2,
    "leak-probe --out file --rows 4 --noise 0 --seeds 1": 2,
    "doctor --outside localhost:1 --ca file": 4,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A working folder with a project, a file, a table and a folder that is no site's; and a port that is taken."""
    root = tmp_path_factory.mktemp("wrong")
    project(root / "P", keys="here")
    (root / "file").write_text("x\n")
    (root / "data").mkdir()
    (root / "t.csv").write_text("sample_id,y,a\n" + "".join(f"s{n},{n % 2},{n}\n" for n in range(40)))
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield root, held.getsockname()[1]


def seen(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()} | {
        str(path): 0 for path in root.rglob("*") if path.is_dir()
    }


@pytest.mark.parametrize(("line", "code"), WRONG.items(), ids=list(WRONG))
def test_a_wrong_value_is_one_message_an_exit_code_and_nothing_written(
    place: tuple[Path, int], line: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, taken = place
    monkeypatch.chdir(root)
    monkeypatch.setenv("COLUMNS", "200")
    for number in (2, 1, 0):
        line = line.replace(f"TAKEN-{number}" if number else "TAKEN", str(taken - number))
    before = seen(root)
    done = CliRunner().invoke(app, line.split())
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    assert "probably a bug" not in done.output
    assert done.output.strip()
    assert seen(root) == before


@pytest.mark.parametrize(
    ("number", "code"), [(errno.EACCES, 2), (errno.ENOENT, 2), (errno.ENOSPC, 5), (errno.EROFS, 5), (errno.EMFILE, 1)]
)
def test_a_path_that_cannot_be_used_is_no_bug_and_a_full_disk_is_a_fault_of_the_folder(
    number: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as left, door():
        raise OSError(number, os.strerror(number), "some/path")
    assert left.value.exit_code == code
    said = capsys.readouterr().err
    assert ("probably a bug" in said) == (code == 1)
    assert "some/path" in said


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 5), (errno.EDQUOT, 5), (errno.EIO, 5), (errno.EACCES, 1)])
def test_a_write_that_a_full_disk_does_not_take_names_no_file_and_is_no_bug(
    number: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as left, door():
        raise OSError(number, os.strerror(number))
    assert left.value.exit_code == code
    said = capsys.readouterr().err
    assert ("probably a bug" in said) == ("Traceback" in said) == (code == 1)
    assert code == 1 or said.startswith(f"error: {os.strerror(number)}; needed a disk that can be written. make room")
