"""What travels means the same at both ends."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.errors import WireError
from fedmce.flower_compat import ConfigRecord, MetricRecord, RecordDict, array_record, arrays_of, payload_bytes
from fedmce.wire import Order, digest, stamp, text_sha256

ORDER = Order(3, True, "ash", "{}", ("image", "sound"), "00", 40, (30, 20))


@given(
    st.builds(
        Order,
        round=st.integers(0, 10**6),
        train=st.booleans(),
        site=st.text(max_size=8),
        config=st.text(max_size=8),
        modalities=st.lists(st.text(max_size=5), max_size=3).map(tuple),
        base=st.text(max_size=8),
        all_rows=st.integers(0, 10**9),
        all_rows_by_modality=st.lists(st.integers(0, 10**9), max_size=3).map(tuple),
    )
)
def test_an_order_survives_a_record_of_flower(order: Order) -> None:
    assert Order.from_record(ConfigRecord(order.to_record())) == order  # type: ignore[arg-type]


@pytest.mark.parametrize("schema", ["fedmce.wire/2", "", None, 1])
def test_another_schema_is_refused_with_both_names(schema: Any) -> None:
    with pytest.raises(WireError, match=re.escape(f"schema {schema!r}; this program speaks fedmce.wire/1")):
        Order.from_record(ORDER.to_record() | {"schema": schema})


@pytest.mark.parametrize("key", ["round", "train", "site", "config", "base", "all_rows"])
def test_a_missing_field_is_refused_by_name(key: str) -> None:
    record = ORDER.to_record()
    del record[key]
    with pytest.raises(WireError, match=key):
        Order.from_record(record)


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(WireError, match="order"):
        Order.from_record(ORDER.to_record() | {"round": "soon"})


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    a, b = np.arange(3, dtype=np.float32), np.ones((2, 2), np.float32)
    assert digest({"x": a, "y": b}) == digest({"y": b, "x": a})


def test_the_digest_sees_every_bit_name_shape_and_type() -> None:
    a = np.array([0.0, 1.0, 2.0, 3.0], np.float32)
    signed = a.copy()
    signed[0] = -0.0
    others = [
        {"y": a},
        {"x": a.reshape(2, 2)},
        {"x": a.view(np.int32)},
        {"x": signed},
        {"x": np.nextafter(a, np.float32(9))},
        {"x": a, "y": a},
        {},
    ]
    assert len({digest(value) for value in [{"x": a}, *others]}) == len(others) + 1


def test_the_digest_of_a_transposed_view_is_that_of_its_copy() -> None:
    a = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert digest({"x": a}) == digest({"x": a.copy()})


def test_a_stamp_says_who_answers_what() -> None:
    assert stamp("ash", 3, "00", text_sha256("{}"), "1.0") == {
        "schema": "fedmce.wire/1",
        "site": "ash",
        "round": 3,
        "base": "00",
        "config_sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "version": "1.0",
    }


def test_arrays_survive_a_record_bitwise() -> None:
    given_ = {"a/w": np.array([[np.pi, -0.0], [1e-45, 3e38]], np.float32), "b": np.zeros((0, 3), np.float32)}
    back = arrays_of(array_record(given_))
    assert all(back[k].tobytes() == v.tobytes() and back[k].shape == v.shape for k, v in given_.items())


def test_payload_bytes_count_arrays_numbers_and_texts() -> None:
    arrays = array_record({"a": np.zeros(10, np.float32)})
    content = RecordDict(
        {
            "arrays": arrays,
            "numbers": MetricRecord({"x": 1, "y": [1.0, 2.0, 3.0]}),
            "texts": ConfigRecord({"t": "für", "b": b"12", "f": True, "l": ["a", "bc"]}),
        }
    )
    assert payload_bytes(content) == len(arrays["a"].data) + 4 * 8 + 4 + 2 + 8 + 3
