"""``python -m fedmce`` and the console script ``fedmce``."""


def main() -> None:
    """Run the command line; the exit code says how it went (docs/cli.md)."""
    from fedmce.cli.app import app

    app(prog_name="fedmce")


if __name__ == "__main__":
    main()
