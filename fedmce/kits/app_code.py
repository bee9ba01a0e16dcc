"""The code that a plan runs: its digest, from a folder and from the bundle that Flower carries (reliability: T20).

Light on purpose: a deployed site looks at the bundle in the process that Flower starts for each message.
"""

from __future__ import annotations

import hashlib
import io
import tomllib
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from fedmce import __version__
from fedmce._paths import app_root
from fedmce.errors import PlanRefusedError

# What `[tool.flwr.app] fab-include` of pyproject.toml bundles; a test holds the two equal.
BUNDLED = (("server", "*.py"), ("client", "*.py"), ("configs", "*.yaml"))
BESIDE = ("pyproject.toml", ".info/CONTENT", "README.md", "LICENSE")  # in a bundle too, and no code
CLIENT = "client.app:app"
MOST_BYTES = 64 * 2**20
# What reading a hostile archive or its pyproject.toml raises.
UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError, TypeError, LookupError)


def app_files(root: Path) -> list[Path]:
    """Files that Flower bundles from an app folder, relative to it, sorted.

    Flower takes no links and no files that it holds for tests.
    """
    found = (
        file.relative_to(root)
        for part, pattern in BUNDLED
        for file in (root / part).rglob(pattern)
        if file.is_file() and not file.is_symlink()
    )
    return sorted(path for path in found if not _is_test(path))


def app_digest(root: Path | None = None) -> str:
    """sha256 over the app's files and the version of fedmce, the same for checkout, wheel and bundle.

    Args:
        root: folder that holds ``server/``, ``client/`` and ``configs/``; default this installation's.

    Returns:
        64 hexadecimal digits; of ``fedmce VERSION`` and one ``sha256  path`` line per file.
    """
    root = app_root() if root is None else root
    return _digest({path: (root / path).read_bytes() for path in app_files(root)})


def bundle_digest(content: bytes) -> str:
    """The same of a bundle, before anything of it is unpacked.

    Args:
        content: of the ``.fab`` file.

    Raises:
        PlanRefusedError: no bundle, or it holds or starts anything that the digest does not cover.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _digest(_code_of(archive))
    except UNREADABLE as error:
        raise PlanRefusedError(f"app bundle: cannot be read ({type(error).__name__}); needed that of the kit") from None


def check_bundle(content: bytes, expected: str) -> None:
    """Refuse a bundle that is not the code that a kit was made for.

    Args:
        content: of the ``.fab`` file.
        expected: ``app_digest`` of the kit.

    Raises:
        PlanRefusedError: it holds something else.
    """
    if (given := bundle_digest(content)) != expected:
        raise PlanRefusedError(
            f"app bundle: the server's has digest {given[:12]}; the kit was made for {expected[:12]}. ask the operator for "
            "a kit of the code that runs (`fedmce server adopt`, `fedmce server kit`), or which code should run"
        )


def _code_of(archive: zipfile.ZipFile) -> dict[Path, bytes]:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise PlanRefusedError("app bundle: holds a file twice; needed each once")
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise PlanRefusedError(f"app bundle: more than {MOST_BYTES} bytes unpacked; needed fewer")
    if strange := [name for name in names if name not in BESIDE and not _is_code(name)]:
        raise PlanRefusedError(f"app bundle: holds {strange[0]!r}, which is no part of the app; needed only its files")
    about = tomllib.loads(archive.read("pyproject.toml").decode())
    starts = about["tool"]["flwr"]["app"]["components"]["clientapp"]
    if starts != CLIENT:
        raise PlanRefusedError(f"app bundle: starts {starts!r} at sites; needed {CLIENT!r}")
    return {Path(name): archive.read(name) for name in names if name not in BESIDE}


def _is_code(name: str) -> bool:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name or _is_test(path):
        return False
    return any(len(path.parts) > 1 and path.parts[0] == part and path.match(pattern) for part, pattern in BUNDLED)


def _is_test(path: PurePosixPath | Path) -> bool:
    return path.name.startswith("test_") or path.name.endswith("_test.py")


def _digest(files: Mapping[Path, bytes]) -> str:
    lines = [f"fedmce {__version__}"]
    lines += [f"{hashlib.sha256(files[path]).hexdigest()}  {path.as_posix()}" for path in sorted(files)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
