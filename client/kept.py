"""What a deployed site keeps from round to round, on its own disk.

Flower's state of a node dies with the SuperNode, and a run that is resumed is a new run to Flower. Private components
and an objective's memory would be lost, so they are written down per round: a round that is asked again, because the
server lost it, starts from what the site knew before it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from dataclasses import asdict
from pathlib import Path

from client.site_log import log_line
from fedmce.durable import Disk, write_durably
from fedmce.flower_compat import ConfigRecord, RecordDict, pack_records, unpack_records
from fedmce.folders.digests import split_changed
from fedmce.folders.fingerprint import FolderFingerprint, Stamp
from fedmce.site_errors import SiteError
from fedmce.wire import text_sha256

TAG = "kept"  # record in Flower's state: the round after which it was kept
SUFFIX = ".kept"
DIGEST = 16  # bytes at the end of a file
CHANGEABLE = ("rounds", "exchange")  # of a configuration, on resume
ROUNDS_KEPT = 3  # of a resumed run the last is asked again, or, after a power cut, the one before
PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")


def run_name(config: str) -> str:
    """Name of a run for what a site keeps of it: a resumed run may have more rounds and other deadlines."""
    tree = {key: value for key, value in json.loads(config).items() if key not in CHANGEABLE}
    return text_sha256(json.dumps(tree, sort_keys=True, separators=(",", ":")))[:32]


class Kept:
    """The folder ``kept/<run>/<site>`` of a site's home.

    Args:
        home: the site's home.
        config: of the run, as it travels; what of it cannot change when the run is resumed names the run.
        site: the site's name.
    """

    def __init__(self, home: Path, config: str, site: str) -> None:
        name = site if PLAIN.fullmatch(site) else text_sha256(site)[:32]
        self.folder = home / "kept" / run_name(config) / name
        self._log, self._disk = home / "log" / "site.log", Disk()

    def before(self, last: int, state: RecordDict) -> RecordDict:
        """What the site knew after round ``last`` or, if it was not there, after an earlier one.

        Args:
            last: a round that is asked again must not see itself.
            state: Flower's, used where the disk has nothing.
        """
        for number in sorted((n for n in self._rounds() if n <= last), reverse=True):
            if (found := self._read(number)) is not None:
                return found
        told = state.config_records.get(TAG)
        return state if told is not None and int(str(told["round"])) <= last else RecordDict()

    def keep(self, number: int, state: RecordDict) -> None:
        """Write down what the site knows after a round, whole or not at all; nothing if it knows nothing.

        Raises:
            OSError: the disk is full or gone.
        """
        if not set(state) - {TAG}:
            return
        state[TAG] = ConfigRecord({"round": number})
        self._make()
        packed = pack_records(state)
        write_durably(self._disk, self._file(number), packed + _digest(packed))
        rounds = self._rounds()
        # A later round is of a history that the server has dropped; it asked for this one again.
        for old in [n for n in rounds if n > number] + sorted(n for n in rounds if n <= number)[:-ROUNDS_KEPT]:
            self._disk.remove(self._file(old))

    def check_data(self, data: Path, is_profile: bool) -> None:
        """Compare the site folder with what it was when the site said what it holds.

        Raises:
            SiteError: ``data_changed`` or ``data_unavailable``; the folder may come back, and is then taken again.
        """
        note = self.folder / "data.json"
        before = None if is_profile else _fingerprint_in(note)
        if before is None:
            try:
                now = FolderFingerprint.take(data)
            except OSError as error:
                raise SiteError("data_unavailable", f"{data}: {error}; needed the site folder") from error
            self._make()
            files = {name: asdict(stamp) for name, stamp in now.files.items()}
            write_durably(self._disk, note, json.dumps(files).encode())
        elif (change := before.changed(data)) is not None:
            raise SiteError(change.code, f"{data}: " + "; ".join(str(finding) for finding in change.findings))

    def check_splits(self, number: int, digest: str) -> None:
        """Compare the splits with those of the round before; round 1 begins a run and with it its splits.

        Args:
            number: of the round that is asked.
            digest: of sample ids and splits as they are now.

        Raises:
            SiteError: ``data_changed``: a row that was held out may train now, or the reverse.
        """
        note = self.folder / "splits"
        if number > 1 and note.is_file():
            if (finding := split_changed(note.read_text().strip(), digest)) is not None:
                raise SiteError("data_changed", str(finding))
            return
        self._make()
        write_durably(self._disk, note, f"{digest}\n".encode())

    def _make(self) -> None:
        # One by one: of several that are made at once only the last gets the mode.
        for folder in (*reversed(list(self.folder.parents)[:3]), self.folder):
            folder.mkdir(mode=0o700, exist_ok=True)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06d}{SUFFIX}"

    def _rounds(self) -> list[int]:
        names = self._disk.names(self.folder) if self.folder.is_dir() else []
        return [
            int(stem) for name in names if name.endswith(SUFFIX) and (stem := name.removesuffix(SUFFIX)).isdecimal()
        ]

    def _read(self, number: int) -> RecordDict | None:
        try:
            data = self._disk.read(self._file(number))
            packed = data[:-DIGEST]
            if data[-DIGEST:] == _digest(packed):
                return unpack_records(packed)
        except (OSError, ValueError):
            pass
        log_line(self._log, logging.WARNING, f"{self._file(number)}: damaged; going on from an earlier round")
        return None


def _digest(packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=DIGEST).digest()


def _fingerprint_in(note: Path) -> FolderFingerprint | None:
    try:
        tree = json.loads(note.read_text(encoding="utf-8"))
        return FolderFingerprint({name: Stamp(**stamp) for name, stamp in tree.items()})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
