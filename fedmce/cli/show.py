"""``fedmce config``: show, validate, list."""

from __future__ import annotations

from collections.abc import Sequence

import typer


def show(overrides: Sequence[str]) -> None:
    """Print the resolved configuration as YAML, in the order of the schema."""
    import yaml

    from fedmce.cli.compose import load_config

    tree = load_config(overrides).model_dump(mode="json")
    typer.echo(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, default_flow_style=False), nl=False)


def validate(overrides: Sequence[str]) -> None:
    """Print that the configuration is valid, with its fingerprint; names of the data set are checked by ``run``."""
    from fedmce.cli.compose import load_config

    typer.echo(f"valid; fingerprint {load_config(overrides).fingerprint()}")


def list_groups() -> None:
    """Print one line per group: its name, then its choices."""
    from fedmce.cli.groups import groups

    known = groups()
    width = max(map(len, known))
    for group, choices in known.items():
        typer.echo(f"{group:<{width}}  {' '.join(choices)}")
