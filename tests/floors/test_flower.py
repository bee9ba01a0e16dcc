import ast
from pathlib import Path

PUBLIC = ("flwr.app", "flwr.serverapp", "flwr.clientapp")
ADAPTER = "fedmce/flower_compat.py"


def _imported(file: Path) -> set[str]:
    """Every module that a file imports by name, in functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def _private(name: str) -> bool:
    inside = name == "flwr" or name.startswith("flwr.")
    return inside and not any(name == public or name.startswith(public + ".") for public in PUBLIC)


def test_private_modules_of_flower_are_imported_in_one_adapter_only(repository: Path) -> None:
    files = [
        file for room in ("fedmce", "server", "client", "simulations") for file in (repository / room).rglob("*.py")
    ]
    private = {
        file.relative_to(repository).as_posix(): sorted(names)
        for file in files
        if (names := {name for name in _imported(file) if _private(name)})
    }
    assert set(private) <= {ADAPTER}, private


def test_private_is_what_flower_does_not_promise() -> None:
    assert _private("flwr.supercore.run")
    assert _private("flwr.common")
    assert _private("flwr")
    assert not _private("flwr.serverapp.strategy")
    assert not _private("flwrx")
