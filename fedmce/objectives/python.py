"""``python``: an objective from a user's file or module; nothing of it is registered.

What the file must offer is in docs/adding-a-baseline.md.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from fedmce.config.baselines_central import PythonConfig
from fedmce.config.nearest import unknown
from fedmce.config.schema import RunConfig
from fedmce.errors import ConfigError
from fedmce.models import Batch, MultimodalNet
from fedmce.objectives.objective import Arrays, Emphasis, Loss, Objective, Silent, SiteFacts, objective

Factory = Callable[[dict[str, Any], SiteFacts, np.random.Generator], Any]
WANTED = "a function (options, facts, generator) that returns an objective (net, batch, available) -> loss"


class Adapted(Silent):
    """What a user's factory returned, as an objective: a bare function may return a loss or a scalar alone.

    Args:
        made: callable ``(net, batch, available)``; its ``emphasis``, ``after_backward`` and ``told`` are used if
            it has them.
        where: for messages.
    """

    def __init__(self, made: Any, where: str) -> None:
        if not callable(made):
            raise ConfigError(f"objective.call: {where} returned {type(made).__name__}; needed {WANTED}")
        self._made, self._where = made, where

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        loss = self._made(net, batch, available)
        if isinstance(loss, Loss):
            return loss
        if isinstance(loss, Tensor) and loss.dim() == 0:
            return Loss(loss, {"total": loss.detach()})
        given = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise ConfigError(f"objective.call: {self._where} gave {given} for a batch; needed a scalar tensor or a Loss")

    def emphasis(self) -> Emphasis:
        """As the user's object says, else none."""
        return self._made.emphasis() if hasattr(self._made, "emphasis") else Emphasis()

    def after_backward(self, net: MultimodalNet) -> None:
        """As the user's object does, else nothing."""
        if hasattr(self._made, "after_backward"):
            self._made.after_backward(net)

    def told(self, net: MultimodalNet, batches: Iterable[tuple[Batch, npt.NDArray[np.bool_]]]) -> Arrays:
        """The user's object may end its round here; nothing of it travels."""
        if hasattr(self._made, "told"):
            self._made.told(net, batches)
        return {}


def load_factory(call: str) -> Factory:
    """Find what ``objective.call`` names.

    Args:
        call: ``file.py:name``, the file from the working directory, or ``package.module:name``.

    Raises:
        ConfigError: no such file or module, it fails while it is read, no such name, or another signature.
    """
    place, colon, name = call.rpartition(":")
    if not colon or not place or not name:
        raise ConfigError(f"objective.call: given {call!r}; needed file.py:name or package.module:name")
    module = _from_file(Path(place)) if place.endswith(".py") else _from_module(place)
    factory = getattr(module, name, None)
    if factory is None:
        own = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        raise ConfigError(f"objective.call: {place}: {unknown('function', name, own)}")
    if not callable(factory) or not _takes_three(factory):
        raise ConfigError(f"objective.call: {call} is {_described(factory)}; needed {WANTED}")
    return factory  # type: ignore[no-any-return]


def _from_file(path: Path) -> ModuleType:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise ConfigError(f"objective.call: no file {path}; needed a Python file, its path from the working directory")
    text = path.read_bytes()
    # A name of its own per content: two files of one name do not meet, and an edited file is read again.
    name = f"fedmce_user_{path.stem}_{hashlib.sha256(str(path).encode() + text).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        # Not through importlib: its cache takes a file that changed within a second for the old one.
        exec(compile(text, str(path), "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(
            f"objective.call: {path} fails with {type(error).__name__}: {error}; needed a file that imports"
        ) from error
    return module


def _from_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ConfigError(
            f"objective.call: module {name!r} cannot be imported ({type(error).__name__}: {error}); needed an installed "
            "module, or the path of a file that ends with .py"
        ) from error


def _takes_three(factory: Callable[..., Any]) -> bool:
    try:
        inspect.signature(factory).bind({}, None, None)
    except (TypeError, ValueError):
        return False
    return True


def _described(found: Any) -> str:
    if not callable(found):
        return f"a {type(found).__name__}"
    try:
        return f"a callable {inspect.signature(found)}"
    except ValueError:
        return "a callable without a signature"


def check_objective(config: RunConfig) -> None:
    """Refuse a file that cannot be used, before a run begins.

    Raises:
        ConfigError: see :func:`load_factory`.
    """
    if config.objective.name == "python":
        load_factory(config.objective.call)


@objective("python")
def python(config: PythonConfig, facts: SiteFacts, generator: np.random.Generator) -> Objective:
    """The user's objective."""
    return Adapted(load_factory(config.call)(dict(config.options), facts, generator), config.call)
