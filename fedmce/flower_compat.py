"""The one module that knows Flower's private side: switches, identity, copies on the wire, records.

Everything is written against flwr 1.41; a new minor version is tried here first.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SWITCHES = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def switch_off_side_effects() -> None:
    """No telemetry, no update check, no installation of dependencies at run time; before flwr is imported."""
    os.environ.update(SWITCHES)


switch_off_side_effects()

import flwr  # noqa: E402
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict  # noqa: E402
from flwr.app.message.message import make_message  # noqa: E402 - private
from flwr.supercore.inflatable.inflatable_object import UnexpectedObjectContentError  # noqa: E402 - private
from flwr.supercore.inflatable.inflatable_utils import pull_objects  # noqa: E402 - private
from flwr.supercore.run import Run  # noqa: E402 - private
from flwr.supercore.task_identity import TaskIdentity  # noqa: E402 - private
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # noqa: E402 - Flower's wire format

# What building a message from hostile bytes raises.
UNREADABLE = (
    UnexpectedObjectContentError,
    DecodeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)


@contextmanager
def identity(run_id: int) -> Iterator[Run]:
    """Make this process the ServerApp of run ``run_id``: Flower refuses to build messages without it.

    The identity is global to the process, so one in-process federation can run at a time; it is taken
    back at the end.
    """
    names = ("run_id", "node_id", "task_id")
    before = {name: _peek(name) for name in names}
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = run_id, 1, 1
    try:
        yield Run.create_empty(run_id)
    finally:
        for name, value in before.items():
            setattr(TaskIdentity, name, value)


def _peek(name: str) -> Any:
    try:
        return getattr(TaskIdentity, name)
    except RuntimeError:  # unset
        return None


@dataclass(frozen=True)
class Node:
    """A connected node as Flower knows it; name and key are empty where nodes are not registered.

    Attributes:
        name: that it was registered under.
        key: fingerprint of its public key.
    """

    name: str = ""
    key: str = ""


def connected(grid: Any) -> dict[int, Node]:
    """Nodes that a grid can reach now, by id."""
    found = {}
    for info in grid.get_nodes():
        public_key = bytes(info.public_key)
        found[int(info.node_id)] = Node(info.name, hashlib.sha256(public_key).hexdigest() if public_key else "")
    return dict(sorted(found.items()))


def pulled(grid: Any, message: Message, message_id: str) -> list[Message]:
    """Replies to a message; one without records in place of what cannot be built or names another message.

    A reply arrives as objects that its sender serialised, its envelope among them. Flower raises whatever they provoke,
    which must not end more than the reply; and it compares the envelope within with nothing, so a node could answer
    in the name of another. Errors of the connection itself are raised.

    Args:
        grid: Flower's grid.
        message: that was pushed.
        message_id: under which it was pushed.
    """
    try:
        found = list(grid.pull_messages([message_id]))
        answers = [reply.metadata.reply_to_message_id == message_id for reply in found]
    except UNREADABLE:
        return [Message(RecordDict(), reply_to=message)]
    return [
        reply if fits else Message(RecordDict(), reply_to=message) for reply, fits in zip(found, answers, strict=True)
    ]


def is_networked(grid: Any) -> bool:
    """Whether messages of this grid travel part by part.

    A pull then waits for parts that a sender has announced and not yet uploaded.
    """
    module = sys.modules.get("flwr.superlink.grid.http_grid")  # private; loaded wherever there is such a grid
    return module is not None and isinstance(grid, module.HttpGrid)


def limit_pulls(seconds: float) -> None:
    """Let Flower give up a reply of which parts are missing after so long, in place of two hours."""
    defaults = pull_objects.__kwdefaults__ or {}
    if "max_time" not in defaults:
        raise RuntimeError("flwr: pull_objects takes no max_time; needed flwr 1.41")
    defaults["max_time"] = seconds


def client_app_program(wrapped: Callable[..., tuple[Any, Any]]) -> Callable[[], None]:
    """Flower's ``flwr-clientapp`` with its two steps from a bundle to an app replaced by what ``wrapped`` makes of them."""
    from flwr.supernode.runtime import run_clientapp

    steps: Any = run_clientapp
    found = wrapped(steps.install_from_fab, steps.get_load_client_app_fn)
    steps.install_from_fab, steps.get_load_client_app_fn = found
    program: Callable[[], None] = _alone("flwr.supernode.cli", "flwr_clientapp").flwr_clientapp
    return program


def _alone(package: str, module: str) -> Any:
    """A module without its package, which would import the whole SuperNode with its database: half a second a message."""
    root = Path(flwr.__file__).parent.joinpath(*package.split(".")[1:])
    spec = spec_from_file_location(f"{package}.{module}", root / f"{module}.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"{package}.{module}: not a module of flwr {flwr.__version__}")
    found = module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def with_content(message: Message, content: RecordDict) -> Message:
    """The same envelope around other records: the id that one of the two is given is also the other's."""
    found: Message = make_message(metadata=message.metadata, content=content)
    return found


def as_received(message: Message, message_id: str) -> Message:
    """The message as the other side gets it: own records over shared, immutable bytes; id set on both."""
    copies: dict[str, Any] = {
        name: type(record)({key: _own(value) for key, value in record.items()})
        for name, record in message.content.items()
    }
    received = make_message(metadata=copy(message.metadata), content=RecordDict(copies))
    for side in (message, received):
        side.metadata.__dict__["_message_id"] = message_id
    return received


def _own(value: Any) -> Any:
    """The value with nothing in it that a change at one end could change at the other."""
    if isinstance(value, Array):
        own = Array.__new__(Array)
        own.__dict__.update(value.__dict__)
        return own
    return list(value) if isinstance(value, list) else value


def array_record(arrays: Mapping[str, npt.NDArray[Any]]) -> ArrayRecord:
    """Arrays as a record, keys kept."""
    return ArrayRecord({key: encode(value) for key, value in arrays.items()})


@lru_cache(maxsize=4096)
def npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """The npy header that numpy writes for a C-ordered array."""
    stream = io.BytesIO()
    description = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, description)
    return stream.getvalue()


