"""The commands as a person types them."""

import re
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from fedmce.cli.app import app
from fedmce.kits.server_folder import ServerFolder
from fedmce.kits.verify import verify_kit


def fedmce(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def _same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("manage", "provision", "verify"):
        monkeypatch.setattr(f"fedmce.kits.{module}.app_digest", lambda: "0" * 64)


FOLDERS = ("dataset=folders", "dataset.modalities=[{name:x,kind:tabular,shape:[2]}]", "dataset.classes=[a,b]")


@pytest.fixture
def made(tmp_path: Path) -> tuple[ServerFolder, str]:
    out = tmp_path / "federation"
    done = fedmce("provision", "--sites", "north,south", "--out", str(out), "--keys", "site", "rounds=3", *FOLDERS)
    assert done.exit_code == 0, done.output
    told = re.search(r"SHA256:\S+", done.stdout)
    assert told
    return ServerFolder(out), told.group()


def test_from_nothing_to_a_kit_that_a_site_accepts(made: tuple[ServerFolder, str], tmp_path: Path) -> None:
    server, project = made
    kit = str(server.kits / "north")
    keygen = fedmce("client", "keygen", kit)
    assert keygen.exit_code == 0
    node = re.search(r"SHA256:\S+", keygen.stdout)
    assert node
    (server.kits / "north" / "node.pub").rename(tmp_path / "north.pub")
    registered = fedmce("server", "register", str(tmp_path / "north.pub"), "--dir", str(server.path))
    assert registered.exit_code == 0
    assert node.group() in registered.stdout
    shown = fedmce("client", "inspect", kit, "--fingerprint", project)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines()[-1].startswith("ok")
    assert "3 rounds" in shown.stdout


def test_the_plan_starts_from_floors_and_deadlines_and_takes_the_user_s_changes(made: tuple[ServerFolder, str]) -> None:
    from fedmce.kits.server_folder import read_plan

    plan = read_plan(made[0])
    assert (plan.privacy.k_min, plan.exchange.wait_sites_s, plan.aggregation.claims.bounded) == (10, 600.0, True)
    assert plan.rounds == 3


def test_inspect_ends_with_4_and_names_what_is_wrong(made: tuple[ServerFolder, str]) -> None:
    kit = made[0].kits / "north"
    fedmce("client", "keygen", str(kit))
    (kit / "node.key").chmod(0o644)
    (kit / "plan.yaml").write_text("rounds: 9999\n")
    done = fedmce("client", "inspect", str(kit))
    assert done.exit_code == 4
    assert "T10 " in done.stderr
    assert f"chmod 600 {kit / 'node.key'}" in done.stderr
    assert "plan.yaml" in done.stderr


def test_a_kit_for_another_site_s_folder_is_refused(made: tuple[ServerFolder, str], tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "site.yaml").write_text(
        "site: south\ntask: {classes: [a, b]}\nmodalities: {x: {kind: tabular, shape: [2]}}\n"
    )
    kit = made[0].kits / "north"
    fedmce("client", "keygen", str(kit))
    done = fedmce("client", "inspect", str(kit), "--data", str(data))
    assert done.exit_code == 4
    assert "D61" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--sites", "a", "--out", "TAKEN"], 2),
        (["--sites", "a,a", "--out", "NEW"], 2),
        (["--sites", "a_b", "--out", "NEW"], 2),
        (["--sites", "a", "--out", "NEW", "--server", "nowhere"], 2),
        (["--sites", "a", "--out", "NEW", "--san", "a b"], 2),
        (["--sites", "a", "--out", "NEW", "--keys", "there"], 2),
        (["--sites", "a", "--out", "NEW", "--max-rows", "a"], 2),
        (["--sites", "a", "--out", "NEW", "rounds=none"], 2),
        (["--sites", "a", "--out", "NEW", "privacy=open"], 2),
        (["--out", "NEW"], 2),
    ],
)
def test_what_is_wrong_with_a_provision_is_said_and_nothing_is_made(
    tmp_path: Path, arguments: list[str], code: int
) -> None:
    (tmp_path / "TAKEN").mkdir()
    (tmp_path / "TAKEN" / "x").touch()
    places = {"TAKEN": str(tmp_path / "TAKEN"), "NEW": str(tmp_path / "NEW")}
    done = fedmce("provision", *(places.get(word, word) for word in arguments), *FOLDERS)
    assert done.exit_code == code, done.output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["TAKEN"]


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ([], "dataset: given av_digits, where every site opens a folder of its own; needed dataset=folders"),
        (["dataset=heart_disease"], "dataset: given heart_disease"),
        ([*FOLDERS, "method=centralised"], "scope: given pooled"),
        ([*FOLDERS, "partition=dirichlet"], "partition: given dirichlet"),
        ([*FOLDERS, "contributions.source=server"], "contributions.source: given server, which holds no rows here"),
    ],
)
def test_a_plan_that_no_federation_of_sites_could_run_is_refused_before_anything_is_made(
    tmp_path: Path, plan: list[str], words: str
) -> None:
    done = fedmce("provision", "--sites", "north,south", "--out", str(tmp_path / "NEW"), *plan)
    assert done.exit_code == 2, done.output
    assert words in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_renew_revoke_kit_and_adopt_say_what_they_did(made: tuple[ServerFolder, str]) -> None:
    server, project = made
    where = ["--dir", str(server.path)]
    renewed = fedmce("server", "renew", "--san", "10.0.0.7", *where)
    assert renewed.exit_code == 0
    assert "10.0.0.7" in renewed.stdout
    assert fedmce("server", "kit", "north", "--keys", "here", *where).exit_code == 0
    twice = fedmce("server", "kit", "north", "--keys", "here", *where)
    old = re.search(r"--key (SHA256:\S+)", twice.stdout)
    assert old
    assert fedmce("server", "revoke", "north", "--key", old.group(1), *where).exit_code == 0
    assert fedmce("server", "revoke", "north", "--key", old.group(1), *where).exit_code == 4
    assert verify_kit(server.kits / "north", project).is_pinned
    assert fedmce("server", "adopt", *where).exit_code == 0
    assert fedmce("server", "kit", "nowhere", *where).exit_code == 2
    assert fedmce("server", "kit", "north", "--keys", "x", *where).exit_code == 2


