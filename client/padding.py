"""One size for all replies to the same grant: the numbers of a report tell how many patterns and rows a site has."""

from __future__ import annotations

from collections.abc import Mapping

from fedmce.flower_compat import ArrayRecord, ConfigRecord, MetricRecord, RecordDict, pack_records
from fedmce.wire import REPORT, STAMP

PAD = "pad"  # in the stamp; nobody reads it
QUANTUM = 16 * 1024  # holds the report of some four modalities; the gate allows 64 KiB beyond what is expected
MOST_TRIES = 8

Records = Mapping[str, ArrayRecord | MetricRecord | ConfigRecord]


def pad(records: Records) -> None:
    """Fill up the stamp so that report and stamp together have a multiple of :data:`QUANTUM` bytes on the wire.

    Arrays have the size of what the site was given, so they need none.

    Args:
        records: of the reply; its stamp is changed.
    """
    stamp = records[STAMP]
    assert isinstance(stamp, ConfigRecord)
    small = RecordDict({REPORT: records[REPORT], STAMP: stamp})
    stamp[PAD] = b""
    target = (len(pack_records(small)) // QUANTUM + 1) * QUANTUM
    length, tries = 0, 0
    while (missing := target - len(pack_records(small))) != 0:
        tries += 1
        if tries % MOST_TRIES == 0:  # the length of the length grew just here, and no filling meets this target
            target += QUANTUM
        length = max(length + missing, 0)
        stamp[PAD] = bytes(length)
