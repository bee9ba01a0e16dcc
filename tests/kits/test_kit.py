import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedmce.config.load import config_from_tree
from fedmce.errors import ConfigError, IdentityError
from fedmce.kits.keys import PRIVATE, make_node_key, read_node_key
from fedmce.kits.kit import AUTHORITY, KIT, PLAN, README, KitFile
from fedmce.kits.manifest import MANIFEST
from fedmce.kits.roster import read_roster
from fedmce.kits.server_check import server_problems
from fedmce.kits.server_folder import ServerFolder
from fedmce.kits.verify import kit_problems, verify_kit
from tests.kits.made import LATER, digest, fingerprint, plan, project, umask

FILES = (KIT, AUTHORITY, PLAN, README, PRIVATE, MANIFEST)


def _check(folder: ServerFolder, kit: Path, **given: object) -> list[str]:
    found = kit_problems(kit, fingerprint(folder), LATER, app=digest(folder), **given)  # type: ignore[arg-type]
    return [problem.case for problem in found]


def test_a_kit_that_was_just_made_has_no_problem(provisioned: ServerFolder) -> None:
    for site in ("north", "south"):
        kit = verify_kit(provisioned.kits / site, fingerprint(provisioned), LATER, site=site, app=digest(provisioned))
        assert kit.is_pinned
        assert kit.warnings == ()
        assert kit.file.site == site
        assert kit.plan == plan()
        assert kit.file.floors == plan().privacy
        assert read_node_key(kit.node_key).fingerprint == kit.file.node_key


def test_a_kit_holds_its_files_and_no_other(provisioned: ServerFolder) -> None:
    assert {p.name for p in (provisioned.kits / "north").iterdir()} == set(FILES)


def test_a_kit_names_no_other_site_and_no_folder_of_the_operator(provisioned: ServerFolder) -> None:
    for path in (provisioned.kits / "north").iterdir():
        content = path.read_text()
        assert "south" not in content
        assert str(provisioned.path.parent) not in content


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_every_file_is_for_its_owner_alone_under_every_umask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        made = project(tmp_path / "federation")
    modes = {path: path.lstat().st_mode for path in [made.path, *made.path.rglob("*")]}
    assert len(modes) > 25
    for path, mode in modes.items():
        assert mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_the_tar_is_the_folder_with_its_modes(provisioned: ServerFolder, tmp_path: Path, mask: int) -> None:
    with umask(mask):
        subprocess.run(["tar", "xf", str(provisioned.kits / "north.tar"), "-C", str(tmp_path)], check=True)
    kit = provisioned.kits / "north"
    unpacked = {p.relative_to(tmp_path / "north"): p for p in [tmp_path / "north", *(tmp_path / "north").iterdir()]}
    packed = {p.relative_to(kit): p for p in [kit, *kit.iterdir()]}
    assert unpacked.keys() == packed.keys()
    for name, path in unpacked.items():
        assert path.stat().st_mode == packed[name].stat().st_mode
        assert path.is_dir() or path.read_bytes() == packed[name].read_bytes()
    assert _check(provisioned, tmp_path / "north") == []


def test_a_tar_tells_nothing_of_the_machine_that_packed_it(provisioned: ServerFolder) -> None:
    with tarfile.open(provisioned.kits / "north.tar") as tar:
        assert {(e.uid, e.gid, e.uname, e.gname, e.mtime) for e in tar} == {(0, 0, "", "", 0)}


@given(place=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_changed_byte_anywhere_is_found_and_its_file_is_named(
    provisioned: ServerFolder, tmp_path_factory: pytest.TempPathFactory, place: st.DataObject
) -> None:
    name = place.draw(st.sampled_from(FILES))
    kit = tmp_path_factory.mktemp("flip") / "north"
    shutil.copytree(provisioned.kits / "north", kit)
    content = bytearray((kit / name).read_bytes())
    at = place.draw(st.integers(0, len(content) - 1))
    content[at] ^= place.draw(st.integers(1, 255))
    (kit / name).write_bytes(content)
    found = kit_problems(kit, None, LATER, app=digest(provisioned))
    assert [(p.case, Path(p.where).name) for p in found] == [("T10", name)]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["gone", "longer", "empty", "link", "folder", "fifo"])
