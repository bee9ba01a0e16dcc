"""Build hook: the wheel carries the Flower app folder as ``fedmce/_app``.

``server``, ``client``, ``simulations`` and ``configs`` are too generic to be top-level names in
site-packages. An editable install gets nothing: there the checkout itself is the app folder.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PARTS = {"server": ".py", "client": ".py", "simulations": ".py", "configs": ".yaml"}


class AppFiles(BuildHookInterface[Any]):
    """Adds the app's files one by one, so that no stray file of a working tree is packed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fill ``force_include`` of a standard wheel."""
        if version != "standard":
            return
        root = Path(self.root)
        files = [root / "pyproject.toml"]
        for part, suffix in PARTS.items():
            files += sorted((root / part).rglob(f"*{suffix}"))
        for file in files:
            build_data["force_include"][str(file)] = f"fedmce/_app/{file.relative_to(root).as_posix()}"
