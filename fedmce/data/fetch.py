"""Download the owners' original files: resumed, checked, and never half-written under their final name."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from fedmce import __version__
from fedmce.data import originals, packed, pairs
from fedmce.data.sound_mnist import read_idx
from fedmce.data.sources import SOURCES, Source
from fedmce.errors import DataError

Progress = Callable[[str, int, int | None], None]
CHUNK = 1 << 16
TIMEOUT_S = 30.0


class _FetchError(Exception):
    """One address did not give the file; the text says why."""


def fetch(
    name: str, data_dir: Path, progress: Progress | None = None, sources: Sequence[Source] | None = None
) -> list[Path]:
    """Bring a data set's files into ``data_dir/name/``.

    A file that is there and whole is not asked for again. Bytes arrive in ``FILE.part``, which a later call
    continues, and get their final name only after the checksum agreed.

    Args:
        name: registry name of the data set.
        data_dir: folder that holds one folder per data set; made if absent.
        progress: called with file name, bytes there and bytes in all (None if the server does not say).
        sources: other places to ask, for mirrors and tests; default the owners' public addresses.

    Returns:
        Paths of all files of the data set; empty for an embedded one.

    Raises:
        DataError: no such data set, no network, refused by the server, cut off, a wrong checksum, or a folder
            that cannot be written.
    """
    if name not in SOURCES:
        raise DataError(f"data fetch: {name!r} given; known: {', '.join(sorted(SOURCES))}")
    wanted = SOURCES[name] if sources is None else tuple(sources)
    if not wanted:
        return []
    where = data_dir / name
    try:
        where.mkdir(parents=True, exist_ok=True)
        done = [_bring(name, source, where, progress or _silent) for source in wanted]
        return done + (_write_pairs(data_dir) if name == "sound_mnist" else [])
    except OSError as error:
        raise DataError(f"data fetch {name}: {where} cannot be written ({error})") from error


def _silent(file: str, done: int, total: int | None) -> None:
    """Show nothing."""


def _bring(name: str, source: Source, where: Path, progress: Progress) -> Path:
    target, part = where / source.file, where / f"{source.file}.part"
    for there in [target] if source.sha256 is not None else [where / other for other in packed.PACKED[name][0]]:
        if there.is_file() and _problem(name, there, source.sha256) is None:
            return there
    if not source.urls:
        raise DataError(f"data fetch {name}: nobody hosts {source.file}, so it cannot be fetched; {packed.HAPT_RECIPE}")
    if part.is_file() and _problem(name, part, source.sha256) is None:
        part.replace(target)  # an earlier call ended between the last byte and the new name
        return target
    problems = []
    for url in source.urls:
        try:
            _download(name, url, source, part, progress)
            part.replace(target)
            return target
        except _FetchError as error:
            problems.append(f"{url}: {error}")
    raise DataError(f"data fetch {name}: {source.file} did not arrive. " + "; ".join(problems))


def _download(name: str, url: str, source: Source, part: Path, progress: Progress) -> None:
    resumed = _receive(url, source.file, part, progress)
    problem = _problem(name, part, source.sha256)
    if problem and resumed:
        # The old part may be of another version of the file: once more from the beginning.
        part.unlink()
        _receive(url, source.file, part, progress)
        problem = _problem(name, part, source.sha256)
    if problem:
        part.unlink()
        raise _FetchError(f"{problem}; what came was thrown away")


def _problem(name: str, path: Path, sha256: str | None) -> str | None:
    """What is wrong with a file, or None."""
    if sha256 is None:
        try:
            packed.PACKED[name][1](path)
        except DataError as error:
            return str(error)
        return None
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return None if found == sha256 else f"sha256 {found}; needed {sha256}"


def _receive(url: str, file: str, part: Path, progress: Progress) -> bool:
    """Append to the part, or write it anew; True if bytes of an earlier call were kept."""
    have = part.stat().st_size if part.is_file() else 0
    if not url.startswith(("http://", "https://")):
        raise _FetchError("not an http or https address")
    headers = {"User-Agent": f"fedmce/{__version__}"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S) as reply:
            # 200 in answer to a range, or a range from elsewhere: the server starts over, and so does the part.
            kept = have if reply.status == 206 and _starts_at(reply, have) else 0
            if reply.status == 206 and kept != have:
                raise _FetchError(f"answered range {reply.headers.get('Content-Range')}; asked from byte {have}")
            _copy(reply, file, part, kept, progress)
            return kept > 0
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            part.unlink()  # longer than the file itself: useless
            return _receive(url, file, part, progress)
        raise _FetchError(f"HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _FetchError(f"no answer ({error.reason}); is there a network?") from error
    except (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
        raise _FetchError(f"cut off ({error!r}). run again: it goes on where it stopped") from error


def _starts_at(reply: http.client.HTTPResponse, offset: int) -> bool:
    return reply.headers.get("Content-Range", "").startswith(f"bytes {offset}-")


def _copy(reply: http.client.HTTPResponse, file: str, part: Path, kept: int, progress: Progress) -> None:
    length = reply.headers.get("Content-Length")
    total = kept + int(length) if length is not None else None
    done = kept
    progress(file, done, total)
    with part.open("ab" if kept else "wb") as out:
        while chunk := reply.read(CHUNK):
            out.write(chunk)
            done += len(chunk)
            progress(file, done, total)
    if total is not None and done < total:
        raise _FetchError(f"cut off after {done} of {total} bytes. run again: it goes on where it stopped")


def _write_pairs(data_dir: Path) -> list[Path]:
    """Make the pair lists, which nobody hosts, from the labels that have just arrived."""
    labels = [read_idx(originals.read("sound_mnist", data_dir, name), name) for name in pairs.LABELS]
    written = []
    for name, make in (("av6_pairs.csv", pairs.av6_pairs), ("smil_pairs.csv", pairs.smil_pairs)):
        path = data_dir / "sound_mnist" / name
        part = path.with_name(f"{name}.part")
        part.write_text(make(*labels), encoding="ascii", newline="\n")
        problem = _problem("sound_mnist", part, originals.SHA256["sound_mnist"][name])
        if problem:
            part.unlink()
            raise DataError(
                f"{name}: {problem}; made from the labels with another numpy stream than the published list"
            )
        part.replace(path)
        written.append(path)
    return written
