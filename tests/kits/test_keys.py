import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fedmce.errors import IdentityError
from fedmce.kits.keys import make_node_key, node_key_problems, private_fault, read_node_key, read_public_key
from fedmce.kits.project_key import as_fingerprint, new_project_key, project_key_file, read_project_key
from tests.kits.made import ed25519_key, needs_ssh_keygen, openssh, p256, p384, public, rsa_key, umask


def test_a_new_key_is_one_that_flower_s_supernode_reads(tmp_path: Path) -> None:
    from argparse import Namespace

    from flwr.supernode.cli.flower_supernode import _try_setup_client_authentication

    made = make_node_key(tmp_path / "new")
    arguments = Namespace(auth_supernode_private_key=str(tmp_path / "new" / "node.key"), auth_supernode_public_key=None)
    pair = _try_setup_client_authentication(arguments)
    assert pair is not None
    line = pair[1].public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    assert line == made.line


def test_a_new_public_key_is_one_that_flower_registers(tmp_path: Path) -> None:
    from flwr.cli.supernode.register import try_load_public_key

    make_node_key(tmp_path / "new")
    content = try_load_public_key(tmp_path / "new" / "node.pub")
    key = serialization.load_pem_public_key(content)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp384r1"


@needs_ssh_keygen
def test_fingerprints_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    made = make_node_key(tmp_path / "new")
    for name in ("node.key", "node.pub"):
        told = subprocess.run(
            ["ssh-keygen", "-l", "-f", str(tmp_path / "new" / name)], capture_output=True, text=True, check=True
        ).stdout.split()
        assert (told[0], told[1]) == ("384", made.fingerprint)


@needs_ssh_keygen
def test_a_key_of_ssh_keygen_is_taken(tmp_path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "", "-f", str(tmp_path / "k")]
    subprocess.run(command, check=True)
    assert read_node_key(tmp_path / "k") == read_public_key(tmp_path / "k.pub")


def test_two_keys_are_never_the_same(tmp_path: Path) -> None:
    assert make_node_key(tmp_path / "a").fingerprint != make_node_key(tmp_path / "b").fingerprint


def test_a_key_is_readable_by_its_owner_only_under_every_umask(tmp_path: Path) -> None:
    for mask in (0o000, 0o022, 0o077):
        with umask(mask):
            make_node_key(tmp_path / f"{mask:o}")
        modes = {p.name: p.stat().st_mode & 0o777 for p in (tmp_path / f"{mask:o}").iterdir()}
        assert modes == {"node.key": 0o600, "node.pub": 0o600}
        assert (tmp_path / f"{mask:o}").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("there", ["node.key", "node.pub"])
def test_a_key_is_never_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious")
    with pytest.raises(IdentityError, match="never overwritten"):
        make_node_key(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "precious"


def test_a_link_planted_in_place_of_a_key_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "node.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IdentityError):
        make_node_key(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_the_public_part_has_one_form_whatever_comment_the_site_wrote(tmp_path: Path) -> None:
    key = p384()
    (tmp_path / "a.pub").write_bytes(public(key))
    (tmp_path / "b.pub").write_bytes(public(key).rstrip().removesuffix(b" x") + b" somebody@some-host evil\n")
    assert read_public_key(tmp_path / "a.pub") == read_public_key(tmp_path / "b.pub")


def test_a_private_key_given_as_a_public_one_is_refused_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "x.pub"
    path.write_bytes(openssh(p384()))
    with pytest.raises(IdentityError, match="is a private key") as refused:
        read_public_key(path)
    secret = path.read_text().splitlines()[2]
    assert secret not in str(refused.value)


@pytest.mark.parametrize(
    ("make", "kind"), [(rsa_key, "RSA"), (ed25519_key, "Ed25519"), (p256, "NIST P-256")], ids=["rsa", "ed25519", "p256"]
)
def test_public_keys_of_other_types_are_named(tmp_path: Path, make: object, kind: str) -> None:
    assert callable(make)
    (tmp_path / "x.pub").write_bytes(public(make()))
    with pytest.raises(IdentityError, match=f"of type {kind};"):
        read_public_key(tmp_path / "x.pub")


@pytest.mark.parametrize("content", [b"", b"\n", b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp384 AAAA", b"\x00" * 300])
def test_what_is_no_public_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pub").write_bytes(content)
    with pytest.raises(IdentityError, match="no public key"):
        read_public_key(tmp_path / "x.pub")


def test_a_truncated_private_key_is_refused_at_every_length() -> None:
    whole = openssh(p384())
    assert private_fault(whole) is None
    lengths = range(len(whole.rstrip()))
    taken = [length for length in lengths if private_fault(whole[:length]) is None]
    assert taken == []


def test_a_folder_in_place_of_a_key_is_named(tmp_path: Path) -> None:
    (problem,) = node_key_problems(tmp_path)
    assert "no regular file" in str(problem)


def test_no_object_that_holds_a_secret_shows_it(tmp_path: Path) -> None:
    from fedmce.kits.authority import issue, make_authority
    from fedmce.kits.issue_kit import _NodeKey
    from tests.kits.made import NOW

    authority = make_authority(NOW)
    issued = issue(authority, ["localhost"], 3, NOW)
    shown = repr([authority, authority.issued, issued, _NodeKey("SHA256:x", openssh(p384()))])
    assert "PRIVATE KEY" not in shown


@needs_ssh_keygen
def test_the_project_s_fingerprint_is_that_of_ssh_keygen_however_it_is_typed(tmp_path: Path) -> None:
    key = new_project_key()
    (tmp_path / "k").touch(0o600)
    (tmp_path / "k").write_bytes(project_key_file(key))
    assert read_project_key(tmp_path / "k").private_bytes_raw() == key.private_bytes_raw()
    told = subprocess.run(["ssh-keygen", "-lf", str(tmp_path / "k")], capture_output=True, text=True, check=True)
    print_ = told.stdout.split()[1]
    assert as_fingerprint(print_) == as_fingerprint(f" {print_[7:]}= ") == print_


@pytest.mark.parametrize("given", ["", "SHA256:", "sha256:" + "A" * 43, "SHA256:" + "A" * 42, "MD5:ab:cd", "A" * 44])
def test_what_is_no_fingerprint_is_refused(given: str) -> None:
    with pytest.raises(IdentityError, match="43 characters"):
        as_fingerprint(given)


@pytest.mark.parametrize("bad", ["gone", "open", "other", "noise"])
def test_a_project_key_that_cannot_sign_is_refused_by_name(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "project.key"
    if bad != "gone":
        path.touch(0o600)
        path.write_bytes({"other": openssh(p384()), "noise": b"x"}.get(bad, project_key_file(new_project_key())))
    if bad == "open":
        path.chmod(0o640)
    with pytest.raises(IdentityError, match=r"project\.key"):
        read_project_key(path)
