"""Where the folders beside the package are: ``fedmce/_app`` in a wheel, the checkout otherwise."""

from __future__ import annotations

import sys
from pathlib import Path

from fedmce.errors import FedMCEError


def app_root() -> Path:
    """Folder that holds ``server/``, ``client/``, ``simulations/``, ``configs/`` and ``pyproject.toml``.

    Raises:
        FedMCEError: the folder is missing, so the installation is broken.
    """
    return _holder_of("server/app.py")


def config_root() -> Path:
    """Folder ``configs/`` with the config groups.

    Raises:
        FedMCEError: the folder is missing, so the installation is broken.
    """
    return _holder_of("configs/config.yaml") / "configs"


def use_app() -> Path:
    """Make ``server``, ``client`` and ``simulations`` importable; for the command line only.

    In a wheel they are no top-level packages of site-packages, because their names are everybody's.

    Returns:
        What :func:`app_root` returns, now first on ``sys.path``.
    """
    root = app_root()
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return root


def _holder_of(marker: str) -> Path:
    package = Path(__file__).resolve().parent
    # The wheel's copy first: beside an installed package lies site-packages, which may hold anything.
    for root in (package / "_app", package.parent):
        if (root / marker).is_file():
            return root
    raise FedMCEError(f"fedmce installation: {marker} not found; needed beside or inside the package. reinstall fedmce")
