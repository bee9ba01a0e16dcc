"""Where the weights of a run come from: who counted, who claimed, and what was cut."""

from __future__ import annotations

from typing import Any

import yaml

from fedmce.report.story import Row, Story
from fedmce.report.words import counted, listed

ROWS = "rows"
CLAIMED = {
    "received": "the site's claim, from its training rows",
    "heldout": "the site's claim, from rows that it held out",
    "server": "what the server measured",
    "earlier": "the site's claim of earlier rounds",
    "mean": "the others' mean",
    "entropy": "one over the entropy that the site claims",
}
VOTES = ("median", "trimmed")


def origins(story: Story) -> dict[str, str]:
    """What the weights of each component rest on, in the last round that had weights; nothing for older records."""
    last = _last(story)
    weighting = _weighting(story)
    if weighting is None or "claims" not in last:
        return {}
    return {component: _origin(component, last, weighting) for component in last["weights"]}


def origin_finding(story: Story) -> str:
    """In sentences: who counted and claimed, what was cut, which rule joined the components."""
    last = _last(story)
    weighting = _weighting(story)
    if weighting is None or "claims" not in last:
        return ""
    texts = [_who_counted(last, weighting), _what_was_cut(last), _how_joined(last)]
    return " ".join(text for text in texts if text)


def _last(story: Story) -> Row:
    return next((row for row in reversed(story.rounds) if row.get("weights")), {})


def _weighting(story: Story) -> str | None:
    try:
        tree: Any = yaml.safe_load(story.config)
        return str(tree["aggregation"]["weighting"])
    except (yaml.YAMLError, TypeError, KeyError):
        return None


def _claims(last: Row, subject: str) -> dict[str, Row]:
    return {site: of[subject] for site, of in last["claims"].items() if subject in of}


def _origin(component: str, last: Row, weighting: str) -> str:
    rule = _rule(component, last)
    if rule.endswith(VOTES):
        return f"one vote each ({rule})"
    claims = _claims(last, component.partition(".")[2] or component)
    sources = list(dict.fromkeys(CLAIMED[claim["source"]] for _, claim in sorted(claims.items())))
    if weighting == "uniform":
        return "an equal part each"
    if not sources:
        return ROWS
    return listed(sources) if weighting == "inverse_entropy" else f"{ROWS} x {listed(sources)}"


def _who_counted(last: Row, weighting: str) -> str:
    votes = [c for c in last["weights"] if _rule(c, last).endswith(VOTES)]
    if len(votes) == len(last["weights"]):
        return "Every holder of a component has one vote, whatever its rows and claims."
    where = (
        f"Every holder has one vote in {counted(len(votes), 'component')}; elsewhere weights" if votes else "Weights"
    )
    if weighting == "uniform":
        return f"{where} are equal parts."
    if weighting == "inverse_entropy":
        return f"{where} rest on the entropy of a site's predictions, which the site itself reports."
    told = sorted({claim["source"] for of in last["claims"].values() for claim in of.values()})
    text = f"{where} rest on the rows that trained a component, counted by the site and at most those of its profile"
    if not told:
        return f"{text}."
    return f"{text}, in components of a modality times its contribution: {listed([CLAIMED[s] for s in told])}."


def _rule(component: str, last: Row) -> str:
    return str((last.get("robust") or {}).get(component, {}).get("rule", ""))


def _what_was_cut(last: Row) -> str:
    claims = [(site, name, c) for site, of in last["claims"].items() for name, c in of.items()]
    cut = [f"{s} ({m})" for s, m, c in claims if c["claimed"] is not None and c["used"] < c["claimed"] * (1 - 1e-9)]
    capped = sorted({site for log in (last.get("robust") or {}).values() for site in log.get("capped", {})})
    text = f"Claims cut to what the other holders' claims allow: {listed(cut)}." if cut else ""
    return f"{text} At the largest share that a site may have: {listed(capped)}.".strip() if capped else text


def _how_joined(last: Row) -> str:
    logs = {component: log for component, log in (last.get("robust") or {}).items() if log.get("rule")}
    if not logs:
        return ""
    rules = sorted({log["rule"] for log in logs.values()})
    shortened = sorted({site for log in logs.values() for site in log.get("cut", {})})
    text = f"{counted(len(logs), 'component')} joined by {listed(rules)}"
    return f"{text}; changes shortened of {listed(shortened)}." if shortened else f"{text}; no change was shortened."
