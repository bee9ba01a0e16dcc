"""Output of a command that must outlive whoever reads it: a closed pipe or a full disk costs lines, not the run."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO


class Lasting:
    """A stream whose lines are lost where they cannot be written.

    It writes past the buffer of the stream: what stays in one fails again when Python ends, and that would be its exit
    code.

    Args:
        stream: with a file descriptor.
    """

    def __init__(self, stream: TextIO) -> None:
        stream.flush()
        self._stream, self._descriptor = stream, stream.fileno()

    def write(self, text: str) -> int:
        """Write what can be written."""
        rest = text.encode(self._stream.encoding or "utf-8", "replace")
        with contextlib.suppress(OSError):
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def lasting_output() -> Iterator[None]:
    """Let stdout and stderr fail in silence."""
    with contextlib.ExitStack() as stack:
        for stream, redirect in ((sys.stdout, contextlib.redirect_stdout), (sys.stderr, contextlib.redirect_stderr)):
            try:
                stack.enter_context(redirect(Lasting(stream)))
            except (OSError, AttributeError, io.UnsupportedOperation):
                continue  # none, or one of a test, which cannot fail
        yield
