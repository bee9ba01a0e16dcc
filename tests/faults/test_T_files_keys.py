"""Group T as far as it is decided on files: node keys and kits (T06, T08-T12), and D61."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from fedmce.errors import IdentityError
from fedmce.kits.keys import make_node_key, node_key_problems, read_node_key
from fedmce.kits.manage import register, revoke
from fedmce.kits.roster import read_roster
from fedmce.kits.server_folder import ServerFolder
from fedmce.kits.verify import kit_problems, verify_kit
from tests.kits.made import (
    LATER,
    NOW,
    digest,
    ed25519_key,
    fingerprint,
    openssh,
    p256,
    p384,
    pem,
    project,
    public,
    rsa_key,
)


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> ServerFolder:
    return project(tmp_path_factory.mktemp("faults") / "federation")


@pytest.fixture
def kit(federation: ServerFolder, tmp_path: Path) -> Path:
    return Path(shutil.copytree(federation.kits / "north", tmp_path / "north"))


def test_T06_a_key_that_the_server_does_not_know_is_named_by_its_fingerprint(
    federation: ServerFolder, kit: Path, tmp_path: Path
) -> None:
    other = make_node_key(tmp_path / "new")
    with pytest.raises(IdentityError) as refused:
        verify_kit(kit, None, LATER, node_key=tmp_path / "new" / "node.key", app=digest(federation))
    assert other.fingerprint in str(refused.value)
    assert "operator" in str(refused.value)
    assert read_roster(federation).site_of(other.fingerprint) is None


def test_T07_a_revoked_key_is_nobody_s_in_the_roster(tmp_path: Path) -> None:
    made = project(tmp_path / "federation")
    (node,) = read_roster(made).active("north")
    revoke(made.path, "north", LATER)
    assert read_roster(made).site_of(node.fingerprint) is None
    with pytest.raises(IdentityError, match="was revoked"):
        register(made.path, made.nodes / node.file, LATER, "north")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601, 0o660, 0o777])
def test_T08_a_key_open_to_others_is_refused_with_the_chmod_line(tmp_path: Path, mode: int) -> None:
    make_node_key(tmp_path / "k")
    path = tmp_path / "k" / "node.key"
    path.chmod(mode)
    with pytest.raises(IdentityError) as refused:
        read_node_key(path)
    assert refused.value.exit_code == 4
    assert f"mode {mode:04o}" in str(refused.value)
    assert f"chmod 600 {path}" in str(refused.value)


def test_T08_a_kit_folder_open_to_others_is_refused_with_the_chmod_line(federation: ServerFolder, kit: Path) -> None:
    kit.chmod(0o755)
    (kit / "node.key").chmod(0o644)
    found = kit_problems(kit, None, LATER, app=digest(federation))
    assert [p.case for p in found] == ["T08", "T08"]
    assert f"chmod 700 {kit}" in str(found[0])
    assert f"chmod 600 {kit / 'node.key'}" in str(found[1])


WRONG: dict[str, tuple[Callable[[], bytes], str]] = {
    "rsa": (lambda: openssh(rsa_key()), "a key of type RSA"),
    "rsa_pem": (lambda: pem(rsa_key()), "a key of type RSA"),
    "ed25519": (lambda: openssh(ed25519_key()), "a key of type Ed25519"),
    "p256": (lambda: openssh(p256()), "a key of type NIST P-256"),
    "p384_pem": (lambda: pem(p384()), "a P-384 key in another format"),
    "encrypted_pem": (lambda: pem(p384(), b"password"), "encrypted with a password"),
    "truncated": (lambda: openssh(p384())[:150], "truncated, damaged"),
    "truncated_late": (lambda: openssh(p384())[:-40], "truncated, damaged"),
    "public": (lambda: public(p384()), "is a public key"),
    "empty": (lambda: b"", "is empty"),
    "huge": (lambda: b"-----BEGIN OPENSSH PRIVATE KEY-----" + b"A" * 100_000, "far too large"),
    "noise": (lambda: bytes(range(256)), "is no key"),
    "certificate": (lambda: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no private key"),
}


@pytest.mark.parametrize("wrong", sorted(WRONG))
def test_T09_a_file_that_is_not_a_node_key_is_refused_by_what_it_is(tmp_path: Path, wrong: str) -> None:
    make, named = WRONG[wrong]
    path = tmp_path / "node.key"
    path.touch(0o600)
    path.write_bytes(make())
    with pytest.raises(IdentityError) as refused:
        read_node_key(path)
    assert refused.value.exit_code == 4
    assert named in str(refused.value)
    assert "NIST P-384" in str(refused.value)


def test_T09_an_encrypted_openssh_key_is_refused_by_what_it_is(tmp_path: Path) -> None:
    import subprocess

    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    command = ["ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "password", "-f", str(tmp_path / "k")]
    subprocess.run(command, check=True)
    (problem,) = node_key_problems(tmp_path / "k")
    assert (problem.case, problem.exit_code) == ("T09", 4)
    assert "encrypted with a password" in str(problem)


def test_T09_a_missing_key_says_how_to_make_one(tmp_path: Path) -> None:
    (problem,) = node_key_problems(tmp_path / "node.key")
    assert "is not there" in str(problem)
    assert "fedmce client keygen" in str(problem)


@pytest.mark.parametrize("name", ["kit.yaml", "ca.crt", "plan.yaml", "README", "node.key", "MANIFEST"])
def test_T10_a_kit_with_one_changed_byte_is_refused_by_the_file(federation: ServerFolder, kit: Path, name: str) -> None:
    content = bytearray((kit / name).read_bytes())
    for at in sorted({0, len(content) // 2, len(content) - 1}):
        changed = bytearray(content)
        changed[at] ^= 1
        (kit / name).write_bytes(changed)
        with pytest.raises(IdentityError, match="changed since the project signed it") as refused:
            verify_kit(kit, fingerprint(federation), LATER, app=digest(federation))
        assert str(refused.value).startswith(f"{kit / name}: ")
        assert refused.value.exit_code == 4


def test_T11_the_kit_of_another_project_is_refused(federation: ServerFolder, kit: Path, tmp_path: Path) -> None:
    other = project(tmp_path / "other")
    with pytest.raises(IdentityError, match="another project's kit") as refused:
        verify_kit(kit, fingerprint(other), LATER, app=digest(federation))
    assert fingerprint(federation) in str(refused.value)
    assert fingerprint(other) in str(refused.value)


def test_T11_a_manifest_of_another_project_over_the_same_files_is_refused(
    federation: ServerFolder, kit: Path, tmp_path: Path
) -> None:
    from fedmce.kits.manifest import sign_manifest
    from fedmce.kits.project_key import new_project_key

    files = {p.name: p.read_bytes() for p in kit.iterdir() if p.name != "MANIFEST"}
    (kit / "MANIFEST").write_bytes(sign_manifest(files, new_project_key()))
    found = {p.case for p in kit_problems(kit, fingerprint(federation), LATER, app=digest(federation))}
    assert found == {"T11"}
    # Also who did not ask for the fingerprint sees that kit.yaml names another signer.
    assert {p.case for p in kit_problems(kit, None, LATER, app=digest(federation))} == {"T11"}


@pytest.mark.parametrize(("days", "is_over"), [(89.9, False), (90, True), (4000, True)])
def test_T12_an_expired_kit_is_refused_with_the_day(
    federation: ServerFolder, kit: Path, days: float, is_over: bool
) -> None:
    found = kit_problems(kit, None, NOW + timedelta(days=days), app=digest(federation))
    assert ("T12" in [p.case for p in found]) == is_over
    if is_over:
        assert any("expired on 2027-02-19" in str(p) and "fedmce server kit north" in str(p) for p in found)


def test_D61_a_folder_of_another_site_is_refused(federation: ServerFolder, kit: Path) -> None:
    assert kit_problems(kit, None, LATER, site="north", app=digest(federation)) == []
    (problem,) = kit_problems(kit, None, LATER, site="south", app=digest(federation))
    assert problem.case == "D61"
    assert "for the site north" in str(problem)
    assert "of south" in str(problem)


def test_T20_a_kit_for_other_code_is_refused(federation: ServerFolder, kit: Path) -> None:
    (problem,) = kit_problems(kit, None, LATER, app="0" * 64)
    assert problem.case == "T20"
    assert digest(federation)[:12] in str(problem)


def test_T20_a_plan_that_this_release_cannot_read_is_refused_and_not_a_crash(
    federation: ServerFolder, kit: Path
) -> None:
    from fedmce.kits.manifest import sign_manifest
    from fedmce.kits.project_key import read_project_key

    (kit / "plan.yaml").write_bytes(b"unknown_to_this_release: 1\n")
    files = {p.name: p.read_bytes() for p in kit.iterdir() if p.name != "MANIFEST"}
    (kit / "MANIFEST").write_bytes(sign_manifest(files, read_project_key(federation.project_key)))
    (problem,) = kit_problems(kit, fingerprint(federation), LATER, app=digest(federation))
    assert problem.case == "T20"
    assert "unknown_to_this_release" in str(problem)
