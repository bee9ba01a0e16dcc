"""``fedmce site``: what it makes, what it says, and how it leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from fedmce.cli.app import app
from fedmce.folders.layout import SiteFile
from fedmce.folders.table import read_columns


def site(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["site", *map(str, arguments)])


def test_init_scaffolds_a_folder_that_reads_and_says_what_comes_next(tmp_path: Path) -> None:
    out = tmp_path / "north"
    modalities = ("--modality", "image:image:1x28x28:grey, 0 to 1", "--modality", "labs:tabular:3")
    done = site("init", out, "--site", "north", *modalities, "--classes", "yes,no")
    assert done.exit_code == 0, done.output
    found = SiteFile.read(out)
    assert (found.site, found.task.classes) == ("north", ("yes", "no"))  # in quotes: YAML reads yes as true
    assert found.modalities["image"].units == "grey, 0 to 1"
    assert found.modalities["image"].pooled_axes == (0, 1, 2)
    assert (out / "samples.csv").read_text() == "sample_id,target,split,image,labs\n"
    assert (out / "features").is_dir()
    assert "# " in (out / "site.yaml").read_text()
    again = site("init", out, "--site", "north", *modalities)
    assert (again.exit_code, "is there and not empty" in again.output) == (2, True)


@pytest.mark.parametrize(
    ("modality", "code", "message"),
    [("image", 2, "needed NAME:KIND:SHAPE"), ("image:imge:1x2x3", 3, "did you mean 'image'?")],
)
def test_init_names_what_is_no_modality(modality: str, code: int, message: str, tmp_path: Path) -> None:
    done = site("init", tmp_path / "n", "--site", "north", "--modality", modality)
    assert (done.exit_code, message in done.output) == (code, True)
    assert not (tmp_path / "n").exists()


def test_import_says_what_it_made(tmp_path: Path) -> None:
    (tmp_path / "labs.csv").write_text("id,age,dx\na,1,x\nb,,y\nc,3,x\nd,4,y\n")
    np.save(tmp_path / "scan.npy", np.zeros((2, 1, 4, 4), "u1"))
    np.save(tmp_path / "ids.npy", np.array(["a", "d"]))
    array = f"scan={tmp_path / 'scan.npy'}:{tmp_path / 'ids.npy'}"
    arguments = ("--site", "north", "--target", "dx", "--id", "id", "--table", f"labs={tmp_path / 'labs.csv'}")
    done = site(
        "import", tmp_path / "n", *arguments, "--array", array, "--test-share", "0.5", "--validation-share", "0"
    )
    assert done.exit_code == 0, done.output
    assert "site north, 4 rows (2 train, 0 val, 2 test)" in done.output
    assert "labs: tabular 1, float32, 3 of 4 rows" in done.output
    assert "scan: image 1 x 4 x 4, uint8, 2 of 4 rows" in done.output
    assert "note: classes as found: x, y" in done.output


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--table", "labs"), "needed MODALITY=..."),
        (("--table", "labs=a.csv", "--array", "labs=a.npy"), "given by --table and by --array"),
        (("--table", "labs=a.csv", "--kind", "lab=image"), "did you mean 'labs'?"),
        (("--table", "labs=a.csv", "--metric", "auc"), "unknown metric 'auc'"),
        (
            ("--table", "labs=a.csv", "--test-share", "0.5", "--validation-share", "0.5"),
            "no row would be left to train",
        ),
    ],
)
def test_import_refuses_arguments_that_disagree(more: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = site("import", tmp_path / "n", "--site", "north", "--target", "dx", *more)
    assert (done.exit_code, message in done.output) == (2, True), done.output
    assert not (tmp_path / "n").exists()


def test_export_writes_the_sites_of_the_run_and_says_how_to_use_them(tmp_path: Path) -> None:
    chosen = ("dataset=av_digits", "dataset.train_rows=10", "sites=[us_f3,gb_m3]")
    done = site("export", tmp_path / "sites", *chosen)
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in (tmp_path / "sites").iterdir()) == ["gb-m3", "us-f3"]
    assert "us_f3 is us-f3" in done.output
    assert f"fedmce run dataset=folders dataset.path={tmp_path / 'sites'}" in done.output
    masked = site(
        "export", tmp_path / "masked", *chosen, "missingness=imbalanced", "missingness.rates={audio:1}", "--masked"
    )
    assert masked.exit_code == 0, masked.output
    # Test rows keep what they hold, as in every run; audio of the others is nowhere.
    samples = read_columns(tmp_path / "masked" / "us-f3" / "samples.parquet")
    held = [split for split, cell in zip(samples["split"], samples["audio"], strict=True) if cell is not None]
    assert set(held) == {"test"}
    assert len(held) == samples["split"].count("test")
    assert len(np.load(tmp_path / "masked" / "us-f3" / "features" / "audio.npy")) == len(held)
