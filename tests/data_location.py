"""Where tests find the downloaded data sets: ``FEDMCE_DATA_DIR``, else ``../shared/data`` beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fedmce.data import originals

_GIVEN = os.environ.get("FEDMCE_DATA_DIR")
_LOOKED = Path(_GIVEN) if _GIVEN else Path(__file__).resolve().parents[2] / "shared" / "data"
DATA_DIR: Path | None = _LOOKED if _LOOKED.is_dir() else None


def needs(name: str) -> pytest.MarkDecorator:
    """Mark that skips a test, or a whole module as ``pytestmark``, where a data set's files are absent."""
    absent = originals.missing(name, DATA_DIR)
    reason = (
        f"{name}: no {absent[0] if absent else ''} in {_LOOKED}; set FEDMCE_DATA_DIR or run `fedmce data fetch {name}`"
    )
    return pytest.mark.skipif(bool(absent), reason=reason)
