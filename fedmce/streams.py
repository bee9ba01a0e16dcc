"""Named random streams: one root seed, one independent stream per purpose, site and sample.

A stream is found by hashing its name, so no generator is carried around and adding a site, a round or
a purpose moves no other stream.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def stream_seed(seed: int, *name: str | int) -> int:
    """A 63-bit seed for the stream called ``name`` under the root ``seed``."""
    text = "/".join([str(seed), *(str(part) for part in name)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *name: str | int) -> np.random.Generator:
    """The numpy generator of the stream called ``name``, e.g. ``("av_digits", "split", site)``."""
    digest = hashlib.sha256("\0".join(str(part) for part in name).encode()).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))


def keyed_uniforms(
    seed: int, purpose: str, site: str, keys: Sequence[str], columns: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Uniform numbers in [0, 1), each a function of its own (site, key, column) alone.

    Returns:
        float64 ``(len(keys), len(columns))``. Reordering, adding or removing keys or columns moves
        the rows and columns but changes no number.
    """
    drawn = [[stream_seed(seed, purpose, site, key, column) for column in columns] for key in keys]
    return np.asarray(drawn, dtype=np.float64).reshape(len(keys), len(columns)) / 2.0**63
