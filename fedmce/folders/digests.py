"""Pass U, between rounds and sites: whether splits are the same, and whether two sites hold the same data.

The digest of a folder's data is salted by the run, so that what sites tell in one run cannot be looked up in another,
and two sites that hold the same rows still show the same digest in one federation. The server knows the salt: it could
recognise a public data set that it has byte for byte.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fedmce.folders.findings import Finding
from fedmce.folders.layout import SITE_FILE, FolderModality

SALT_LEAST = 16  # bytes


def split_digest(sample_ids: Sequence[str], splits: Sequence[str]) -> str:
    """SHA-256 of all (sample_id, split), whatever the order of rows.

    Args:
        sample_ids: one per row.
        splits: name of the split per row.
    """
    rows = sorted(zip(sample_ids, splits, strict=True))
    digest = hashlib.sha256()
    for name, split in rows:
        for text in (name, split):
            raw = text.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "little") + raw)  # lengths, so that no two lists run together
    return digest.hexdigest()


def split_changed(committed: str, now: str) -> Finding | None:
    """D63 if the splits are not those of the last committed round."""
    if hmac.compare_digest(committed, now):
        return None
    return Finding(
        "D63",
        "",
        "columns sample_id and split",
        f"digest {now[:12]}",
        f"digest {committed[:12]}, as in the last committed round",
        "put the table of that round back, or start a new run; held-out rows would leak",
        True,
    )


def data_digest(files: Iterable[Path]) -> str:
    """SHA-256 of contents, whatever the names and the order of the files.

    Raises:
        OSError: a file cannot be read.
    """
    parts = []
    for path in files:
        with path.open("rb") as file:
            parts.append(hashlib.file_digest(file, "sha256").digest())
    return hashlib.sha256(b"".join(sorted(parts))).hexdigest()


def salted_data_digest(files: Iterable[Path], salt: bytes) -> str:
    """What a site tells of its data so that a twin can be found: HMAC-SHA-256 of :func:`data_digest` under the salt.

    Args:
        files: arrays and files of samples, such as :attr:`~fedmce.folders.check.Report.features` lists.
        salt: drawn by the federation for one run, at least 16 bytes.

    Raises:
        ValueError: a salt that is too short.
        OSError: a file cannot be read.
    """
    if len(salt) < SALT_LEAST:
        raise ValueError(f"salt: given {len(salt)} bytes; needed at least {SALT_LEAST}")
    return hmac.new(salt, data_digest(files).encode(), "sha256").hexdigest()


def twins(digests: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Sites with equal digests, each group in order of names.

    >>> twins({"c": "1", "a": "1", "b": "2"})
    [('a', 'c')]
    """
    by: dict[str, list[str]] = {}
    for site in sorted(digests):
        by.setdefault(digests[site], []).append(site)
    return [tuple(sites) for sites in by.values() if len(sites) > 1]


def twin_finding(site: str, others: Sequence[str]) -> Finding:
    """D60, as each of the sites is told it."""
    return Finding(
        "D60",
        SITE_FILE,
        f"site {site}",
        f"the same data as {', '.join(others)}",
        "data of its own in a federation across sites",
        "use each folder at one site; equal folders are for simulations",
        True,
    )


def batch_bytes(modalities: Mapping[str, FolderModality], rows: int) -> int:
    """Bytes that one batch of all modalities takes as float32, inputs alone."""
    return sum(4 * rows * math.prod(modality.shape) for modality in modalities.values())


def too_large_batch(modalities: Mapping[str, FolderModality], rows: int, available: int) -> Finding | None:
    """D58 if a batch does not fit into memory, inputs alone and twice: as read and as handed to the model.

    Args:
        modalities: of ``site.yaml``.
        rows: per batch.
        available: bytes of memory.
    """
    needed = 2 * batch_bytes(modalities, rows)
    if needed <= available:
        return None
    return Finding(
        "D58",
        "",
        f"batch of {rows} rows",
        f"{needed:,} bytes",
        f"at most the {available:,} bytes that are free",
        "lower training.batch_size, or give the site more memory",
        True,
    )
