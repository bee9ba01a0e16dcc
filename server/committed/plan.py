"""``run.json``: what the run was planned as, which a resumed run must still be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmce.durable import Files, write_durably
from fedmce.errors import StateError
from server.committed.manifest import SCHEMA, canonical, sha256

NAME = "run.json"
MAY_CHANGE = ("exchange.",)
"""How long the server waits, and for whom, may be chosen anew: a run that stopped for want of sites needs that."""
Changes = dict[str, tuple[Any, Any]]


@dataclass(frozen=True)
class RunFile:
    """What does not change over the processes of one run.

    Attributes:
        run: id of the run.
        plan: everything that decides the numbers.
        versions: of the libraries at its start.
    """

    run: str
    plan: dict[str, Any]
    versions: dict[str, str]

    @property
    def plan_sha256(self) -> str:
        """Digest of the plan."""
        return sha256(canonical(self.plan))

    def write(self, folder: Path, files: Files) -> None:
        """Write ``run.json``, once."""
        write_durably(
            files, folder / NAME, canonical(self._tree() | {"sha256": sha256(canonical(self._tree()))}) + b"\n"
        )

    def _tree(self) -> dict[str, Any]:
        tree = {"schema": SCHEMA, "run": self.run, "plan": self.plan, "seed": self.plan.get("seed")}
        return tree | {"plan_sha256": self.plan_sha256, "versions": self.versions}

    @classmethod
    def read(cls, folder: Path, files: Files) -> RunFile | None:
        """What an earlier process wrote; None if there is nothing.

        Raises:
            StateError: damaged.
        """
        path = folder / NAME
        if files.kind(path) is None:
            return None
        try:
            tree = json.loads(files.read(path))
            found = cls(str(tree["run"]), dict(tree["plan"]), dict(tree["versions"]))
            whole = tree.pop("sha256") == sha256(canonical(tree)) and tree == found._tree()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StateError(f"{path}: cannot be read ({error}); needed the file as the run wrote it") from error
        if not whole:
            raise StateError(f"{path}: does not fit its checksum; needed the file as the run wrote it")
        return found


def check_plan(old: Mapping[str, Any], new: Mapping[str, Any], committed: int = 0) -> Changes:
    """What of the plan was changed, if all of it may be.

    Args:
        old: plan of the run.
        new: plan to go on with.
        committed: rounds committed so far.

    Returns:
        Old and new value by key, dots between names.

    Raises:
        StateError: a key differs that decides the numbers; every one is named.
    """
    before, after = dict(_flat(old)), dict(_flat(new))
    nothing = object()
    changes = {
        key: (before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key, nothing) != after.get(key, nothing)
    }
    refused = [key for key in changes if not _may_change(key, changes[key], committed)]
    if refused:
        shown = "; ".join(f"{key}: {changes[key][0]!r} -> {changes[key][1]!r}" for key in refused)
        raise StateError(
            f"plan: differs from the run's own in {len(refused)} key(s): {shown}. needed the plan that the run began "
            "with; only rounds may grow, and keys of exchange may change. start a new run for another plan"
        )
    return changes


def _may_change(key: str, values: tuple[Any, Any], committed: int) -> bool:
    if key == "rounds":
        old, new = values
        return isinstance(old, int) and isinstance(new, int) and new >= max(old, committed)
    return key.startswith(MAY_CHANGE)


def _flat(tree: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping) and tree:
        for name, value in tree.items():
            yield from _flat(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, list(tree) if isinstance(tree, tuple) else tree
