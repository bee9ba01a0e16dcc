"""Which code made a cell: a hash of the statements that decide its numbers."""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache
from pathlib import Path

from fedmce._paths import app_root

# Rooms that no number of a run comes from.
ASIDE = ("_app", "cli", "report", "study", "predict")


@lru_cache(maxsize=1)
def code_sha256() -> str:
    """Hash of the code that runs a federation; comments, layout and docstrings do not count.

    The hash is that of the files as they are when this is first called in a process. Python versions
    parse into different trees, so equal code under another Python version has another hash.
    """
    package, root = Path(__file__).resolve().parents[1], app_root()
    files = {f"fedmce/{f.relative_to(package).as_posix()}": f for f in package.rglob("*.py") if _counts(f, package)}
    for part in ("server", "client", "simulations/engines"):
        files |= {f"{part}/{f.relative_to(root / part).as_posix()}": f for f in (root / part).rglob("*.py")}
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{statements(files[name].read_text(encoding='utf-8'))}\0".encode())
    return digest.hexdigest()


def _counts(file: Path, package: Path) -> bool:
    parts = file.relative_to(package).parts
    return parts[0] not in ASIDE and parts != ("config", "study.py") and parts != ("config", "study_load.py")


def statements(source: str) -> str:
    """The syntax tree of a module as text, without docstrings.

    >>> statements("x = 1  # one") == statements("'''What x is.'''\\nx = (1)")
    True
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            first = body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = body[1:]
    return ast.dump(tree)
