"""Byte strings over a stream socket: eight bytes of length, then the bytes."""

from __future__ import annotations

import socket
import struct

LENGTH = struct.Struct(">Q")
CHUNK = 1 << 20


def send(pipe: socket.socket, data: bytes) -> None:
    """Send one byte string; blocks."""
    pipe.sendall(LENGTH.pack(len(data)))
    pipe.sendall(data)


def receive(pipe: socket.socket) -> bytes | None:
    """One byte string; None when the other end has closed. Blocks."""
    head = _exactly(pipe, LENGTH.size)
    return None if head is None else _exactly(pipe, LENGTH.unpack(head)[0])


def _exactly(pipe: socket.socket, size: int) -> bytes | None:
    parts, left = [], size
    while left:
        if not (part := pipe.recv(min(left, CHUNK))):
            return None
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


class Inbox:
    """One byte string, put together from what a non-blocking socket has."""

    def __init__(self) -> None:
        self._data = bytearray()

    def read(self, pipe: socket.socket) -> bool:
        """Take what is there; False when the other end has closed."""
        try:
            part = pipe.recv(CHUNK)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        self._data += part
        return bool(part)

    def take(self) -> bytes | None:
        """The byte string once it is whole; it is then no longer here."""
        if len(self._data) < LENGTH.size:
            return None
        end = LENGTH.size + LENGTH.unpack_from(self._data)[0]
        if len(self._data) < end:
            return None
        found = bytes(memoryview(self._data)[LENGTH.size : end])
        del self._data[:end]
        return found
