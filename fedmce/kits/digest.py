"""The digest that binds a site to a plan (reliability: P9, T20); that of the code is in :mod:`fedmce.kits.app_code`."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from fedmce.config.load import config_from_tree
from fedmce.config.schema import RunConfig

ELSEWHERE = ("name", "out", "data_dir", "engine", "sites")  # where and by whom a plan is run, not what is run


def travelling(plan: RunConfig) -> RunConfig:
    """A plan as a site gets it: without the operator's folders and without the other sites' names.

    Raises:
        ConfigError: the plan cannot do without them, such as ``dataset=folders`` that names no modality.
    """
    tree = plan.model_dump(mode="json") | {"out": None, "data_dir": None, "sites": None}
    if tree["dataset"]["name"] == "folders":
        tree["dataset"]["path"] = None
    return config_from_tree(tree, "plan")


def plan_digest(plan: RunConfig) -> str:
    """sha256 of what a site agrees to: all of the plan but its name, places, engine and the list of sites.

    Unlike :meth:`RunConfig.fingerprint` it is the same before and after a server has written the sites that came
    into the configuration that travels.
    """
    tree: dict[str, Any] = plan.model_dump(mode="json", exclude=set(ELSEWHERE))
    if tree["dataset"]["name"] == "folders":
        tree["dataset"]["path"] = None
    return hashlib.sha256(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