def test_no_command_prints_a_secret(made: tuple[ServerFolder, str]) -> None:
    server, _ = made
    done = [
        fedmce("server", "kit", "north", "--keys", "here", "--dir", str(server.path)),
        fedmce("client", "inspect", str(server.kits / "north")),
        fedmce("server", "renew", "--dir", str(server.path)),
    ]
    told = "".join(one.output for one in done)
    for path in (server.kits / "north" / "node.key", server.key, server.project_key, server.authority_key):
        assert path.read_text().splitlines()[1] not in told


def test_every_new_command_has_help() -> None:
    for command in (
        ["provision"],
        ["server", "kit"],
        ["server", "register"],
        ["server", "revoke"],
        ["server", "renew"],
        ["server", "adopt"],
        ["client", "keygen"],
        ["client", "inspect"],
    ):
        done = fedmce(*command, "--help")
        assert done.exit_code == 0
        assert "\x1b" not in done.output


def test_a_plan_on_site_folders_travels_with_their_modalities_and_without_their_place(tmp_path: Path) -> None:
    from fedmce.kits.server_folder import read_plan

    for site in ("north", "south"):
        (tmp_path / "folders" / site).mkdir(parents=True)
        (tmp_path / "folders" / site / "site.yaml").write_text(
            f"site: {site}\ntask: {{classes: [a, b]}}\nmodalities: {{x: {{kind: tabular, shape: [2]}}}}\n"
        )
    plan = ["dataset=folders", f"dataset.path={tmp_path / 'folders'}", "missingness=natural"]
    refused = fedmce("provision", "--sites", "north,east", "--out", str(tmp_path / "out"), *plan)
    assert refused.exit_code == 2, refused.output
    assert "the plan names north, south" in refused.stderr
    done = fedmce("provision", "--sites", "north,south", "--out", str(tmp_path / "out"), *plan)
    assert done.exit_code == 0, done.output
    dataset = read_plan(ServerFolder(tmp_path / "out")).dataset
    assert dataset.name == "folders"
    assert dataset.path is None
    assert [modality.name for modality in dataset.modalities] == ["x"]
    assert dataset.classes == ("a", "b")
    for path in (tmp_path / "out" / "kits" / "north").iterdir():
        assert str(tmp_path) not in path.read_text()
        assert "south" not in path.read_text()
