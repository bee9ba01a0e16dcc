"""Figures of ``result.json`` that follow from its scores and the record: robustness, evenness, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedmce.metrics import deployed, drops, equity, learning_imbalance, pattern_shares, site_means, spread
from fedmce.record.part import Part, Score
from fedmce.record.scored import Fairness, Metrics
from fedmce.record.writer import Row

OTHER = "other"  # bytes that belong to no component: orders, reports, tables of values


class Deployment(Part):
    """Scores where patterns occur as often as in the training rows.

    Attributes:
        score: over the patterns of all sites.
        covered: share of these patterns whose score is known.
        shares: pi(S).
        per_site: each site's scores over its own patterns; those of all sites where it has no training row.
    """

    score: Score
    covered: float
    shares: dict[str, float]
    per_site: dict[str, Score]


class Robustness(Part):
    """What a reader who loses modalities, or is one site of many, must expect; from the test scores."""

    drop: dict[str, Score]
    relative_drop: dict[str, Score]
    deploy: Deployment | None
    fairness: dict[str, Fairness]


class Evenness(Part):
    """Whether all modalities matter and all encoders learn (:mod:`fedmce.metrics.evenness`)."""

    equity: dict[str, Score]
    equity_received: dict[str, Score]
    update_size: dict[str, float]
    learning_imbalance: Score


class Traffic(Part):
    """Bytes of message contents in the whole run."""

    down: int
    up: int


class Seconds(Part):
    """Wall seconds of one site in the whole run."""

    train_s: float
    evaluate_s: float


class Cost(Part):
    """Bytes and seconds of the whole run; ``other`` and the components add up to the bytes of all messages."""

    bytes_by_component: dict[str, Traffic]
    bytes_by_site: dict[str, Traffic]
    bytes_per_round: float | None
    seconds_by_site: dict[str, Seconds]


def robustness(metrics: Metrics, patterns: Mapping[str, Mapping[str, int] | None], full: str) -> Robustness:
    """Drops, the deployment mean and the spread over sites.

    Args:
        metrics: final scores.
        patterns: per site, training rows by pattern; None where sites do not tell them.
        full: name of the subset of all modalities.
    """
    lost, relative = drops(metrics.per_subset, full)
    deploy = _deployment(metrics, patterns)
    tables = {"mean_subset": site_means(metrics.per_site)} | ({"deploy": deploy.per_site} if deploy else {})
    fairness = {name: Fairness.model_validate(spread(table)) for name, table in tables.items()}
    return Robustness(drop=lost, relative_drop=relative, deploy=deploy, fairness=fairness)


def _deployment(metrics: Metrics, patterns: Mapping[str, Mapping[str, int] | None]) -> Deployment | None:
    told = {site: rows for site, rows in patterns.items() if rows is not None}
    shares = pattern_shares(told.values())
    if not shares or len(told) < len(patterns):
        return None
    whole = deployed(metrics.per_subset, shares)
    own = {site: pattern_shares([told.get(site, {})]) or shares for site in metrics.per_site}
    per_site = {site: deployed(table, own[site]).score for site, table in metrics.per_site.items()}
    return Deployment(score=whole.score, covered=whole.covered, shares=shares, per_site=per_site)


def evenness(contributions: Mapping[str, Score], received: Mapping[str, Score], rounds: Sequence[Row]) -> Evenness:
    """Equity of contributions on test rows and on the rows of their source, and imbalance of updates.

    Args:
        contributions: of the final model on test rows.
        received: on the rows of their source.
        rounds: ``round`` events.
    """
    moved = [{s: reply["update_size"] for s, reply in r["sites"].items() if reply.get("update_size")} for r in rounds]
    sizes, imbalance = learning_imbalance(moved)
    return Evenness(
        equity=equity(contributions),
        equity_received=equity(received),
        update_size=sizes,
        learning_imbalance=imbalance,
    )


def cost(record: Sequence[Row]) -> Cost:
    """Bytes by component and site, seconds by site, from ``profile``, ``round`` and ``scoring`` events."""
    components: dict[str, dict[str, int]] = {}
    sites: dict[str, dict[str, int]] = {}
    seconds: dict[str, dict[str, float]] = {}
    rounds: list[int] = []
    for row in record:
        if row["event"] == "round":
            rounds.append(sum(reply["bytes_down"] + reply["bytes_up"] for _, reply in _replies(row)))
        for site, reply in _replies(row):
            for way in ("down", "up"):
                whole, parts = reply[f"bytes_{way}"], reply.get(f"bytes_{way}_by_component") or {}
                for name, count in {**parts, OTHER: whole - sum(parts.values())}.items():
                    _add(components.setdefault(name, {"down": 0, "up": 0}), way, count)
                _add(sites.setdefault(site, {"down": 0, "up": 0}), way, whole)
            for key in ("train_s", "evaluate_s"):
                _add(seconds.setdefault(site, {}), key, reply.get(key) or 0.0)
    return Cost(
        bytes_by_component={name: Traffic(**ways) for name, ways in sorted(components.items())},
        bytes_by_site={site: Traffic(**ways) for site, ways in sorted(sites.items())},
        bytes_per_round=sum(rounds) / len(rounds) if rounds else None,
        seconds_by_site={site: Seconds(**table) for site, table in sorted(seconds.items())},
    )


def _replies(row: Row) -> list[tuple[str, dict[str, Any]]]:
    if row["event"] == "profile":
        return [(row["site"], row)]
    return list(row["sites"].items()) if row["event"] in ("round", "scoring") else []


def _add(table: dict[str, Any], key: str, value: float) -> None:
    table[key] = table.get(key, 0) + value
