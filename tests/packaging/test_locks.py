import re
import tomllib
from pathlib import Path

import pytest

LOCKS = ("lock.txt", "dev.txt", "oracle.txt")


def _locked(path: Path) -> dict[str, list[str]]:
    """Each requirement line without its checksums -> its checksums."""
    entries = re.split(r"\n(?=\S)", path.read_text().strip())
    return {entry.splitlines()[0].rstrip(" \\"): re.findall(r"--hash=(\S+)", entry) for entry in entries}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_library_has_an_exact_version_and_a_checksum(repository: Path, lock: str) -> None:
    entries = _locked(repository / "requirements" / lock)
    assert entries
    assert all(re.match(r"[a-z0-9-]+==\S+", entry) for entry in entries), list(entries)
    assert all(hashes and all(h.startswith("sha256:") for h in hashes) for hashes in entries.values())


@pytest.mark.parametrize("lock", [*LOCKS, "torch.txt"])
def test_a_lock_names_no_place_to_download_from(repository: Path, lock: str) -> None:
    text = (repository / "requirements" / lock).read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert not re.search(r"://|^\s*--?(index|extra-index|find-links|trusted-host|i|f)\b", text, re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_torch_and_the_libraries_of_its_gpu_build_stay_out_of_the_locks(repository: Path, lock: str) -> None:
    entries = _locked(repository / "requirements" / lock)
    assert not [entry for entry in entries if re.match(r"(torch|triton|nvidia|cuda)\b", entry)]


def test_each_direct_dependency_is_locked_or_pinned(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    lines = " ".join(_locked(repository / "requirements" / "lock.txt"))
    pins = lines + " " + (repository / "requirements" / "torch.txt").read_text()
    for dependency in project["dependencies"]:
        name = re.match(r"[A-Za-z0-9-]+", dependency)
        assert name
        assert re.search(rf"(^|\s){name.group()}==", pins), f"{dependency} is not in a lock; run `make lock`"
