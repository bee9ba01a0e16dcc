"""A state of its own for each site: Harmony's clusters and FedMSplit's attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedmce.aggregation.attention import attention_mix
from fedmce.aggregation.clusters import cluster_means, k_means, relative_distances
from fedmce.config.schema import RunConfig
from fedmce.models import State, component_of, select
from fedmce.objectives.harmony import DISTANCE
from fedmce.objectives.objective import Arrays
from fedmce.streams import generator
from server.gate import Accepted

Personal = dict[str, State]


def has_own(shared: Arrays, site: str) -> bool:
    """Whether a site of Harmony has told of encoders of its own."""
    return f"{DISTANCE}/{site}" in shared


def fusion_by_cluster(
    personal: Personal, shared: Arrays, accepted: Mapping[str, Accepted], config: RunConfig
) -> tuple[Personal, dict[str, Any]]:
    """Harmony's stage 2: the mean fusion of each cluster for all of its sites.

    Clusters are made anew in every round, of sites that ever told their distances: numbers of clusters mean nothing
    from one round to the next, so that no state is kept under them.

    Returns:
        States per site, and the cluster of each for the record.
    """
    prefix = f"{DISTANCE}/"
    told = {key.removeprefix(prefix): value for key, value in shared.items() if key.startswith(prefix)}
    points = relative_distances(told)
    labels = k_means(points, config.aggregation.clusters, generator(config.seed, "clusters"))
    by_site = {site: int(label) for site, label in zip(sorted(told), labels, strict=True)}
    trained = {site: select(r.update, [c for c, rows in r.rows.items() if rows > 0]) for site, r in accepted.items()}
    means = cluster_means(trained, by_site)
    fresh = {site: personal.get(site, {}) | mean for site, mean in means.items()}
    return personal | fresh, {"clusters": by_site}


def mixed_by_attention(personal: Personal, accepted: Mapping[str, Accepted]) -> tuple[Personal, dict[str, Any]]:
    """FedMSplit: every answering site gets its mixture of all that answered.

    Returns:
        States per site, and per component the mean weight that other sites have in a mixture.
    """
    names = {component_of(key) for reply in accepted.values() for key in reply.update}
    held = {
        component: {s: select(r.update, [component]) for s, r in accepted.items() if r.rows.get(component, 0) > 0}
        for component in names
    }
    mix = attention_mix({component: by_site for component, by_site in held.items() if by_site})
    fresh = {site: dict(reply.update) for site, reply in accepted.items()}
    for by_site in mix.states.values():
        for site, state in by_site.items():
            fresh[site] |= state
    return personal | fresh, {"weight_of_others": mix.others}
