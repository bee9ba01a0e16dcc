"""The edge of the process: every error becomes one message and an exit code."""

from __future__ import annotations

import errno
import json
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from fedmce import __version__
from fedmce.errors import ConfigError, FedMCEError, StateError

INTERRUPTED, TERMINATED = 130, 143
# A path that was given and cannot be used is no bug of ours; a full or broken disk is a fault of the folder.
PATHS = dict.fromkeys(
    (
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.EACCES,
        errno.EPERM,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    ),
    ConfigError.exit_code,
) | dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO), StateError.exit_code)


class Terminated(KeyboardInterrupt):
    """SIGTERM: takes the same way out as Ctrl-C."""


@dataclass
class Door:
    """What leaving needs to know.

    Attributes:
        as_json: an error also becomes one JSON object on stdout.
        folder: run folder for ``error.txt``, once it is decided.
        rounds_done: rounds in the record, for the line about an interruption; None before the run.
        progress: says how far a command of many runs came, in place of the rounds.
    """

    as_json: bool = False
    folder: Path | None = None
    rounds_done: int | None = None
    progress: Callable[[], str] | None = None

    def leave(self, kind: str, message: str, code: int) -> typer.Exit:
        """Say why on stderr (and as JSON if asked) and return the exit to raise."""
        typer.echo(f"{kind}: {message}", err=True)
        if self.as_json:
            error = {"exit_code": code, "message": message}
            print_json({"schema": "fedmce.error/1", "version": __version__, "error": error})
        return typer.Exit(code)


@contextmanager
def door(as_json: bool = False) -> Iterator[Door]:
    """Catch what a command raises: own errors without a trace, bugs with theirs in ``error.txt``."""
    out = Door(as_json)
    try:
        yield out
    except FedMCEError as error:
        raise out.leave("error", str(error), error.exit_code) from None
    except KeyboardInterrupt as stop:
        code = TERMINATED if isinstance(stop, Terminated) else INTERRUPTED
        raise out.leave("interrupted", _state(out), code) from None
    except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
        raise
    except OSError as error:
        known = PATHS.get(error.errno or 0)
        if known is None or (error.filename is None and known != StateError.exit_code):
            raise out.leave("error", _bug(out, error), 1) from None
        raise out.leave("error", _path(error), known) from None
    except Exception as error:
        raise out.leave("error", _bug(out, error), 1) from None


def print_json(tree: object) -> None:
    """One JSON object on stdout, keys sorted."""
    typer.echo(json.dumps(tree, sort_keys=True, allow_nan=False))


def _state(out: Door) -> str:
    if out.progress is not None:
        return out.progress()
    if out.rounds_done is None or out.folder is None or not out.folder.is_dir():
        return "before the first round; nothing was recorded"
    return f"{out.rounds_done} round(s) done; the record up to there is in {out.folder}"


def _path(error: OSError) -> str:
    paths = " and ".join(str(path) for path in (error.filename, error.filename2) if path is not None)
    if not paths:  # a write does not say to which file
        return f"{error.strerror}; needed a disk that can be written. make room on it or mend it, and run the command again"
    return (
        f"{paths}: {error.strerror}; needed a path that can be used so. check what was given, its folder and its rights"
    )


def _bug(out: Door, error: Exception) -> str:
    """The last line of the trace; the whole of it goes to the run folder, or to stderr if there is none."""
    last = traceback.format_exception_only(error)[-1].strip()
    trace = "".join(traceback.format_exception(error))
    if out.folder is not None and out.folder.is_dir():
        (out.folder / "error.txt").write_text(trace, encoding="utf-8")
        return f"{last}; unexpected, so probably a bug. trace: {out.folder / 'error.txt'}"
    typer.echo(trace, err=True, nl=False)
    return f"{last}; unexpected, so probably a bug"
