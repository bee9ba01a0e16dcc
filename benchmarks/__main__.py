"""``make bench``: measure, print a table, write ``runs/bench.json``; exit 1 if a goal was missed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")


def main() -> int:
    """Run all benchmarks."""
    from benchmarks.overhead import engine_overhead
    from benchmarks.steps import step_ratio

    rows = [*engine_overhead(), *step_ratio()]
    path = Path("runs/bench.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    width = max(len(r["name"]) for r in rows)
    for r in rows:
        print(
            f"{r['name']:<{width}}  {r['value']:>9.3f} {r['unit']:<5}  goal <= {r['goal']:g}  {'ok' if r['ok'] else 'MISSED'}"
        )
    print(f"written to {path}")
    return 0 if all(r["ok"] for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
