"""All that the server must remember of a run, as files of JSON and safetensors, and back to the bit."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from fedmce.aggregation import NormHistory, QualityState
from fedmce.errors import StateError
from fedmce.flower_compat import RecordDict, pack_records, unpack_records
from fedmce.models import EntrySums, FeatureSums, Statistics
from server.roster import RowCounts, SiteProfile
from server.state import GlobalState

Array = npt.NDArray[Any]
Groups = dict[str, dict[str, Array]]
COMMON = ""  # the one group of a flat dict of arrays


@dataclass(frozen=True)
class Snapshot:
    """A run between two rounds.

    Attributes:
        state: model, optimiser, smoothed contributions.
        statistics: of the normalisation, as pooled before the first round.
        profiles: every site of the roster.
        keys: fingerprint of the key of each site's node, where nodes have keys.
        progress: what the round loop remembers, JSON-ready.
        nodes: of a simulation in one process, what each node keeps.
    """

    state: GlobalState
    statistics: dict[str, Statistics]
    profiles: dict[str, SiteProfile]
    keys: dict[str, str] = field(default_factory=dict)
    progress: dict[str, Any] = field(default_factory=dict)
    nodes: dict[int, RecordDict] = field(default_factory=dict)


def to_files(snapshot: Snapshot) -> dict[str, bytes]:
    """Files of a committed round, by name; empty ones are left out."""
    state = snapshot.state
    arrays: dict[str, Groups] = {
        "model": {COMMON: state.model},
        "server_opt": state.optimiser,
        "shared": {COMMON: state.shared},
        "personal": state.personal,
        "roster": _roster_arrays(snapshot),
    }
    there = {name: groups for name, groups in arrays.items() if any(groups.values()) or len(groups) > 1}
    files = {f"{name}.safetensors": save(_named(groups)) for name, groups in there.items()}
    # safetensors sorts its tensors; the order of keys decides the order of rows in the record.
    order = {name: {group: list(keys) for group, keys in groups.items()} for name, groups in there.items()}
    files["arrays.json"] = _json(order)
    files["contributions.json"] = _json(
        {
            "sums": state.quality.sums,
            "rows": state.quality.rows,
            "norms": state.norms.to_json(),
        }
    )
    profiles = {site: _profile_tree(profile) for site, profile in snapshot.profiles.items()}
    files["roster.json"] = _json({"sites": profiles, "keys": snapshot.keys, "progress": snapshot.progress})
    if any(snapshot.nodes.values()):
        packed = {node: base64.b64encode(pack_records(kept)).decode() for node, kept in snapshot.nodes.items()}
        files["nodes.json"] = _json(packed)
    return files


def from_files(files: Mapping[str, bytes], round_number: int) -> Snapshot:
    """Inverse of :func:`to_files`.

    Raises:
        StateError: another layout.
    """
    try:
        order = json.loads(files["arrays.json"])
        arrays = {name: _grouped(load(files[f"{name}.safetensors"]), keys) for name, keys in order.items()}
        told, roster = json.loads(files["contributions.json"]), json.loads(files["roster.json"])
        sums = {s: {m: (own, due) for m, (own, due) in pairs.items()} for s, pairs in told["sums"].items()}
        state = GlobalState(
            round=round_number,
            model=arrays["model"][COMMON],
            quality=QualityState(sums, told["rows"]),
            shared=arrays.get("shared", {}).get(COMMON, {}),
            optimiser=arrays.get("server_opt", {}),
            personal=arrays.get("personal", {}),
            norms=NormHistory.from_json(told["norms"]),
        )
        flat = arrays.get("roster", {})
        return Snapshot(
            state,
            {m: _statistics(flat[f"statistics/{m}"]) for m in _after(flat, "statistics")},
            {site: _profile(site, tree, flat) for site, tree in roster["sites"].items()},
            roster["keys"],
            roster["progress"],
            {
                int(n): unpack_records(base64.b64decode(p))
                for n, p in json.loads(files.get("nodes.json", b"{}")).items()
            },
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise StateError(
            f"committed round {round_number}: {type(error).__name__}: {error}; needed the layout of this program. resume "
            "with the version that wrote it"
        ) from error


def _named(groups: Groups) -> dict[str, Array]:
    """Arrays under names that are unique over groups."""
    found = {f"{group}::{key}" if group else key: v for group, arrays in groups.items() for key, v in arrays.items()}
    assert len(found) == sum(len(arrays) for arrays in groups.values()), "two arrays of one name"
    return found


def _grouped(flat: Mapping[str, Array], order: Mapping[str, list[str]]) -> Groups:
    return {group: {key: flat[f"{group}::{key}" if group else key] for key in keys} for group, keys in order.items()}


def _roster_arrays(snapshot: Snapshot) -> Groups:
    found: Groups = {}
    for name, s in snapshot.statistics.items():
        found[f"statistics/{name}"] = {"mean": s.mean, "std": s.std} | (
            {"blank": s.blank} if s.blank is not None else {}
        )
    for site, profile in snapshot.profiles.items():
        for name, sums in profile.sums.items():
            found[f"sums/{site}/{name}"] = {
                part: np.asarray(getattr(sums, part)) for part in ("total", "square", "count")
            }
        for name, entries in profile.entries.items():
            found[f"entries/{site}/{name}"] = {part: np.asarray(getattr(entries, part)) for part in ("total", "count")}
    return found


def _after(groups: Groups, *path: str) -> list[str]:
    start = "/".join(path) + "/"
    return [group.removeprefix(start) for group in groups if group.startswith(start)]


def _statistics(arrays: Mapping[str, Array]) -> Statistics:
    return Statistics(arrays["mean"], arrays["std"], arrays.get("blank"))


def _profile_tree(profile: SiteProfile) -> dict[str, Any]:
    plain = ("node_id", "rows", "validation_rows", "test_rows", "rows_by_modality", "data")
    return {name: getattr(profile, name) for name in plain} | {
        "class_rows": list(profile.class_rows),
        "train": _counts_tree(profile.train),
        "heldout": _counts_tree(profile.heldout) if profile.heldout is not None else None,
    }


def _profile(site: str, tree: Mapping[str, Any], arrays: Groups) -> SiteProfile:
    return SiteProfile(
        site=site,
        node_id=tree["node_id"],
        rows=tree["rows"],
        validation_rows=tree["validation_rows"],
        rows_by_modality=tree["rows_by_modality"],
        train=_counts(tree["train"]),
        heldout=_counts(tree["heldout"]) if tree["heldout"] is not None else None,
        class_rows=tuple(tree["class_rows"]),
        sums={m: FeatureSums(**arrays[f"sums/{site}/{m}"]) for m in _after(arrays, "sums", site)},
        test_rows=tree["test_rows"],
        entries={m: EntrySums(**arrays[f"entries/{site}/{m}"]) for m in _after(arrays, "entries", site)},
        data=tree["data"],
    )


def _counts_tree(counts: RowCounts) -> dict[str, Any]:
    patterns = None if counts.patterns is None else [[code, n] for code, n in counts.patterns.items()]
    beside = {f.name: getattr(counts, f.name) for f in fields(counts) if f.name not in ("patterns", "sizes")}
    return {"patterns": patterns, "sizes": [[m, size, n] for (m, size), n in counts.sizes.items()], **beside}


def _counts(tree: Mapping[str, Any]) -> RowCounts:
    patterns = None if tree["patterns"] is None else dict(tree["patterns"])
    beside = {name: n for name, n in tree.items() if name not in ("patterns", "sizes")}
    return RowCounts(patterns, {(m, size): n for m, size, n in tree["sizes"]}, **beside)


def _json(tree: Any) -> bytes:
    """Keys in their order, floats to the bit."""
    return json.dumps(tree, default=lambda number: number.item()).encode()
