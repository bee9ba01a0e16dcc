"""Recipes for operators: the proxy's configuration, systemd units, Compose files, filled in for one federation."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from fedmce import __version__
from fedmce.errors import ConfigError
from fedmce.kits.kit import KitFile
from fedmce.kits.server_folder import ServerFolder, read_server

RECIPES = Path(__file__).parent / "recipes"
# What a SuperNode of flwr 1.41 calls; a test compares the list with the routes of the installed version.
FLEET_CALLS = (
    "register-node",
    "activate-node",
    "deactivate-node",
    "unregister-node",
    "send-node-heartbeat",
    "pull-messages",
    "push-messages",
    "get-run",
    "get-fab",
    "push-object",
    "pull-object",
    "confirm-message-received",
)


@dataclass(frozen=True)
class Proxy:
    """What the proxy needs to know.

    Attributes:
        listen: address and port, such as ``0.0.0.0:9443``.
        superlink: port of the SuperLink on loopback.
        work: folder for logs, temporary files and the process number.
        connections: at a time from one address.
    """

    listen: str
    superlink: int
    work: Path
    connections: int = 8


def filled(name: str, values: Mapping[str, str]) -> str:
    """A recipe with ``@NAME@`` replaced.

    Raises:
        KeyError: the recipe asks for something that was not given.
    """
    text = (RECIPES / name).read_text(encoding="utf-8")
    return re.sub(r"@([A-Z]+)@", lambda found: values[found.group(1)], text)


def proxy_configuration(folder: ServerFolder, names: tuple[str, ...], proxy: Proxy) -> str:
    """nginx's configuration for a server folder."""
    return filled(
        "nginx.conf",
        {
            "FLWR": version("flwr"),
            "CONF": str(proxy.work / "nginx.conf"),
            "LOG": str(proxy.work),
            "RUN": str(proxy.work),
            "LISTEN": proxy.listen,
            "NAMES": " ".join(name for name in names if ":" not in name),
            "CERTIFICATE": str(folder.certificate.resolve()),
            "KEY": str(folder.key.resolve()),
            "AUTHORITY": str(folder.authority.resolve()),
            "SUPERLINK": f"localhost:{proxy.superlink}",
            "CALLS": "|".join(FLEET_CALLS),
            "CONNECTIONS": str(proxy.connections),
        },
    )


def write_server_recipes(path: Path, out: Path, superlink: int = 8000, memory: str = "8G") -> list[Path]:
    """nginx, systemd and Compose for a server folder; the files written.

    Raises:
        ConfigError: a file of that name is there already.
    """
    folder, file = read_server(path)
    public = str(file.address.port)
    inside = ServerFolder(Path("/federation"))
    in_compose = proxy_configuration(inside, file.names, Proxy(public, superlink, Path("/run")))
    values = _values(folder.path, memory) | {"PORT": str(superlink), "NAME": file.server, "PUBLIC": public}
    work = Path("/var/lib/fedmce-proxy")
    texts = {
        "nginx.conf": proxy_configuration(folder, file.names, Proxy(public, superlink, work)),
        "nginx.compose.conf": in_compose.replace("/run/error.log", "/var/log/nginx/error.log"),
        "fedmce-server.service": filled("fedmce-server.service", values),
        "compose.server.yaml": filled("compose.server.yaml", values),
        "Dockerfile": filled("Dockerfile", values),
    }
    return _written(texts, out)


def write_site_recipes(kit: Path, file: KitFile, data: Path, home: Path, out: Path, memory: str = "8G") -> list[Path]:
    """systemd and Compose for a site; the files written.

    Raises:
        ConfigError: a file of that name is there already.
    """
    values = _values(kit, memory) | {
        "NAME": file.site,
        "KIT": str(kit.resolve()),
        "DATA": str(data.resolve()),
        "HOME": str(home.resolve()),
        "PORT": "9094",
        "FINGERPRINT": file.project,
    }
    names = ("fedmce-site.service", "compose.site.yaml", "Dockerfile")
    return _written({name: filled(name, values) for name in names}, out)


def _values(folder: Path, memory: str) -> dict[str, str]:
    return {
        "DIR": str(folder.resolve()),
        "USER": getpass.getuser(),
        "UID": str(os.getuid()),
        "GID": str(os.getgid()),
        "FEDMCE": shutil.which("fedmce", path=str(Path(sys.executable).parent)) or "/usr/local/bin/fedmce",
        "VERSION": __version__,
        "MEMORY": memory,
    }


def _written(texts: Mapping[str, str], out: Path) -> list[Path]:
    out.mkdir(parents=True, exist_ok=True)
    if there := sorted(name for name in texts if (out / name).exists()):
        raise ConfigError(f"out: {out} holds {', '.join(there)} already; needed a folder without them")
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    return [out / name for name in sorted(texts)]
