"""Look at the app bundle before a site runs any of it: it must be the code that the site's kit was made for (T20).

A check inside the bundle would be the server's own. So the SuperNode finds a ``flwr-clientapp`` of ours first on its
path: Flower's own, with a look at the bundle before it is unpacked. Written against flwr 1.41.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedmce._paths import app_root
from fedmce.errors import PlanRefusedError
from fedmce.kits.app_code import check_bundle
from fedmce.site_errors import number_of

PROGRAM, LOG = "flwr-clientapp", "refused.log"
SHIM = """#!/bin/sh
exec {python} -c 'import sys; sys.path[0] = sys.argv[1]; from simulations.deployment.checked_app import main; main()' {told} "$@"
"""


def checked_path(home: Path, app_digest: str) -> Path:
    """A folder to put first on the path of a SuperNode: its ClientApps run no other code.

    Args:
        home: of the site; gets ``bin/`` and, once something is refused, ``log/refused.log``.
        app_digest: of the signed kit.
    """
    folder = home / "bin"
    folder.mkdir(mode=0o700, exist_ok=True)
    told = [str(app_root()), app_digest, str(home / "log" / LOG)]
    text = SHIM.format(python=shlex.quote(sys.executable), told=" ".join(shlex.quote(word) for word in told))
    beside = folder / f".{PROGRAM}.{os.getpid()}"
    beside.write_text(text, encoding="utf-8")
    beside.chmod(0o700)
    beside.replace(folder / PROGRAM)
    return folder


def main() -> None:
    """Flower's ``flwr-clientapp`` with the check; arguments: app folder, digest, log, then Flower's own."""
    root, digest, log = sys.argv[1:4]
    sys.argv = [PROGRAM, *sys.argv[4:]]
    sys.path.remove(root)  # the bundle's own folder comes first on the path when it is loaded
    from fedmce.flower_compat import client_app_program

    client_app_program(lambda install, loader: check_first(digest, Path(log), install, loader))()


def check_first(
    digest: str, log: Path, install: Callable[..., Any], loader: Callable[..., Any]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Flower's two steps from a bundle to an app, with the check before the first.

    Args:
        digest: of the code that may run.
        log: gets a line for each refusal.
        install: unpacks the content of a bundle.
        loader: gives a function from id, version and hash of a bundle to its app.

    Returns:
        The same two; of a bundle that is refused nothing is unpacked, and its app answers ``plan_refused``.
    """
    refused: list[str] = []

    def checked_install(content: bytes, *given: Any, **named: Any) -> Any:
        try:
            check_bundle(content, digest)
        except PlanRefusedError as error:
            refused.append(str(error))
            _note(log, str(error))
            return None
        return install(content, *given, **named)

    def checked_loader(*given: Any, **named: Any) -> Any:
        return (lambda *_: _refuse) if refused else loader(*given, **named)

    return checked_install, checked_loader


def _refuse(message: Any, context: Any) -> Any:
    from flwr.app import Error, Message

    return Message(Error(number_of("plan_refused"), "plan_refused"), reply_to=message)


def _note(log: Path, text: str) -> None:
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as opened:
        opened.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} plan_refused: {text}\n")
