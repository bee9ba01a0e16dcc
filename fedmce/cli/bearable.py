"""What a robust rule bears, as lines of text before the first round."""

from __future__ import annotations

from typing import Any

SHOWN = 40


def bearable_lines(row: dict[str, Any]) -> list[str]:
    """The table of a ``start`` event, weakest components first, and a line per warning; nothing without a robust rule.

    Args:
        row: a row of the record (docs/record.md).
    """
    told = row.get("bearable") or []
    if row["event"] != "start" or not told:
        return []
    cells = [["component", "holders", "rule", "liars it bears"]]
    cells += [[str(of[key]) for key in ("component", "holders", "rule", "liars")] for of in told[:SHOWN]]
    widths = [max(len(line[i]) for line in cells) for i in range(4)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    if len(told) > SHOWN:
        lines.append(f"and {len(told) - SHOWN} components more, in record.jsonl")
    by_text: dict[str, list[str]] = {}
    for of in told:
        if of["warning"]:
            by_text.setdefault(of["warning"], []).append(of["component"])
    return lines + [f"warning: {', '.join(names)}: {text}" for text, names in by_text.items()]
