"""What an operator tells a run that goes on: one small file per word, taken in between two rounds.

A word is removed only once the round that took it in is over, so that a killed server hears it again; hearing it
twice changes nothing.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Word = Literal["readmit", "revoke"]
FOLDER = "operator"  # of the run folder


@dataclass(frozen=True)
class Told:
    """A word about a site.

    Attributes:
        word: ``readmit``: a clean standing, and the key that its node has now; ``revoke``: it is asked no more.
        site: whom it is about.
    """

    word: Word
    site: str


def leave_word(run_folder: Path, word: Word, site: str) -> None:
    """Leave a word for the next round; the opposite word about the site is taken back."""
    folder = run_folder / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    for other in get_args(Word):
        if other != word:
            _file(folder, Told(other, site)).unlink(missing_ok=True)
    _file(folder, Told(word, site)).touch(mode=0o600)


class Words:
    """Words that lie in a run folder.

    Args:
        run_folder: of the run; None: nobody can leave one.
    """

    def __init__(self, run_folder: Path | None = None) -> None:
        self._folder = run_folder / FOLDER if run_folder is not None else None
        self._heard: list[Path] = []

    def hear(self) -> tuple[Told, ...]:
        """Those that were not heard yet, by site."""
        if self._folder is None:
            return ()
        found = {}
        for path in sorted(self._folder.glob("*.*")):
            word, _, site = path.name.partition(".")
            if word in get_args(Word) and path not in self._heard:
                found[path] = Told(word, site)  # type: ignore[arg-type]
        self._heard += found
        return tuple(sorted(found.values(), key=lambda told: (told.site, told.word)))

    def done(self) -> None:
        """Remove those that were heard: the round that took them in is over."""
        for path in self._heard:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        self._heard.clear()


def _file(folder: Path, told: Told) -> Path:
    return folder / f"{told.word}.{told.site}"
