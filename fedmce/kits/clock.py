"""A site's clock against the server's: Flower accepts a signature only within minutes of its own time."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from fedmce.errors import IdentityError
from fedmce.kits.problem import Problem

# Of flwr 1.41 (SYSTEM_TIME_TOLERANCE, and TIMESTAMP_TOLERANCE more): beyond them a site gets 401 and no other word.
AHEAD_S, BEHIND_S = 5.0, 305.0


def clock_offset(date_header: str, now: datetime) -> float:
    """Seconds by which this machine's clock is ahead of the server's; negative: behind.

    The header has whole seconds, so its middle is taken: the error is half a second and half of the round trip.

    Args:
        date_header: ``Date`` of an answer of the server, such as ``Sat, 21 Nov 2026 18:15:31 GMT``.
        now: this machine's time, best in the middle of request and answer.

    Raises:
        IdentityError: the header is no date.
    """
    try:
        theirs = parsedate_to_datetime(date_header)
    except (TypeError, ValueError):
        raise IdentityError(
            f"Date header: given {date_header[:60]!r}; needed a date of HTTP. check that the address is the server's"
        ) from None
    theirs = theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
    return (now - theirs).total_seconds() - 0.5


def clock_problems(offset_s: float) -> list[Problem]:
    """What is wrong with a clock that is so many seconds ahead of the server's (T13).

    Half of what Flower allows is a warning: clocks drift on.
    """
    ahead = offset_s > 0
    share = offset_s / AHEAD_S if ahead else -offset_s / BEHIND_S
    if share < 0.5:
        return []
    found = f"{abs(offset_s):.1f} s {'ahead of' if ahead else 'behind'} the server's"
    needed = f"Flower refuses a site more than {AHEAD_S:.0f} s ahead or {BEHIND_S:.0f} s behind with 401"
    fix = "Switch on time synchronisation on both machines, for example `timedatectl set-ntp true`."
    return [Problem("T13", "clock", f"this machine's is {found}; {needed}", fix, is_warning=share < 1)]