def test_a_file_that_is_no_longer_what_was_signed_is_named(
    provisioned: ServerFolder, tmp_path: Path, name: str, how: str
) -> None:
    kit = tmp_path / "north"
    shutil.copytree(provisioned.kits / "north", kit)
    content = (kit / name).read_bytes()
    if how in ("longer", "empty"):
        (kit / name).write_bytes(content + b"\n" if how == "longer" else b"")
    else:
        (kit / name).unlink()
    if how == "link":
        (tmp_path / "same").write_bytes(content)
        (kit / name).symlink_to(tmp_path / "same")
    if how == "folder":
        (kit / name).mkdir()
    if how == "fifo":
        os.mkfifo(kit / name)
    found = kit_problems(kit, None, LATER, app=digest(provisioned))
    assert [(p.case, Path(p.where).name) for p in found] == [("T10", name)]


def test_two_changed_files_are_both_named(provisioned: ServerFolder, tmp_path: Path) -> None:
    kit = tmp_path / "north"
    shutil.copytree(provisioned.kits / "north", kit)
    for name in (PLAN, AUTHORITY):
        (kit / name).write_bytes(b"x")
    with pytest.raises(IdentityError, match="2 problems") as refused:
        verify_kit(kit, fingerprint(provisioned), LATER, app=digest(provisioned))
    assert f"{kit / PLAN}: changed" in str(refused.value)
    assert f"{kit / AUTHORITY}: changed" in str(refused.value)


def test_a_file_that_lies_beside_does_no_harm(provisioned: ServerFolder, tmp_path: Path) -> None:
    kit = tmp_path / "north"
    shutil.copytree(provisioned.kits / "north", kit)
    (kit / ".DS_Store").write_bytes(b"x")
    assert _check(provisioned, kit) == []


def test_without_a_fingerprint_a_kit_is_whole_but_not_pinned(provisioned: ServerFolder) -> None:
    assert not verify_kit(provisioned.kits / "north", None, LATER, app=digest(provisioned)).is_pinned


def test_a_kit_that_is_still_packed_says_how_to_unpack_it(provisioned: ServerFolder) -> None:
    with pytest.raises(IdentityError, match="tar xf"):
        verify_kit(provisioned.kits / "north.tar")
    with pytest.raises(IdentityError, match="is no folder"):
        verify_kit(provisioned.kits / "nowhere")


def test_a_key_made_at_the_site_is_not_in_the_kit_and_completes_it(tmp_path: Path) -> None:
    made = project(tmp_path / "federation", keys="site")
    kit = made.kits / "north"
    assert {p.name for p in kit.iterdir()} == set(FILES) - {PRIVATE}
    assert read_roster(made).nodes == ()
    assert _check(made, kit) == ["T09"]
    make_node_key(kit)
    assert _check(made, kit) == []
    elsewhere = tmp_path / "elsewhere"
    make_node_key(elsewhere)
    assert _check(made, kit, node_key=elsewhere / PRIVATE) == []


def test_no_private_node_key_is_left_outside_the_kits(provisioned: ServerFolder) -> None:
    outside = [p for p in provisioned.path.rglob("*") if p.is_file() and provisioned.kits not in p.parents]
    secret = {p.read_bytes() for p in provisioned.kits.glob(f"*/{PRIVATE}")}
    assert len(secret) == 2
    assert not secret & {p.read_bytes() for p in outside}
    assert not (provisioned.signing / "nodes").exists()


def test_keep_keeps_the_node_keys_apart_from_what_the_server_runs_on(tmp_path: Path) -> None:
    made = project(tmp_path / "federation", keep=True)
    for site in ("north", "south"):
        kept = made.signing / "nodes" / f"{site}.key"
        assert kept.read_bytes() == (made.kits / site / PRIVATE).read_bytes()
        assert kept.stat().st_mode & 0o777 == 0o600


def test_a_server_s_own_folder_has_no_problem_either(provisioned: ServerFolder) -> None:
    assert server_problems(provisioned.path, LATER, app=digest(provisioned)) == []
    assert provisioned.secret.stat().st_size == 32


def test_flower_reads_the_executor_s_secret_as_it_is(provisioned: ServerFolder) -> None:
    from flwr.supercore.auth.superexec_secret import load_superexec_auth_secret

    assert load_superexec_auth_secret(str(provisioned.secret)) == provisioned.secret.read_bytes()


