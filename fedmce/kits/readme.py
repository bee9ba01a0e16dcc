"""``README`` of a kit: what the person who got it does next."""

from __future__ import annotations

from typing import Literal

_TEXT = """\
FedMCE kit of the site {site}, for the server {server}
{rule}

This folder is for {site} alone{secret}.
Keep it where only the user that runs the site's node can read it (folder 0700, files 0600), and change
nothing in it: every file is listed in MANIFEST, which the project signed.

With fedmce installed, in this folder:

{steps}

The operator tells you the fingerprint of the project (SHA256:...) on the telephone or in person, not in the
message that brought the kit: who can change the message could change both.
If a command refuses, it says what is wrong and what to do; nothing has left this machine by then.
"""

Key = Literal["kit", "make", "keep"]

_FIRST = {
    "kit": ("fedmce site check DATA", "names everything that is wrong with your site folder; nothing is sent"),
    "make": (
        "fedmce client keygen .",
        "makes node.key, which never leaves this machine, and node.pub: send node.pub to the\n"
        "     operator, read out the fingerprint that is printed, and wait until it is registered",
    ),
    "keep": ("cp -p OLD/node.key .", "your key stays; OLD is the folder of the kit that you have"),
}
_INSPECT = (
    "fedmce client inspect . --fingerprint SHA256:...",
    "shows what was agreed: plan, floors, dates, code; compares signature and every file",
)
_JOIN = (
    "fedmce client join . --data DATA",
    "checks your site folder DATA, then takes part until you stop it",
)


def readme(site: str, server: str, key: Key) -> str:
    """The text, with the three commands that come next.

    Args:
        site: whom the kit is for.
        server: ``HOST:PORT``.
        key: the kit holds the node key, the site makes it, or the site has it and keeps it.
    """
    title = f"FedMCE kit of the site {site}, for the server {server}"
    commands = (_FIRST[key], _INSPECT, _JOIN)
    steps = "\n".join(f"  {n}. {command}\n     {says}" for n, (command, says) in enumerate(commands, 1))
    secret = ": node.key in it is the site's identity, and whoever has a copy is the site" if key == "kit" else ""
    return _TEXT.format(site=site, server=server, rule="=" * len(title), secret=secret, steps=steps)
