"""An engine that trains nothing, for tests of the command line; ``python -m tests.cli.fake_engine ARGS`` is ``fedmce ARGS`` on it."""

from __future__ import annotations

import json
import signal
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedmce.config.schema import RunConfig

SITES = ("north", "south [b]")
SUBSETS = ("image", "audio", "image+audio")


class FakeEngine(types.ModuleType):
    """Stands in for ``simulations.engines``: writes a small record, then fails or waits if told to."""

    def __init__(self, failure: BaseException | None = None, wait_s: float = 0.0, leaves_folder: bool = True) -> None:
        super().__init__("simulations.engines")
        self.failure, self.wait_s, self.leaves_folder = failure, wait_s, leaves_folder

    def run(self, config: RunConfig, folder: Path, on_event: Callable[[dict[str, Any]], None]) -> None:
        if self.leaves_folder:
            folder.mkdir(parents=True)
        elif self.failure is not None:
            raise self.failure
        rows: list[dict[str, Any]] = []

        def tell(row: dict[str, Any]) -> None:
            rows.append(row)
            (folder / "record.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            on_event(row)

        try:
            self._rounds(config, tell)
        except KeyboardInterrupt:
            tell({"event": "end", "status": "interrupted"})
            raise
        tell({"event": "end", "status": "finished"})
        (folder / "result.json").write_text(json.dumps(result(config)), encoding="utf-8")

    def _rounds(self, config: RunConfig, tell: Callable[[dict[str, Any]], None]) -> None:
        tell({"event": "start"})
        for number in range(1, config.rounds + 1):
            verdicts = {
                "north": {"verdict": "accepted"},
                "south [b]": {"verdict": "not_finite" if number == 2 else "accepted"},
            }
            tell({"event": "round", "round": number, "void": False, "sites": verdicts})
            score = {"round": number, "split": "test", "metric": "accuracy", "mean_subset": 0.5 + number / 1000}
            tell({"event": "evaluation", **score, "rows": dict.fromkeys(SUBSETS, 41)})
            if self.failure is not None:
                raise self.failure
            if self.wait_s:
                (Path.cwd() / "waiting").touch()
                time.sleep(self.wait_s)


def result(config: RunConfig) -> dict[str, Any]:
    """What ``result.json`` holds, as far as the summary reads it."""
    return {
        "schema": "fedmce.result/1",
        "metric": "accuracy",
        "modalities": ["image", "audio"],
        "seed": config.seed,
        "metrics": {
            "per_subset": {"image": 0.625, "audio": None, "image+audio": 0.875},
            "mean_subset": 0.75,
            "worst_subset": 0.625,
            "full": 0.875,
        },
        "availability": {"north": {"image": 0.75, "audio": 0.0}, "south [b]": {"image": 1.0, "audio": 0.5}},
        "rows": {"north": 100, "south [b]": 90},
        "contributions": {"image": 0.5, "audio": -0.125},
        "caution": ["numbers of a fake engine"],
        "provenance": {"image": "made up"},
    }


def draw(folder: Path) -> Path:
    """Stands in for ``fedmce.report.draw``."""
    (folder / "report.html").write_text("<!doctype html>", encoding="utf-8")
    return folder / "report.html"


def install(engine: FakeEngine, put: Callable[[Any, str, Any], None] = setattr) -> None:
    """Let ``fedmce run`` find ``engine``, with a drawing that needs no figures."""
    import fedmce.cli.run

    simulations = types.ModuleType("simulations")
    simulations.engines = engine  # type: ignore[attr-defined]
    report = types.ModuleType("fedmce.report")
    report.draw = draw  # type: ignore[attr-defined]
    put(fedmce.cli.run, "use_app", lambda: None)
    for name, module in {"simulations": simulations, "simulations.engines": engine, "fedmce.report": report}.items():
        if put is setattr:
            sys.modules[name] = module
        else:
            put(sys.modules, name, module)


if __name__ == "__main__":
    from fedmce.__main__ import main

    # A shell starts background jobs with Ctrl-C ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    install(FakeEngine(wait_s=60.0 if "wait" in sys.argv else 0.0))
    sys.argv = [argument for argument in sys.argv if argument != "wait"]
    main()