def test_two_projects_share_no_secret(provisioned: ServerFolder, own: ServerFolder) -> None:
    def secrets(folder: ServerFolder) -> set[bytes]:
        files = (folder.secret, folder.key, folder.authority_key, folder.project_key, folder.kits / "north" / PRIVATE)
        return {path.read_bytes() for path in files}

    assert not secrets(provisioned) & secrets(own)
    assert len(secrets(own)) == 5


@pytest.mark.parametrize("there", ["full", "file", "link"])
def test_a_place_that_is_taken_is_refused_and_left_alone(tmp_path: Path, there: str) -> None:
    out = tmp_path / "out"
    if there == "full":
        out.mkdir()
        (out / "precious").touch()
    elif there == "file":
        out.write_text("precious")
    else:
        (tmp_path / "empty").mkdir()
        out.symlink_to(tmp_path / "empty")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="not empty"):
        project(out)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    made = project(tmp_path / "out")
    assert made.file.is_file()
    assert made.path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("step", range(1, 60, 6))
def test_what_breaks_off_at_any_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    left, real = [step], os.open

    def failing(path: object, flags: int, mode: int = 0o777, **more: object) -> int:
        if flags & os.O_CREAT:
            left[0] -= 1
            if left[0] == 0:
                raise OSError(28, "No space left on device")
        return real(path, flags, mode, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", failing)
    try:
        project(tmp_path / "out")
    except OSError:
        monkeypatch.undo()
        assert list(tmp_path.iterdir()) == []
    else:
        assert step > 25  # there are fewer files than that


@pytest.mark.parametrize(
    ("given_", "named"),
    [
        ({"sites": ()}, "given none"),
        ({"sites": ("north", "north")}, "north is given twice"),
        ({"sites": ("North",)}, "'North'"),
        ({"sites": ("../x",)}, "'../x'"),
        ({"sites": ("-rf",)}, "'-rf'"),
        ({"sites": ("a" * 41,)}, "'aaaa"),
        ({"days": 0}, "days: given 0"),
        ({"max_rows": {"west": 5}}, "'west' is none of the sites"),
        ({"max_rows": {"north": 0}}, "needed 1 to 1000000000"),
    ],
)
def test_a_request_that_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, given_: dict[str, object], named: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        project(tmp_path / "out", **given_)
    assert named in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_plan_that_names_other_sites_is_refused(tmp_path: Path) -> None:
    from fedmce.kits.provision import provision
    from tests.kits.made import NOW, request

    with pytest.raises(ConfigError, match="the plan names east, north"):
        provision(tmp_path / "out", plan().model_copy(update={"sites": ("north", "east")}), request(), NOW)


def test_the_plan_in_a_kit_is_the_whole_configuration(provisioned: ServerFolder) -> None:
    tree = yaml.safe_load((provisioned.kits / "north" / PLAN).read_text())
    assert config_from_tree(tree) == plan()
    assert KitFile.model_validate(yaml.safe_load((provisioned.kits / "north" / KIT).read_text())).max_rows is None


def test_the_cap_of_a_site_is_in_its_kit_and_nowhere_in_another_s(tmp_path: Path) -> None:
    made = project(tmp_path / "federation", max_rows={"north": 500})
    caps = [verify_kit(made.kits / s, None, LATER, app=digest(made)).file.max_rows for s in ("north", "south")]
    assert caps == [500, None]
    assert read_roster(made).sites["north"].max_rows == 500


@pytest.mark.parametrize(
    ("break_", "case"),
    [("folder", "T08"), ("key", "T08"), ("secret_mode", "T08"), ("secret_short", "T16"), ("secret_gone", "T16")]
    + [("plan", "T20"), ("gone", ""), ("code", "T20")],
)
def test_a_server_folder_that_sites_or_flower_would_refuse_says_so_at_home(
    tmp_path: Path, break_: str, case: str
) -> None:
    made = project(tmp_path / "federation")
    app = digest(made)
    match break_:
        case "folder":
            made.path.chmod(0o750)
        case "key":
            made.key.chmod(0o640)
        case "secret_mode":
            made.secret.chmod(0o644)
        case "secret_short":
            made.secret.write_bytes(b"short")
        case "secret_gone":
            made.secret.unlink()
        case "plan":
            made.plan.write_text(made.plan.read_text().replace("rounds: 3", "rounds: 300"))
        case "gone":
            made.file.unlink()
        case "code":
            app = "0" * 64
    (problem,) = server_problems(made.path, LATER, app=app)
    assert (problem.case, problem.exit_code) == (case, 4)
