"""Why a site did not answer: a closed list of codes, all that crosses the wire of a failure (reliability.md 5.6).

Flower puts the class and the text of an exception into the reply, and a text may hold a name, a path or a row. So a
site sends a number of ours and the code's own name; what really happened is in its local log.
"""

from __future__ import annotations

from typing import Literal, get_args

from fedmce.errors import FedMCEError

SiteCode = Literal[
    "data_invalid",
    "data_changed",
    "data_unavailable",
    "out_of_memory",
    "timeout",
    "crashed",
    "disk_full",
    "floor_not_met",
    "plan_refused",
    "nonfinite_training",
    "device_error",
    "version",
    "internal",
]
SITE_CODES: tuple[SiteCode, ...] = get_args(SiteCode)
FIRST = 1001  # beyond every number that Flower uses
SIGNALLED, LAST_SIGNAL = 1100, 64  # 1100 + n: crashed by signal n
WHERE_TRACES_ARE = "trace: sites.log in the run folder, or log/site.log in the site's own"


class SiteError(FedMCEError):
    """A failure that the site knows by its code.

    Args:
        code: of the closed list; all that leaves the site.
        message: for the site's own log.
    """

    def __init__(self, code: SiteCode, message: str) -> None:
        super().__init__(message)
        self.code: SiteCode = code


def number_of(code: SiteCode, by_signal: int = 0) -> int:
    """The number that Flower's error reply carries.

    Args:
        code: of the closed list.
        by_signal: with ``crashed``: the signal that ended the process; 0 = none.
    """
    if code == "crashed" and 0 < by_signal <= LAST_SIGNAL:
        return SIGNALLED + by_signal
    return FIRST + SITE_CODES.index(code)


def code_of_number(number: object) -> SiteCode | None:
    """The code behind a number; None for a number that is none of ours, and for what is no number."""
    if type(number) is not int:
        return None
    if SIGNALLED < number <= SIGNALLED + LAST_SIGNAL:
        return "crashed"
    return SITE_CODES[number - FIRST] if FIRST <= number < FIRST + len(SITE_CODES) else None


def said_of_number(number: object) -> str | None:
    """The same in words, with the signal of a crash: what the server may write into its record.

    >>> said_of_number(1111)
    'crashed by signal 11'
    """
    code = code_of_number(number)
    if code != "crashed" or not isinstance(number, int) or number <= SIGNALLED:
        return code
    return f"crashed by signal {number - SIGNALLED}"
