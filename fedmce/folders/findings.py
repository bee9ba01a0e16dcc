"""What the checker of a site folder says: findings with file, place, what was given, what is allowed, how to fix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fedmce.folders.cases import CASES

EXAMPLES = 20  # that a finding lists; the rest is a count
LONGEST = 400  # characters of one text that comes out of a folder


class Example(NamedTuple):
    """One of several places of a finding."""

    where: str
    given: str


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a folder.

    Attributes:
        case: number in :data:`~fedmce.folders.cases.CASES`.
        file: relative to the folder; empty = the folder itself.
        where: place in the file, in words; may be empty.
        given: what is there.
        allowed: what may be there.
        fix: what to do.
        is_error: the folder is refused; otherwise a warning.
        examples: at most :data:`EXAMPLES` places where a finding has several.
        count: all places.
    """

    case: str
    file: str
    where: str
    given: str
    allowed: str
    fix: str
    is_error: bool
    examples: tuple[Example, ...] = ()
    count: int = 1

    def __post_init__(self) -> None:
        if ("E" if self.is_error else "W") not in CASES[self.case].grave:
            raise ValueError(f"{self.case}: given is_error={self.is_error}; known as {CASES[self.case].grave}")

    def text(self) -> str:
        """Three lines, and a fourth where there are several places; no control character of the folder's own."""
        first = Example(self.where, self.given) if not self.examples else self.examples[0]
        place = ", ".join(part for part in (self.file, self.where, first.where) if part)
        if not self.examples:
            place = ", ".join(part for part in (self.file, self.where) if part)
        kind = "" if self.is_error else " warning"
        lines = [f"{self.case}{kind} {printable(place or 'folder')}: {printable(first.given)}"]
        if self.count > 1:
            lines.append(f"  also: {self._others()}")
        return "\n".join([*lines, f"  allowed: {printable(self.allowed)}", f"  fix: {printable(self.fix)}"])

    def __str__(self) -> str:
        return self.text()

    def _others(self) -> str:
        rest = [printable(f"{e.where}: {e.given}" if e.where else e.given) for e in self.examples[1:]]
        hidden = self.count - max(len(self.examples), 1)
        return "; ".join([*rest, f"{hidden:,} more"] if hidden else rest)

    def to_json(self) -> dict[str, Any]:
        """The same as a tree."""
        return {
            "case": self.case,
            "level": "error" if self.is_error else "warning",
            "file": printable(self.file),
            "where": printable(self.where),
            "given": printable(self.given),
            "allowed": printable(self.allowed),
            "fix": printable(self.fix),
            "examples": [{"where": printable(e.where), "given": printable(e.given)} for e in self.examples],
            "count": self.count,
        }


class Findings:
    """Collects findings in the order in which the passes meet them."""

    def __init__(self) -> None:
        self._found: list[Finding] = []

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found)

    def error(self, case: str, file: str, where: str, given: str, allowed: str, fix: str) -> None:
        """Note one thing for which the folder is refused."""
        self._found.append(Finding(case, file, where, given, allowed, fix, True))

    def warning(self, case: str, file: str, where: str, given: str, allowed: str, fix: str) -> None:
        """Note one thing that is told."""
        self._found.append(Finding(case, file, where, given, allowed, fix, False))

    def many(
        self,
        case: str,
        file: str,
        where: str,
        examples: Sequence[Example],
        count: int,
        allowed: str,
        fix: str,
        is_error: bool = True,
    ) -> None:
        """Note one thing that is wrong at ``count`` places, the first of which are ``examples``; nothing if there is none."""
        if count:
            shown = tuple(examples[:EXAMPLES])
            self._found.append(Finding(case, file, where, shown[0].given, allowed, fix, is_error, shown, count))


def printable(text: str) -> str:
    """The text in one line without control characters or halves of characters, at most :data:`LONGEST` long.

    Names of files and cells come from the folder: they must not move a terminal's cursor or break a line.

    >>> printable("a\\nb\\x1b[2J")
    'a\\\\nb\\\\x1b[2J'
    """
    cut = text if len(text) <= LONGEST else text[: LONGEST - 4] + " ..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in cut)
