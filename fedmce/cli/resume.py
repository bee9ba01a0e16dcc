"""``fedmce run resume=RUN``: an interrupted, killed or failed run goes on after its last committed round."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from fedmce._paths import use_app
from fedmce.cli.compose import apply_edit
from fedmce.cli.door import Door
from fedmce.cli.groups import groups
from fedmce.cli.overrides import Choice, read_override
from fedmce.cli.run import answer, sigterm_as_interrupt, train_and_draw
from fedmce.config.explain import config_error
from fedmce.config.load import config_from_tree
from fedmce.config.schema import RunConfig
from fedmce.errors import ConfigError, DataError

KEY = "resume="


def is_resume(overrides: Sequence[str]) -> bool:
    """Whether the command line asks for a run that is there already."""
    return any(text.startswith(KEY) for text in overrides)


def resume(overrides: Sequence[str], out: Door, *, is_quiet: bool = False, accept_rollback: bool = False) -> None:
    """Go on with a run; its configuration is its own, but for what may change.

    Args:
        overrides: ``resume=RUN``, and keys such as ``rounds=60`` that may change.
        out: learns the run folder and the rounds done.
        is_quiet: no progress on stderr.
        accept_rollback: go on from an older round if the newest is damaged or gone.

    Raises:
        ConfigError: no run, or keys that do not exist.
        StateError: the state is held, damaged, or of another plan.
    """
    folder = _folder(overrides)
    config = resumed_config(folder, [text for text in overrides if not text.startswith(KEY)])
    done = finished_rounds(folder)
    if done is not None and config.rounds <= done:
        typer.echo(f"{folder}: finished already, all {done} rounds; rounds={2 * done} would add more", err=True)
        answer(folder, out.as_json)
        return
    use_app()
    from simulations import engines

    with sigterm_as_interrupt():
        at = engines.take_up(config, folder, accept_rollback)
        out.folder, out.rounds_done = folder, at.round
        for note in at.notes:
            typer.echo(f"note: {note}", err=True)
        if config.engine.name == "deployed":
            typer.echo(f"{folder}: sound up to round {at.round}; `fedmce server up` goes on from there", err=True)
            return
        if not is_quiet:
            print(f"{folder}: going on after round {at.round} of {config.rounds}", file=sys.stderr)
        (folder / "result.json").unlink(missing_ok=True)  # that of fewer rounds
        train_and_draw(config, folder, out, is_quiet)


def _folder(overrides: Sequence[str]) -> Path:
    given = [text.removeprefix(KEY) for text in overrides if text.startswith(KEY)]
    if not given:
        raise ConfigError("--accept-rollback: given without resume=RUN; needed the run folder to go on with")
    folder = Path(given[-1]).expanduser()
    if len(given) > 1 or not (folder / "config.yaml").is_file():
        raise ConfigError(f"resume: given {', '.join(given) or 'nothing'}; needed one run folder, with its config.yaml")
    return folder


def resumed_config(folder: Path, overrides: Sequence[str]) -> RunConfig:
    """Configuration of a run with some keys changed; whether these may change is for its state to say.

    Raises:
        ConfigError: unknown keys, values out of range, or choices of whole groups.
    """
    import yaml

    tree: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    messages: list[str] = []
    known = groups()
    for text in overrides:
        edit = read_override(text, known)
        if isinstance(edit, Choice):
            messages.append(
                f"{text}: a choice of a group; a resumed run keeps its own. needed key=value, as in rounds=60"
            )
            continue
        messages += apply_edit(edit, tree)
    if messages:
        raise config_error(messages)
    tree["out"] = str(folder)
    return config_from_tree(tree, f"resume={folder}")


def finished_rounds(folder: Path) -> int | None:
    """Rounds of a run that came to its end; None for all others."""
    from fedmce.record import read_record

    if not (folder / "result.json").is_file():
        return None
    try:
        rows = read_record(folder)
    except DataError:
        return None
    last = rows[-1] if rows else {}
    return int(last["rounds_done"]) if last.get("event") == "end" and last.get("status") == "finished" else None
