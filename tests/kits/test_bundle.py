"""T20: the app bundle that a server hands out is compared with the code that the site's signed kit names."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fedmce.errors import PlanRefusedError
from fedmce.kits.app_code import app_digest, bundle_digest, check_bundle

PROJECT = '[tool.flwr.app.components]\nserverapp = "server.app:app"\nclientapp = "client.app:app"\n'
CODE = {
    "server/app.py": b"serve",
    "client/app.py": b"train",
    "client/deep/er.py": b"",
    "configs/config.yaml": b"rounds: 3",
}
Files = dict[str, bytes]


def packed(files: Files) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture
def whole() -> Files:
    return CODE | {
        "pyproject.toml": PROJECT.encode(),
        ".info/CONTENT": b"hashes",
        "README.md": b"read",
        "LICENSE": b"free",
    }


@pytest.fixture
def expected(tmp_path: Path) -> str:
    for name, content in CODE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return app_digest(tmp_path)


def test_a_bundle_has_the_digest_of_the_folder_that_it_was_made_from(whole: Files, expected: str) -> None:
    assert bundle_digest(packed(whole)) == expected
    check_bundle(packed(whole), expected)


CHANGES: dict[str, Callable[[Files], Files]] = {
    "one byte": lambda f: f | {"client/app.py": b"trait"},
    "a file more": lambda f: f | {"client/more.py": b""},
    "a file less": lambda f: {name: content for name, content in f.items() if name != "client/deep/er.py"},
    "a file moved": lambda f: {name.replace("er.py", "re.py"): content for name, content in f.items()},
    "a package that hides ours": lambda f: f | {"fedmce/__init__.py": b""},
    "a module at the top": lambda f: f | {"torch.py": b""},
    "compiled code": lambda f: f | {"client/app.pyc": b""},
    "a link of paths": lambda f: f | {"client/../torch.py": b""},
    "an absolute path": lambda f: f | {"/client/torch.py": b""},
    "a backslash": lambda f: f | {"client\\torch.py": b""},
    "a doubled slash": lambda f: f | {"client//torch.py": b""},
    "a test, which no folder's digest covers": lambda f: f | {"client/test_it.py": b""},
    "another start": lambda f: f | {"pyproject.toml": PROJECT.replace("client.app:app", "server.app:app").encode()},
    "no start": lambda f: f | {"pyproject.toml": b"[tool]"},
    "components that are none": lambda f: f | {"pyproject.toml": b"[tool.flwr]\napp = 3"},
    "no project": lambda f: {name: content for name, content in f.items() if name != "pyproject.toml"},
    "a project that is no text": lambda f: f | {"pyproject.toml": b"\xff\xfe"},
    "nothing": lambda f: {},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_T20_every_other_bundle_is_refused(whole: Files, expected: str, change: Callable[[Files], Files]) -> None:
    with pytest.raises(PlanRefusedError, match=r"^app bundle: ") as refused:
        check_bundle(packed(change(whole)), expected)
    assert refused.value.exit_code == 2


def test_T20_a_file_twice_is_refused(whole: Files, expected: str) -> None:
    stream = io.BytesIO(packed(whole))
    with zipfile.ZipFile(stream, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("client/app.py", b"train")
    with pytest.raises(PlanRefusedError, match="twice"):
        check_bundle(stream.getvalue(), expected)


def test_T20_a_bundle_that_grows_when_unpacked_is_refused_before_it_is(whole: Files, expected: str) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (whole | {"client/more.py": bytes(65 * 2**20)}).items():
            archive.writestr(name, content)
    with pytest.raises(PlanRefusedError, match="bytes unpacked"):
        check_bundle(stream.getvalue(), expected)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive"])
def test_T20_what_is_no_archive_is_refused(content: bytes, expected: str) -> None:
    with pytest.raises(PlanRefusedError, match="cannot be read"):
        check_bundle(content, expected)


def test_T20_damage_anywhere_in_a_bundle_is_refused_or_changes_nothing(whole: Files, expected: str) -> None:
    content = packed(whole)
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        try:
            check_bundle(bytes(damaged), expected)
        except PlanRefusedError:
            continue
        with zipfile.ZipFile(io.BytesIO(damaged)) as archive:
            assert {name: archive.read(name) for name in CODE} == CODE
