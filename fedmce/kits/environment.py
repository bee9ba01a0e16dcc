"""Environment variables by which Flower can be set beside every option, for the record of a run (K14)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL|AUTH")
HIDDEN = "(set, not shown)"


def flower_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """``FLWR_*`` variables that are set, by name, sorted; values that may be secrets are not shown.

    Args:
        environ: variables; default those of this process.
    """
    found = os.environ if environ is None else environ
    return {
        name: HIDDEN if _SECRET.search(name) or "@" in found[name] else found[name]
        for name in sorted(found)
        if name.startswith("FLWR_")
    }
