"""Compare the method presets on real data: same masks, splits and rows per seed, paired statistics.

Each preset's step size is chosen by validation from one small grid on tuning seeds that the comparison
does not use; the comparison then runs ten other seeds and reports test scores. Cells are kept in a JSON
lines file, so the command goes on where it stopped::

    python -m benchmarks.presets --data-dir DIR --out runs/presets

writes ``cells.jsonl``, ``table.md`` and ``table.json`` there. About an hour on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.study import LAST_ROUND_ONLY, TUNING_SEEDS, Setting, best_step, mean, paired, train
from simulations.study.pool import Failure, work_off

METHODS = ("fedavg_zero", "fedavg_owner", "modality_dropout", "fedmce")
SEEDS = tuple(range(10))


@dataclass(frozen=True)
class Protocol(Setting):
    """A setting, and the step sizes to choose from, the same for every preset."""

    grid: tuple[float, ...]


PROTOCOLS = (
    Protocol(
        "sound_mnist",
        ("dataset=sound_mnist", "dataset.train_rows=100", "rounds=30"),
        "audio",
        (0.002, 0.004, 0.008, 0.016),
    ),
    Protocol(
        "sound_mnist_rare",
        (
            "dataset=sound_mnist",
            "dataset.train_rows=100",
            "rounds=30",
            "missingness.reversed_sites=0",
            "missingness.holders={audio: 2}",
            "missingness.rates={image: 0.2, audio: 0.2}",
        ),
        "audio",
        (0.002, 0.004, 0.008, 0.016),
    ),
    Protocol("heart_disease", ("dataset=heart_disease", "rounds=30"), "imaging", (0.0005, 0.001, 0.002, 0.004)),
)


@dataclass(frozen=True)
class Cell:
    """One run: where, how, with which step size and seed."""

    protocol: str
    method: str
    lr: float
    seed: int

    @property
    def key(self) -> str:
        """Name in the cell file."""
        return f"{self.protocol}/{self.method}/{self.lr:g}/{self.seed}"


def run_cell(cell: Cell, data_dir: str, extra: tuple[str, ...]) -> dict[str, Any]:
    """Run one cell in this process and keep its scores."""
    from fedmce.record import read_result

    protocol = next(p for p in PROTOCOLS if p.name == cell.protocol)
    own = (f"method={cell.method}", f"training.lr={cell.lr}", f"seed={cell.seed}", f"data_dir={json.dumps(data_dir)}")
    with tempfile.TemporaryDirectory() as folder:
        train((*protocol.overrides, *own, LAST_ROUND_ONLY, *extra), Path(folder))
        result = read_result(Path(folder))
    metrics = result.metrics
    assert metrics.validation is not None
    return asdict(cell) | {
        "key": cell.key,
        "validation": metrics.validation.mean_subset,
        "mean_subset": metrics.mean_subset,
        "per_subset": metrics.per_subset,
        "secondary": {name: mean(scores.values()) for name, scores in metrics.secondary.items()},
        "masks_sha256": result.masks_sha256,
        "seconds": result.timing.total_s,
    }


def run_cells(
    cells: list[Cell], path: Path, data_dir: str, extra: tuple[str, ...], workers: int
) -> dict[str, dict[str, Any]]:
    """Run the cells that the file does not hold yet; a cell that fails loses only itself."""
    done = {row["key"]: row for row in _rows(path)}
    todo = [cell for cell in cells if cell.key not in done]
    settled = 0

    def settle(cell: Cell, row: dict[str, Any] | Failure) -> None:
        nonlocal settled
        settled += 1
        if isinstance(row, Failure):
            print(f"[{settled}/{len(todo)}] {cell.key} failed: {row.reason}", flush=True)
            return
        done[cell.key] = row
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"[{settled}/{len(todo)}] {cell.key}: {row['mean_subset']:.3f} ({row['seconds']:.0f} s)", flush=True)

    work_off(lambda: todo, partial(run_cell, data_dir=data_dir, extra=extra), settle, workers)
    return done


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def best_rates(done: dict[str, dict[str, Any]], protocol: Protocol) -> dict[str, float]:
    """Step size per method with the best mean validation score over the tuning seeds."""
    best = {}
    for method in METHODS:
        scores = {}
        for lr in protocol.grid:
            rows = [done.get(Cell(protocol.name, method, lr, seed).key) for seed in TUNING_SEEDS]
            scores[lr] = [row["validation"] for row in rows if row is not None]
        step = best_step(scores)
        if step is None:
            raise SystemExit(f"{protocol.name}/{method}: no tuning run is there; look above for why, and start again")
        best[method] = step
    return best


def tabulate(done: dict[str, dict[str, Any]], seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    """One row per protocol and method: scores, and fedmce minus the method, paired by seed."""
    table = []
    for protocol in PROTOCOLS:
        rates = best_rates(done, protocol)
        runs = {m: [done[Cell(protocol.name, m, rates[m], seed).key] for seed in seeds] for m in METHODS}
        for method in METHODS:
            rows, ours = runs[method], runs["fedmce"]
            assert [r["masks_sha256"] for r in rows] == [r["masks_sha256"] for r in ours], (
                "the pairs do not share masks"
            )
            whole, rare = [r["mean_subset"] for r in rows], [r["per_subset"][protocol.rare] for r in rows]
            entry = {"protocol": protocol.name, "method": method, "lr": rates[method], "seeds": len(rows)}
            entry |= {
                "mean_subset": sum(whole) / len(whole),
                "rare": sum(rare) / len(rare),
                "rare_subset": protocol.rare,
            }
            entry["secondary"] = {k: mean(r["secondary"][k] for r in rows) for k in rows[0]["secondary"]}
            if method != "fedmce":
                entry["fedmce_minus"] = asdict(paired([r["mean_subset"] for r in ours], whole))
                entry["fedmce_minus_rare"] = asdict(paired([r["per_subset"][protocol.rare] for r in ours], rare))
            table.append(entry)
    return table


def markdown(table: list[dict[str, Any]]) -> str:
    """The table as Markdown."""
    lines = [
        "| data, protocol | preset | step size | mean of subsets | rare modality alone | pooled AUC, mean of subsets "
        "| fedmce minus it: mean of subsets | fedmce minus it: rare modality alone |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in table:
        gaps = [row.get("fedmce_minus"), row.get("fedmce_minus_rare")]
        shown = [f"{g['mean']:+.3f} [{g['low']:+.3f}, {g['high']:+.3f}]" if g else "" for g in gaps]
        pooled = row["secondary"].get("auc_pooled")
        cells = [
            row["protocol"],
            f"`{row['method']}`",
            f"{row['lr']:g}",
            f"{row['mean_subset']:.3f}",
            f"{row['rare']:.3f} ({row['rare_subset']})",
            "" if pooled is None else f"{pooled:.3f}",
            *shown,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Tune, compare, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/presets"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[p.name for p in PROTOCOLS], help="protocols to run")
    parser.add_argument("--set", nargs="*", default=[], dest="extra", help="overrides for all cells")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    path, extra = args.out / "cells.jsonl", tuple(args.extra)
    chosen = [p for p in PROTOCOLS if p.name in args.only]
    grid = [Cell(p.name, m, lr, s) for p in chosen for s in TUNING_SEEDS for m in METHODS for lr in p.grid]
    done = run_cells(grid, path, args.data_dir, extra, args.workers)
    rates = {p.name: best_rates(done, p) for p in chosen}
    final = [Cell(p.name, m, rates[p.name][m], s) for s in SEEDS for p in chosen for m in METHODS]
    done = run_cells(final, path, args.data_dir, extra, args.workers)
    if len(chosen) == len(PROTOCOLS):
        table = tabulate(done, SEEDS)
        (args.out / "table.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
        (args.out / "table.md").write_text(markdown(table), encoding="utf-8")
        print(markdown(table))


if __name__ == "__main__":
    main()
