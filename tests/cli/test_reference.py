"""``docs/cli.md`` against the program: each command with its options, each exit code, and nothing that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
from typer.main import get_command

from fedmce import errors
from fedmce._paths import app_root
from fedmce.cli.app import app

TEXT = (app_root() / "docs/cli.md").read_text()


def commands(of: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """The commands that do something, by what a user types for them."""
    if not isinstance(of, click.Group):
        yield name, of
        return
    for word, below in of.commands.items():
        yield from commands(below, f"{name} {word}")


def long_options(of: click.Command) -> set[str]:
    """A switch that is on by default goes by the word that takes it off."""
    options = [each for each in of.params if isinstance(each, click.Option)]
    spelled = [each.secondary_opts if each.secondary_opts and each.default else each.opts for each in options]
    return {word for words in spelled for word in words if word.startswith("--") and word != "--help"}


def documented() -> dict[str, set[str]]:
    """Per command of the table the options that its rows name."""
    told: dict[str, set[str]] = {}
    for row in re.findall(r"^\| `(fedmce [^`]*)` \|", TEXT, flags=re.MULTILINE):
        name = re.match(r"fedmce(?: [a-z]+(?:-[a-z]+)*(?![\w=]))*", row)
        assert name is not None
        told.setdefault(name[0], set()).update(re.findall(r"--[a-z]+(?:-[a-z]+)*", row))
    return told


def test_every_command_stands_in_the_reference_with_its_options() -> None:
    offered = {name: long_options(command) for name, command in commands(get_command(app), "fedmce")}
    assert documented() == offered | {"fedmce": {"--version"}}


def test_every_exit_code_of_an_error_stands_in_the_reference() -> None:
    raised = {each.exit_code for each in vars(errors).values() if isinstance(each, type)}
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", TEXT, flags=re.MULTILINE)}
    assert listed == raised | {0, 130, 143}  # and what the shell says of SIGINT and SIGTERM
