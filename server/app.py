"""The Flower ServerApp.

The run configuration says what to do: ``config-path`` names a resolved configuration file, or
``overrides`` holds what one would type after ``fedmce run``; ``out`` names the run folder.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedmce.flower_compat import switch_off_side_effects

Observer = Callable[[dict[str, Any]], None]


def build_app(observer: Observer | None = None) -> ServerApp:
    """A ServerApp whose record rows are also handed to ``observer``."""
    switch_off_side_effects()
    found = ServerApp()

    @found.main()
    def main(grid: Grid, context: Context) -> None:
        """Run one federation."""
        from fedmce.report import draw
        from server.federation import federate
        from server.heartbeat import heartbeat
        from server.settings import run_settings

        settings = run_settings(dict(context.run_config))
        with heartbeat(settings.folder) if settings.config.engine.name == "deployed" else nullcontext():
            federate(grid, settings.config, settings.folder, observer)
        if not settings.prepared:
            draw(settings.folder)

    return found


app = build_app()
