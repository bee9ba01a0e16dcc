"""Names and counts in a configuration against what there is, as messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from fedmce.config.nearest import unknown


def names(where: str, what: str, given: Iterable[str], known: Sequence[str]) -> Iterator[str]:
    """One message per name that is not known, with the nearest one that is."""
    return (f"{where}: {unknown(what, name, known)}" for name in dict.fromkeys(given) if name not in known)


def count_or_names(where: str, given: int | float | tuple[str, ...], sites: Sequence[str], least: int) -> Iterator[str]:
    """Sites by number or by name; a share always fits."""
    if isinstance(given, int):
        if not least <= given <= len(sites):
            yield f"{where}: given {given}; needed {least} to {len(sites)}, as many as sites take part"
        return
    if isinstance(given, float):
        return
    if len(given) < least:
        yield f"{where}: given no site; needed at least {least} of {', '.join(sites)}"
    yield from names(where, "site", given, sites)
