import sys
from pathlib import Path

from tests.packaging.build import copy_of_tree, names, run, sources


def test_the_flower_bundle_holds_the_app_and_nothing_else(tmp_path: Path) -> None:
    # Flower refuses to build in a folder whose name has an underscore, and pytest's have some.
    tree = copy_of_tree(tmp_path / "fedmce-app")
    flwr = Path(sys.executable).with_name("flwr")
    run(str(flwr), "build", cwd=tree, FLWR_HOME=str(tmp_path / "home"), HOME=str(tmp_path))
    (bundle,) = tree.glob("*.fab")
    wanted = sources("server", ".py") | sources("client", ".py") | sources("configs", ".yaml")
    assert {name for name in names(bundle) if not name.startswith(".info/")} == wanted | {"pyproject.toml"}
