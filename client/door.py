"""The outermost boundary of a site: whatever happens inside, one of a closed list of codes comes out.

Flower puts the class and text of an exception into the reply, and does not see ``SystemExit`` at all: the site then
looks dead for minutes. Nothing of an exception crosses this boundary; its trace goes to the site's own log.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from flwr.app import Context, Error
from pydantic import ValidationError

from client.site_log import log_trace
from fedmce.durable import FULL
from fedmce.errors import ConfigError, DataError, DeviceError, VersionError
from fedmce.flower_compat import Message, RecordDict
from fedmce.site_errors import SiteCode, SiteError, number_of

Work = Callable[[Message, Context], Message]

# What torch says in a plain RuntimeError where other libraries have an exception of their own.
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc", "cannot allocate memory")
NO_DEVICE = ("cuda", "cudnn", "cublas", "nvidia driver", "hip error", "mps backend")


def guarded(work: Work, message: Message, context: Context, passing: tuple[type[BaseException], ...] = ()) -> Message:
    """The reply of ``work``, or an error reply that says a code and its name.

    The node's state is then as before the message: half of a training is not kept.

    Args:
        work: handles the message.
        message: what the site was asked.
        context: of its node.
        passing: let through, such as a person's Ctrl-C in a simulation.
    """
    before = dict(context.state.items())
    try:
        return work(message, context)
    except passing:
        raise
    except BaseException as error:
        code = code_of(error)
        with contextlib.suppress(BaseException):  # the log may be on the disk that is full
            log_trace(context, code, error)
        context.state = RecordDict(before)
        error.__traceback__ = None  # its frames hold the arrays of the round
        return error_reply(message, code)


def error_reply(message: Message, code: SiteCode, by_signal: int = 0) -> Message:
    """A reply that says that there is none, and why."""
    return Message(Error(number_of(code, by_signal), code), reply_to=message)


def code_of(error: BaseException) -> SiteCode:
    """The code of the closed list that an exception becomes."""
    if isinstance(error, SiteError):
        return error.code
    if isinstance(error, MemoryError):
        return "out_of_memory"
    if isinstance(error, VersionError):
        return "version"
    if isinstance(error, DeviceError):
        return "device_error"
    if isinstance(error, DataError):
        # A reader that could not open a file says what is wrong with the data; that the file was gone is beneath.
        return _of_system(error.__context__) if isinstance(error.__context__, OSError) else "data_invalid"
    if isinstance(error, ConfigError | ValidationError):
        return "plan_refused"
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, RuntimeError):
        return _of_torch(error)
    return "internal"


def _of_system(error: OSError) -> SiteCode:
    if error.errno in FULL:
        return "disk_full"
    return "data_unavailable" if error.filename is not None or error.errno is not None else "internal"


def _of_torch(error: RuntimeError) -> SiteCode:
    text = f"{type(error).__name__} {error}".lower()
    if "outofmemory" in text or any(words in text for words in NO_MEMORY):
        return "out_of_memory"
    return "device_error" if "acceleratorerror" in text or any(words in text for words in NO_DEVICE) else "internal"
