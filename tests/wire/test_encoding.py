"""Arrays on the wire: Flower's own bytes, and nothing that runs code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array

from fedmce.flower_compat import decode, encode


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", ">f4", "bool"])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3), (1, 2, 0, 3)])
def test_our_encoding_is_flowers_byte_by_byte(dtype: str, shape: tuple[int, ...]) -> None:
    value = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    ours, theirs = encode(value), Array(value)
    assert (ours.dtype, ours.shape, ours.stype, ours.data) == (theirs.dtype, theirs.shape, theirs.stype, theirs.data)
    back = decode(ours)
    assert (back.dtype, back.shape, back.tobytes()) == (value.dtype, value.shape, value.tobytes())


def test_an_array_in_other_order_is_encoded_by_its_values() -> None:
    value = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert np.array_equal(decode(encode(value)), value)
    assert np.array_equal(encode(value).numpy(), value)
    fortran = Array(np.asfortranarray(value))
    assert np.array_equal(decode(fortran), value)


@pytest.mark.parametrize("cut", [-1, -4, 1])
def test_an_array_of_another_length_is_refused(cut: int) -> None:
    good = encode(np.arange(6, dtype=np.float32))
    data = good.data[:cut] if cut < 0 else good.data + b"\x00" * 5
    with pytest.raises(ValueError):  # noqa: PT011 - numpy's own words differ
        decode(Array(good.dtype, good.shape, good.stype, data))


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "exploded",))

    import io

    stream = io.BytesIO()
    np.save(stream, np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"pickle|OBJECT"):
        decode(Array("object", (1,), "numpy.ndarray", stream.getvalue()))
    assert not (tmp_path / "exploded").exists()
