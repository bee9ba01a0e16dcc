"""Disks that fill up and fail, and time that passes only in waiting."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest


class Clock:
    """Time that passes only in sleeping; ``then`` happens at each sleep."""

    def __init__(self, then: Callable[[float], None] = lambda now: None) -> None:
        self.now, self.then = 0.0, then

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.then(self.now)


def failing(patch: pytest.MonkeyPatch, name: str, number: int, while_: Callable[[str], bool]) -> None:
    """Let a call of ``os`` fail with an errno while ``while_`` (told its first argument) says so."""
    real = getattr(os, name)

    def call(*told: Any, **named: Any) -> Any:
        if while_(str(told[0])):
            raise OSError(number, os.strerror(number), str(told[0]))
        return real(*told, **named)

    patch.setattr(os, name, call)
