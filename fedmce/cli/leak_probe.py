"""Body of ``fedmce leak-probe``."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from fedmce.cli.door import print_json
from fedmce.config.privacy import PrivacyConfig
from fedmce.errors import ConfigError
from fedmce.privacy.probe import Cell, Probe, ProbeResult, limits, run_probe

NAMES = {
    "read_out": "rows recovered from the first layer",
    "some_row": "runs in which some row is recovered",
    "membership": "members told from others (0.5 = guessing)",
    "accuracy": "accuracy of the mean of the sites",
    "own_rows": "rows recovered from encoder.image of our network",
    "own_tokens": "tokens recovered from head.image of our network",
}


def probe(rows: str, noise: str, seeds: int, device: str, out: Path | None, *, as_json: bool = False) -> ProbeResult:
    """Measure, print tables and, with ``out``, write JSON and a picture.

    Raises:
        ConfigError: rows or noise are no such numbers, or there is no such device.
    """
    from fedmce.cli.compose import load_config

    floors = load_config(["privacy=floors"]).privacy
    wanted = Probe(_counts(rows), _spreads(noise), seeds, floors, _device(device))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # what cannot be written is told before minutes of work, not after
    result = run_probe(wanted, lambda text: typer.echo(f"{text} ...", err=True))
    if as_json:
        print_json(result.to_json())
    else:
        typer.echo("\n\n".join([*_tables(result), _judged(result, floors)]))
    if out is not None:
        from fedmce.report.leaks import draw_leaks

        text = json.dumps(result.to_json(), indent=1) + "\n"
        (out / "leak_probe.json").write_text(text, encoding="utf-8")
        draw_leaks(result.to_json(), out / "leak_probe.png")
        typer.echo(f"{out / 'leak_probe.json'}\n{out / 'leak_probe.png'}", err=True)
    return result


def _device(name: str) -> str:
    from fedmce.training import pick_device

    if name not in ("cpu", "cuda", "auto"):
        raise ConfigError(f"device: given {name!r}; needed cpu, cuda or auto")
    return str(pick_device(name))


def _counts(text: str) -> tuple[int, ...]:
    try:
        found = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        found = ()
    if not found or min(found) < 1 or max(found) > 300:
        raise ConfigError(f"rows: given {text!r}; needed numbers from 1 to 300 with commas, such as 1,8,32")
    return found


def _spreads(text: str) -> tuple[float, ...]:
    try:
        found = tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        found = ()
    if not found or not all(0 <= sd <= 10 for sd in found):
        raise ConfigError(f"noise: given {text!r}; needed numbers from 0 to 10 with commas, such as 0,0.02")
    return found


def _tables(result: ProbeResult) -> list[str]:
    return [
        _table(name, [cell for cell in result.cells if cell.table == table])
        for table, name in NAMES.items()
        if any(cell.table == table for cell in result.cells)
    ]


def _table(name: str, cells: list[Cell]) -> str:
    """One line per network and noise, one column per number of rows."""
    columns = sorted({cell.rows for cell in cells})
    lines = [name, f"{'':<28}" + "".join(f"{_rows(n):>10}" for n in columns)]
    for what, noise in dict.fromkeys((cell.what, cell.noise) for cell in cells):
        found = {cell.rows: cell.value for cell in cells if (cell.what, cell.noise) == (what, noise)}
        shown = "".join(f"{found[n]:>10.3f}" if n in found else f"{'':>10}" for n in columns)
        lines.append(f"{what + (f', noise {noise:g}' if noise else ', no noise'):<28}{shown}")
    return "\n".join(lines)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _judged(result: ProbeResult, floors: PrivacyConfig) -> str:
    lines = [
        f"default floors: {floors.min_rows} rows, {floors.min_rows_dense} where dense and without noise, noise "
        f"{floors.noise_sd:g}"
    ]
    for name, judged in limits(result).items():
        side = "most" if "most" in judged else "least"
        mark = "ok  " if judged["holds"] else "MISS"
        lines.append(f"  {mark} {name}: {judged['value']:.3f} (at {side} {judged[side]:g})")
    return "\n".join(lines)
