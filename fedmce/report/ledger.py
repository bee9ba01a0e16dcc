"""Tables of what passed between server and sites: weights, refusals, bytes, seconds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from fedmce.report.origins import origins
from fedmce.report.story import Row, Story
from fedmce.report.tables import ABSENT, Table
from fedmce.report.words import DASH, number, seconds, size


def weights(story: Story) -> Table | None:
    """Weight of each site in each component, last round with weights, and what the weights rest on."""
    last = (story.result or {}).get("weights") or next(
        (r["weights"] for r in reversed(story.rounds) if r.get("weights")), None
    )
    if not last:
        return None
    rows = [[c, *(number(last[c][s]) if s in last[c] else DASH for s in story.sites)] for c in in_order(story, last)]
    head = ["component", *story.sites]
    if told := origins(story):
        rows, head = [[*row, told.get(row[0], DASH)] for row in rows], [*head, "weights rest on"]
    return Table("Weight of each site in the mean of each component, last round", head, rows)


def refused(story: Story) -> Table | None:
    """Replies that were set aside, or None."""
    rows = (story.result or {}).get("refused") or story.refused()
    if not rows:
        return None
    cells = [[str(r["round"]), str(r["site"]), str(r["reason"]), str(r.get("detail") or "")] for r in rows]
    return Table("Replies that were set aside", ["round", "site", "reason", "detail"], cells, prose=True)


def traffic(story: Story) -> Table | None:
    """Bytes to and from all sites, per round and in total; None without rounds."""
    if not story.rounds:
        return None
    each = [
        [str(r["round"]), *(_sum(r["sites"].values(), key) for key in ("bytes_down", "bytes_up"))] for r in story.rounds
    ]
    replies = [reply for r in story.rounds for reply in r["sites"].values()]
    down, up = story.bytes_moved()
    rest = [
        size(total - sum(r.get(key) or 0 for r in replies)) for key, total in (("bytes_down", down), ("bytes_up", up))
    ]
    more = [["profile and scoring", *rest], ["whole run", size(down), size(up)]]
    return Table("Bytes by round (round events)", ["round", "to the sites", "from the sites"], [*each, *more])


def _sum(replies: Iterable[Row], key: str) -> str:
    return size(sum(reply.get(key) or 0 for reply in replies))


def by_component(story: Story) -> Table | None:
    """Bytes in both directions by site and component, summed over all rounds; None without rounds."""
    if not story.rounds:
        return None
    sums = component_bytes(story)
    names = in_order(story, {c for table in sums.values() for c in table} | {f"encoder.{m}" for m in story.modalities})
    rows = [[site, *(_moved(story, site, c, sums[site].get(c, 0)) for c in names)] for site in story.sites]
    return Table(
        "Bytes down and up in the whole run, by site and component (round and scoring events)", ["site", *names], rows
    )


def in_order(story: Story, components: Iterable[str]) -> list[str]:
    """Components by modality in data set order, each encoder first; what belongs to no modality last."""
    parts = ("encoder", "projection", "head", "completion")

    def place(component: str) -> tuple[int, int, str]:
        part, _, modality = component.partition(".")
        at = story.modalities.index(modality) if modality in story.modalities else len(story.modalities)
        return at, parts.index(part) if part in parts else len(parts), component

    return sorted(components, key=place)


def _moved(story: Story, site: str, component: str, count: int) -> str:
    lacking = "." in component and story.lacks(site, component.split(".", 1)[1])
    return "0 B" + (f" ({ABSENT})" if lacking else "") if not count else size(count)


def component_bytes(story: Story) -> dict[str, dict[str, int]]:
    """Bytes in both directions: site -> component -> sum over all rounds."""
    sums: dict[str, dict[str, int]] = {site: {} for site in story.sites}
    for row in [*story.rounds, *story.scorings]:
        for site, reply in row["sites"].items():
            for key in ("bytes_down_by_component", "bytes_up_by_component"):
                for component, count in (reply.get(key) or {}).items():
                    table = sums.setdefault(site, {})
                    table[component] = table.get(component, 0) + count
    return sums


def silence_finding(story: Story) -> str:
    """Whether sites without a modality moved any byte of it: the claim that the table proves or refutes."""
    sums = component_bytes(story)
    pairs = [(s, m) for s in story.sites for m in story.modalities if story.lacks(s, m)]
    if not pairs:
        return (
            "Every site holds every modality in at least one training row, so every site takes part in every encoder."
        )
    moved = {
        (s, m): sum(n for c, n in sums.get(s, {}).items() if "." in c and c.split(".", 1)[1] == m) for s, m in pairs
    }
    loud = [f"{s} ({m}, {size(n)})" for (s, m), n in moved.items() if n]
    if loud:
        return f"These sites moved bytes of a modality that they do not hold: {', '.join(loud)}."
    names = ", ".join(f"{s} ({m})" for s, m in pairs)
    return (
        f"Without a single training row of the modality: {names}. To and from these sites the modality's encoder, "
        "projection, head and completion head moved 0 bytes in the whole run."
    )


def timing(story: Story) -> Table | None:
    """Where the time went; None where it was not recorded."""
    final: Row = (story.result or {}).get("timing") or {}
    parts = [r["timing"] for r in story.rounds if r.get("timing")]
    if not final and not parts:
        return None
    names = {
        "total_s": "whole run",
        "train_s": "training, added up over sites",
        "evaluate_s": "evaluation, added up over sites",
        "aggregate_s": "aggregation",
    }
    summed = {key: sum(p.get(key) or 0 for p in parts) for key in names} if parts else {}
    took = summed | ({"total_s": story.end["total_s"]} if story.end and story.end.get("total_s") else {}) | final
    rows = [[label, seconds(took.get(key))] for key, label in names.items()]
    each = [float(p["total_s"]) for p in parts if p.get("total_s") is not None]
    if each:
        rows.append(["one round (median)", seconds(statistics.median(each))])
    return Table("Wall-clock time", ["part", "time"], rows)
