import pytest
from cryptography.exceptions import InvalidSignature
from hypothesis import given
from hypothesis import strategies as st

from fedmce.kits.manifest import read_manifest, sign_manifest
from fedmce.kits.project_key import fingerprint_of, new_project_key

KEY = new_project_key()
NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True)


@given(st.dictionaries(NAMES, st.binary(max_size=50), min_size=1, max_size=6))
def test_a_manifest_is_read_back_as_it_was_signed(files: dict[str, bytes]) -> None:
    import hashlib

    found = read_manifest(sign_manifest(files, KEY))
    assert found.files == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert found.fingerprint == fingerprint_of(KEY.public_key().public_bytes_raw())


def test_every_changed_bit_of_a_manifest_is_found() -> None:
    content = sign_manifest({"a": b"1", "b.yaml": b"2"}, KEY)
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            with pytest.raises(ValueError, match=r"form|signature"):
                read_manifest(bytes(changed))


@pytest.mark.parametrize("change", [lambda c: c + b"\n", lambda c: c[:-1], lambda c: b"\n" + c, lambda c: c + c])
def test_a_manifest_has_no_byte_more_or_less(change: object) -> None:
    assert callable(change)
    with pytest.raises(ValueError, match="form"):
        read_manifest(change(sign_manifest({"a": b"1"}, KEY)))


def test_a_manifest_signed_anew_by_another_key_has_another_fingerprint() -> None:
    files = {"a": b"1"}
    assert (
        read_manifest(sign_manifest(files, new_project_key())).fingerprint
        != read_manifest(sign_manifest(files, KEY)).fingerprint
    )


def test_a_signature_of_other_files_does_not_fit() -> None:
    one, two = sign_manifest({"a": b"1"}, KEY), sign_manifest({"a": b"2"}, KEY)
    signed, _, _ = one.partition(b"signature ")
    _, _, signature = two.partition(b"signature ")
    with pytest.raises(ValueError, match="signature"):
        read_manifest(signed + b"signature " + signature)


@pytest.mark.parametrize("name", ["../x", "a/b", "a b", "", "x\n"])
def test_a_name_that_could_lead_elsewhere_cannot_be_signed(name: str) -> None:
    with pytest.raises((ValueError, InvalidSignature)):
        sign_manifest({name: b""}, KEY)