def encode(value: npt.NDArray[Any]) -> Array:
    """The bytes of ``Array(value)``, ten times as fast: most of what Flower spends is the header."""
    return Array(
        str(value.dtype), value.shape, "numpy.ndarray", npy_header(value.dtype.str, value.shape) + value.tobytes()
    )


def decode(array: Array) -> npt.NDArray[Any]:
    """``array.numpy()``, without parsing where the header is the one that :func:`encode` writes.

    Returns:
        A new array; writing to it changes no message.
    """
    try:
        header = npy_header(array.dtype, array.shape)
    except (TypeError, ValueError):
        return array.numpy()
    if array.stype != "numpy.ndarray" or not array.data.startswith(header):
        return array.numpy()
    # A wrong length fails in reshape, as it would in numpy's own reader.
    return np.frombuffer(array.data, np.dtype(array.dtype), offset=len(header)).reshape(array.shape).copy()


def arrays_of(record: ArrayRecord) -> dict[str, npt.NDArray[Any]]:
    """Arrays of a record, decoded without pickle."""
    return {key: decode(value) for key, value in record.items()}


def pack(message: Message, context: Context) -> bytes:
    """A message and the context of its node, exactly, for a process beside this one.

    Flower's own serialisation copies every array several times (50 ms per MB); here it gets the arrays without their
    data, which follow as they are.
    """
    from flwr.common.serde import context_to_proto, message_to_proto

    data: list[bytes] = []
    if message.has_content():
        message = with_content(message, _hollow(message.content, data))
    bare = copy(context)
    bare.state = _hollow(context.state, data)
    heads = message_to_proto(message).SerializeToString(), context_to_proto(bare).SerializeToString()
    return _joined([*heads, *data])


def unpack(packed: bytes) -> tuple[Message, Context]:
    """Inverse of :func:`pack`.

    Raises:
        ValueError: other bytes.
    """
    from flwr.common.serde import context_from_proto, message_from_proto
    from flwr.proto.message_pb2 import Context as ContextProto
    from flwr.proto.message_pb2 import Message as MessageProto

    head, beside, *data = _parted(packed)
    found = iter(data)
    message = message_from_proto(MessageProto.FromString(head))
    context = context_from_proto(ContextProto.FromString(beside))
    if message.has_content():
        _fill(message.content, found)
    _fill(context.state, found)
    return message, context


def pack_records(records: RecordDict) -> bytes:
    """Records alone, for a file."""
    from flwr.common.serde import recorddict_to_proto

    data: list[bytes] = []
    return _joined([recorddict_to_proto(_hollow(records, data)).SerializeToString(), *data])


def unpack_records(packed: bytes) -> RecordDict:
    """Inverse of :func:`pack_records`.

    Raises:
        ValueError: other bytes.
    """
    from flwr.common.serde import recorddict_from_proto
    from flwr.proto.recorddict_pb2 import RecordDict as RecordDictProto

    head, *data = _parted(packed)
    records = recorddict_from_proto(RecordDictProto.FromString(head))
    _fill(records, iter(data))
    return records


def _hollow(records: RecordDict, data: list[bytes]) -> RecordDict:
    """The records with arrays of no bytes; the bytes are added to ``data``."""
    found: dict[str, Any] = {}
    for name, record in records.items():
        if isinstance(record, ArrayRecord):
            data += [array.data for array in record.values()]
            record = ArrayRecord({key: Array(a.dtype, a.shape, a.stype, b"") for key, a in record.items()})
        found[name] = record
    return RecordDict(found)


def _fill(records: RecordDict, data: Iterator[bytes]) -> None:
    for record in records.values():
        if isinstance(record, ArrayRecord):
            for array in record.values():
                array.__dict__["data"] = next(data)


def _joined(parts: Sequence[bytes]) -> bytes:
    return b"".join([struct.pack(f"<I{len(parts)}Q", len(parts), *map(len, parts)), *parts])


def _parted(packed: bytes) -> list[bytes]:
    try:
        (count,) = struct.unpack_from("<I", packed)
        lengths = struct.unpack_from(f"<{count}Q", packed, 4)
    except struct.error as error:
        raise ValueError(f"packed records: {error}") from None
    at, parts = 4 + 8 * count, []
    for length in lengths:
        parts.append(packed[at : at + length])
        at += length
    if at != len(packed) or not parts:
        raise ValueError(f"packed records: {len(packed)} bytes given; needed {at}")
    return parts


def payload_bytes(content: RecordDict) -> int:
    """Bytes of a message's content: arrays as sent, numbers 8 each, texts as UTF-8; keys left out."""
    total = 0
    for record in content.values():
        if isinstance(record, ArrayRecord):
            total += sum(len(array.data) for array in record.values())
        else:
            total += sum(_value_bytes(value) for value in record.values())
    return total


def _value_bytes(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, list):
        return sum(_value_bytes(item) for item in value)
    return 8


__all__ = [
    "Array",
    "ArrayRecord",
    "ConfigRecord",
    "Context",
    "Message",
    "MetricRecord",
    "Node",
    "RecordDict",
    "array_record",
    "arrays_of",
    "as_received",
    "connected",
    "decode",
    "encode",
    "identity",
    "is_networked",
    "limit_pulls",
    "npy_header",
    "pack",
    "pack_records",
    "payload_bytes",
    "pulled",
    "switch_off_side_effects",
    "unpack",
    "unpack_records",
    "with_content",
]
