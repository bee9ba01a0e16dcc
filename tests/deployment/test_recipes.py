"""What `fedmce server recipes` and `fedmce client recipes` write, read by the programs that it is written for."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedmce.cli.compose import load_config
from fedmce.errors import ConfigError
from fedmce.kits.address import read_address
from fedmce.kits.provision import Request, provision
from fedmce.kits.server_folder import ServerFolder
from fedmce.kits.verify import verify_kit
from simulations.deployment.recipes import write_server_recipes, write_site_recipes


def _compose() -> list[str] | None:
    """Compose as a program of its own, or as a plug-in of docker's; neither needs an engine to read a file."""
    for command in (["docker-compose"], ["docker", "compose"]):
        if shutil.which(command[0]) and not subprocess.run([*command, "version"], capture_output=True).returncode:
            return command
    return None


COMPOSE = _compose()
UNITS = shutil.which("systemd-analyze")
needs_compose = pytest.mark.skipif(COMPOSE is None, reason="docker-compose is not installed (Debian: docker-compose)")
needs_systemd = pytest.mark.skipif(UNITS is None, reason="systemd-analyze is not installed (Debian: systemd)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ServerFolder:
    plan = load_config(["exchange=deployed", "privacy=floors"])
    request = Request(("north", "south"), read_address("fl.example.org:9443"), (), 30, "here", False, {})
    return provision(tmp_path_factory.mktemp("federation") / "server", plan, request, datetime.now(UTC))


@pytest.fixture(scope="module")
def written(folder: ServerFolder, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Recipes of the server and of one site, by file name; the Dockerfile is the same for both."""
    root = tmp_path_factory.mktemp("recipes")
    kit = folder.kits / "north"
    for name in ("data", "home"):
        (root / name).mkdir()
    paths = write_server_recipes(folder.path, root / "server")
    paths += write_site_recipes(kit, verify_kit(kit).file, root / "data", root / "home", root / "site")
    return {path.name: path for path in paths}


def compose(path: Path) -> dict[str, Any]:
    """The file as Compose understands it; no engine is needed for that."""
    assert COMPOSE is not None
    done = subprocess.run([*COMPOSE, "-f", str(path), "config"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)
    return found


@needs_compose
def test_compose_publishes_the_proxy_s_port_and_no_other(written: dict[str, Path], folder: ServerFolder) -> None:
    found = compose(written["compose.server.yaml"])["services"]
    assert set(found) == {"server", "proxy"}
    assert _ports(found["proxy"]) == [("9443", "9443")]
    assert "ports" not in found["server"]
    assert found["server"]["network_mode"] == "service:proxy"
    mounted = {target: source for source, target, *_ in map(_mount, found["proxy"]["volumes"])}
    for name in ("ca.crt", "server.crt", "server.key"):
        assert mounted[f"/federation/{name}"] == str(folder.path / name)
    assert str(folder.signing) not in str(found["proxy"]), "the proxy gets no key that signs"


@needs_compose
def test_compose_opens_kit_and_data_of_a_site_for_reading_alone(written: dict[str, Path]) -> None:
    site = compose(written["compose.site.yaml"])["services"]["site"]
    assert "ports" not in site
    assert {target: mode for _, target, *mode in map(_mount, site["volumes"])} == {
        "/kit": ["ro"],
        "/data": ["ro"],
        "/home/site": [],
    }
    assert site["command"][:3] == ["client", "join", "/kit"]


@needs_compose
@pytest.mark.parametrize("name", ["compose.server.yaml", "compose.site.yaml"])
def test_compose_gives_containers_few_rights_and_limited_memory(written: dict[str, Path], name: str) -> None:
    for service in compose(written[name])["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"]
        assert "privileged" not in service
        assert str(service.get("user", os.getuid())).partition(":")[0] == str(os.getuid())


@needs_compose
def test_compose_would_refuse_a_file_that_is_wrong(written: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "compose.yaml"
    broken.write_text(written["compose.site.yaml"].read_text().replace("cap_drop", "cap_dorp"))
    with pytest.raises(AssertionError, match="cap_dorp"):
        compose(broken)


@pytest.mark.parametrize("name", ["compose.server.yaml", "compose.site.yaml"])
def test_what_compose_runs_are_commands_that_there_are(written: dict[str, Path], name: str) -> None:
    from typer.testing import CliRunner

    from fedmce.cli.app import app

    for service in yaml.safe_load(written[name].read_text())["services"].values():
        command = service["command"]
        if command[0] == "nginx":
            continue
        options = [word for word in command if word.startswith("--")]
        told = CliRunner().invoke(app, [*command[:2], "--help"], env={"COLUMNS": "200"})
        assert told.exit_code == 0
        assert all(option in told.output for option in options), (command, told.output)


def test_the_image_is_that_of_this_release_and_starts_fedmce(written: dict[str, Path]) -> None:
    from fedmce import __version__

    text = written["Dockerfile"].read_text()
    assert f"fedmce-{__version__}-py3-none-any.whl" in text
    assert 'ENTRYPOINT ["fedmce"]' in text
    for name in ("compose.server.yaml", "compose.site.yaml"):
        services = yaml.safe_load(written[name].read_text())["services"]
        assert [s["image"] for s in services.values() if "build" in s] == [f"fedmce:{__version__}"]


@needs_systemd
@pytest.mark.parametrize("name", ["fedmce-server.service", "fedmce-site.service"])
def test_systemd_takes_every_line_of_a_unit(written: dict[str, Path], name: str) -> None:
    assert UNITS is not None
    done = subprocess.run([UNITS, "verify", "--man=no", str(written[name])], capture_output=True, text=True)
    said = [line for line in (done.stdout + done.stderr).splitlines() if name in line or "fedmce" in line]
    assert said == []


@needs_systemd
def test_systemd_would_name_a_line_that_is_wrong(written: dict[str, Path], tmp_path: Path) -> None:
    assert UNITS is not None
    broken = tmp_path / "fedmce-site.service"
    broken.write_text(written["fedmce-site.service"].read_text().replace("KillMode=mixed", "KillMode=sometimes"))
    done = subprocess.run([UNITS, "verify", "--man=no", str(broken)], capture_output=True, text=True)
    assert "Failed to parse kill mode" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "keeps_down"), [("fedmce-server.service", {2, 3, 4, 5, 6}), ("fedmce-site.service", {2, 3, 4})]
)
def test_a_unit_starts_what_is_installed_and_not_again_what_somebody_must_mend(
    written: dict[str, Path], name: str, keeps_down: set[int]
) -> None:
    unit = dict(re.findall(r"^(\w+)=(.*)$", written[name].read_text(), re.MULTILINE))
    assert Path(unit["ExecStart"].split()[0]).parent == Path(sys.executable).parent
    assert set(map(int, unit["RestartPreventExitStatus"].split())) == keeps_down


def test_a_second_time_is_refused_before_anything_is_written(
    folder: ServerFolder, written: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "nginx.conf").write_text("mine")
    with pytest.raises(ConfigError, match=r"nginx\.conf"):
        write_server_recipes(folder.path, out)
    assert [path.name for path in out.iterdir()] == ["nginx.conf"]
    assert (out / "nginx.conf").read_text() == "mine"


def _ports(service: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    for port in service["ports"]:
        if isinstance(port, dict):
            found.append((str(port["published"]), str(port["target"])))
        else:
            outer, _, inner = str(port).removesuffix("/tcp").rpartition(":")
            found.append((outer, inner))
    return found


def _mount(volume: Any) -> list[str]:
    """Source, target and ``ro`` if it is opened for reading alone, in the short or the long form."""
    if isinstance(volume, dict):
        return [volume["source"], volume["target"], *(["ro"] if volume.get("read_only") else [])]
    parts = str(volume).split(":")
    return [part for part in parts if part != "rw"]


def test_mounts_are_read_in_both_forms() -> None:
    assert _mount("/a:/b:ro") == _mount({"source": "/a", "target": "/b", "read_only": True}) == ["/a", "/b", "ro"]
    assert _mount("/a:/b:rw") == _mount(json.loads('{"source": "/a", "target": "/b"}')) == ["/a", "/b"]
