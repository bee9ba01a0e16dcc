from datetime import timedelta
from pathlib import Path

import pytest

from fedmce.errors import ConfigError, IdentityError
from fedmce.kits.certificate import certificate_problems, read_certificate
from fedmce.kits.keys import PRIVATE, PUBLIC, make_node_key, read_node_key, read_public_key
from fedmce.kits.manage import KitRequest, adopt, make_kit, register, renew, revoke
from fedmce.kits.roster import node_file, read_roster
from fedmce.kits.server_folder import ServerFolder, read_server
from fedmce.kits.verify import verify_kit
from tests.kits.made import LATER, NOW, digest, fingerprint, project


@pytest.fixture(autouse=True)
def _same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkout may change under a test; its digest is asked once."""
    monkeypatch.setattr("fedmce.kits.manage.app_digest", lambda: "0" * 64)
    monkeypatch.setattr("fedmce.kits.provision.app_digest", lambda: "0" * 64)


def _kit(folder: ServerFolder, site: str, **given: object) -> Path:
    return make_kit(folder.path, KitRequest(site, **given), LATER)  # type: ignore[arg-type]


def _active(folder: ServerFolder, site: str) -> list[str]:
    return [node.fingerprint for node in read_roster(folder).active(site)]


def test_a_renewed_kit_keeps_the_site_s_key_and_holds_none(own: ServerFolder) -> None:
    before = _active(own, "north")
    old = (own.kits / "north" / PRIVATE).read_bytes()
    kit = _kit(own, "north", days=200)
    assert not (kit / PRIVATE).exists()
    assert _active(own, "north") == before
    (kit / PRIVATE).touch(0o600)
    (kit / PRIVATE).write_bytes(old)
    read = verify_kit(kit, fingerprint(own), NOW + timedelta(days=150), app=digest(own))
    assert read.file.not_after == LATER + timedelta(days=200)
    assert "cp -p OLD/node.key" in (kit / "README").read_text()


def test_a_new_key_overlaps_with_the_old_one_until_that_is_revoked(own: ServerFolder) -> None:
    (old,) = _active(own, "north")
    kit = _kit(own, "north", keys="here")
    new = read_node_key(kit / PRIVATE).fingerprint
    assert _active(own, "north") == [old, new]
    revoke(own.path, "north", LATER, [old])
    assert _active(own, "north") == [new]
    assert read_roster(own).site_of(old) is None
    assert read_roster(own).site_of(new) == "north"


def test_a_kit_of_a_site_with_two_keys_binds_it_to_the_newer(own: ServerFolder, tmp_path: Path) -> None:
    new = make_node_key(tmp_path / "new")
    register(own.path, tmp_path / "new" / PUBLIC, NOW, "north")  # in the same second as the first
    kit = _kit(own, "north")
    assert verify_kit(kit, None, LATER, node_key=tmp_path / "new" / PRIVATE, app=digest(own)).file.node_key == (
        new.fingerprint
    )


def test_a_kept_key_makes_the_same_kit_again(tmp_path: Path) -> None:
    made = project(tmp_path / "federation", keep=True)
    before = (made.kits / "north" / PRIVATE).read_bytes()
    kit = _kit(made, "north", keys="kept")
    assert (kit / PRIVATE).read_bytes() == before
    assert len(_active(made, "north")) == 1


def test_a_key_that_was_not_kept_cannot_be_given_again(own: ServerFolder) -> None:
    before = (own.kits / "north.tar").read_bytes()
    with pytest.raises(IdentityError, match="--keep"):
        _kit(own, "north", keys="kept")
    assert (own.kits / "north.tar").read_bytes() == before


def test_a_site_joins_later_with_a_key_of_its_own(own: ServerFolder, tmp_path: Path) -> None:
    made = make_node_key(tmp_path / "west")
    kit = _kit(own, "west", is_new=True, public_key=tmp_path / "west" / PUBLIC, max_rows=9)
    read = verify_kit(kit, None, LATER, app=digest(own), node_key=tmp_path / "west" / PRIVATE)
    assert (read.file.site, read.file.max_rows, read.file.node_key) == ("west", 9, made.fingerprint)
    assert sorted(read_roster(own).sites) == ["north", "south", "west"]


@pytest.mark.parametrize("is_new", [True, False])
def test_a_mistyped_site_is_not_made(own: ServerFolder, is_new: bool) -> None:
    if is_new:
        with pytest.raises(ConfigError, match="'No rth'"):
            _kit(own, "No rth", is_new=True)
    else:
        with pytest.raises(ConfigError, match="did you mean 'north'"):
            _kit(own, "nort")
    assert sorted(read_roster(own).sites) == ["north", "south"]


def test_registering_takes_the_public_key_only(own: ServerFolder, tmp_path: Path) -> None:
    made = make_node_key(tmp_path / "k")
    node = register(own.path, tmp_path / "k" / PUBLIC, LATER, "north")
    assert node.fingerprint == made.fingerprint
    assert read_public_key(node_file(own, node)) == made
    assert register(own.path, tmp_path / "k" / PUBLIC, LATER, "north") == node  # twice is once
    secret = (tmp_path / "k" / PRIVATE).read_bytes()
    assert all(secret != path.read_bytes() for path in own.path.rglob("*") if path.is_file())


def test_the_file_s_name_says_whose_key_it_is(own: ServerFolder, tmp_path: Path) -> None:
    make_node_key(tmp_path / "k")
    (tmp_path / "k" / PUBLIC).rename(tmp_path / "south.pub")
    assert register(own.path, tmp_path / "south.pub", LATER).site == "south"
    (tmp_path / "south.pub").rename(tmp_path / "suoth.pub")
    with pytest.raises(ConfigError, match="did you mean 'south'"):
        register(own.path, tmp_path / "suoth.pub", LATER)


def test_one_key_is_one_site(own: ServerFolder, tmp_path: Path) -> None:
    make_node_key(tmp_path / "k")
    register(own.path, tmp_path / "k" / PUBLIC, LATER, "north")
    with pytest.raises(IdentityError, match="is north's"):
        register(own.path, tmp_path / "k" / PUBLIC, LATER, "south")


def test_what_is_revoked_stays_revoked(own: ServerFolder) -> None:
    (node,) = revoke(own.path, "north", LATER)
    assert _active(own, "north") == []
    assert node in read_roster(own).revoked()
    with pytest.raises(IdentityError, match="was revoked on 2026-11-22"):
        register(own.path, node_file(own, node), LATER, "north")
    with pytest.raises(IdentityError, match="nothing to revoke"):
        revoke(own.path, "north", LATER)
    assert len(_active(own, "south")) == 1


def test_revoking_a_key_that_the_site_does_not_have_names_those_that_it_has(own: ServerFolder) -> None:
    (theirs,), (mine,) = _active(own, "south"), _active(own, "north")
    with pytest.raises(IdentityError) as refused:
        revoke(own.path, "north", LATER, [theirs])
    assert mine in str(refused.value)
    assert _active(own, "north") == [mine]


def test_a_renewed_certificate_is_of_the_same_authority_with_a_new_key(own: ServerFolder) -> None:
    before, key = own.authority.read_bytes(), own.key.read_bytes()
    renew(own.path, NOW + timedelta(days=80), names=["fl2.example.org"])
    assert own.authority.read_bytes() == before
    assert own.key.read_bytes() != key
    at = NOW + timedelta(days=120)
    names = [*read_server(own.path)[1].names, "fl.example.org", "fl2.example.org"]
    assert certificate_problems(own.certificate, names, at, authority=own.authority) == []
    assert own.key.stat().st_mode & 0o777 == 0o600
    assert verify_kit(own.kits / "north", fingerprint(own), LATER, app=digest(own)).warnings == ()


def test_without_the_signing_keys_the_server_can_be_read_and_not_signed_for(own: ServerFolder, tmp_path: Path) -> None:
    own.signing.rename(tmp_path / "safe")
    certificate = read_certificate(own.certificate)
    with pytest.raises(IdentityError, match="kept elsewhere"):
        _kit(own, "north")
    with pytest.raises(IdentityError, match="bring it back"):
        renew(own.path, LATER)
    assert read_certificate(own.certificate) == certificate
    make_node_key(tmp_path / "k")
    register(own.path, tmp_path / "k" / PUBLIC, LATER, "north")  # needs no signature
    revoke(own.path, "north", LATER)


def test_kits_of_two_versions_cannot_be_mixed_by_accident(own: ServerFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedmce.kits.manage.app_digest", lambda: "1" * 64)
    with pytest.raises(IdentityError, match="fedmce server adopt"):
        _kit(own, "north")
    adopt(own.path)
    assert verify_kit(_kit(own, "north", keys="here"), None, LATER, app="1" * 64).file.app_digest == "1" * 64


def test_commands_at_once_lose_nothing(own: ServerFolder, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    for n in range(8):
        make_node_key(tmp_path / f"k{n}")
    with ThreadPoolExecutor(8) as pool:
        done = pool.map(lambda n: register(own.path, tmp_path / f"k{n}" / PUBLIC, LATER, "north"), range(8))
        added = {node.fingerprint for node in done}
    assert added <= set(_active(own, "north"))
    assert len(_active(own, "north")) == 9


def test_a_folder_that_was_not_provisioned_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match=r"server\.yaml: cannot be read .* --dir"):
        make_kit(tmp_path, KitRequest("north"), LATER)


def test_a_kit_that_cannot_be_finished_leaves_the_one_before(
    own: ServerFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {p.relative_to(own.kits): p.read_bytes() for p in own.kits.rglob("*") if p.is_file()}

    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fedmce.kits.kit.packed", full)
    with pytest.raises(OSError, match="No space"):
        _kit(own, "north", keys="here")
    assert {p.relative_to(own.kits): p.read_bytes() for p in own.kits.rglob("*") if p.is_file()} == before
    assert len(_active(own, "north")) == 1
