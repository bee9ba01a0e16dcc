"""What is wrong with a key, a certificate, a kit or a clock: where, what, how to fix it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from fedmce.errors import IdentityError


@dataclass(frozen=True)
class Problem:
    """One finding.

    Attributes:
        case: number of the fault case that it is, such as ``T08``, by which programs tell findings apart;
            empty: none of them.
        where: file, host or field.
        what: what was found there, and what is needed instead.
        fix: what to do about it, as a sentence or a command.
        is_warning: work can go on.
    """

    exit_code: ClassVar[int] = IdentityError.exit_code

    case: str
    where: str
    what: str
    fix: str
    is_warning: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f". {self.fix}" if self.fix else "")


def refuse(problems: Sequence[Problem], source: str) -> None:
    """Raise what forbids to go on; warnings do not.

    Raises:
        IdentityError: every such problem in one message; alone on its line, or counted and listed.
    """
    found = list(dict.fromkeys(str(problem) for problem in problems if not problem.is_warning))
    if len(found) == 1:
        raise IdentityError(found[0])
    if found:
        raise IdentityError(f"{source}: {len(found)} problems" + "".join(f"\n  - {text}" for text in found))
