"""The nearest known name to a mistyped one, for messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name closest to ``word``, or None if none is close."""
    hits = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return hits[0] if hits else None


def unknown(what: str, word: str, known: Iterable[str]) -> str:
    """``unknown WHAT 'WORD'; known are a, b. did you mean 'a'?``; the question only if one is close."""
    names = list(known)
    hit = nearest(word, names)
    question = f". did you mean {hit!r}?" if hit else ""
    return f"unknown {what} {word!r}; known are {', '.join(names) or 'none'}{question}"
