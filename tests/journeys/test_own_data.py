"""Own data, from tables and arrays to scores, without a line of Python; and simulated sites that became folders."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import fedmce.data
from client.workplace import open_workplace
from fedmce.cli.app import app
from fedmce.cli.compose import load_config
from fedmce.config.schema import RunConfig
from fedmce.data import FederatedDataset, load_dataset
from fedmce.folders.exporting import export_sites, folder_name
from fedmce.missingness import draw_masks
from tests.data_location import DATA_DIR, needs
from tests.journeys.runs import model_bytes, result, run

CLASSES = ("benign", "doubtful", "malignant")
SAMPLE_SHAPES = {"xray": (1, 12, 12), "ecg": (2, 32), "voice": (1, 8, 16)}
TABLES = {"history": ("age", "smoker", "years"), "labs": ("crp", "ldh"), "genes": ("g1", "g2", "g3", "g4")}
# Patients, and the share of them that each modality was recorded of; what is left out the site does not have.
SITES: dict[str, tuple[int, dict[str, float]]] = {
    "north": (150, {"history": 1.0, "labs": 0.9, "genes": 0.5, "xray": 0.8, "ecg": 0.7, "voice": 0.3}),
    "south": (60, {"history": 0.9, "labs": 1.0, "xray": 1.0, "ecg": 0.5}),
    "west-2": (30, {"history": 1.0, "genes": 1.0, "voice": 0.8}),
}


def command(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def write_table(path: Path, head: list[str], rows: list[list[Any]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])


def make_site(folder: Path, site: str) -> dict[str, int]:
    """What a hospital might have: patients.csv, a CSV per block of tests, arrays with the ids of their rows."""
    patients, shares = SITES[site]
    draw = np.random.default_rng(len(site))
    target = draw.integers(0, 3, patients)
    ids = [f"{site}-{n:03d}" for n in range(patients)]
    folder.mkdir(parents=True)
    write_table(
        folder / "patients.csv", ["patient", "finding"], [[i, CLASSES[t]] for i, t in zip(ids, target, strict=True)]
    )
    held = {}
    for name, share in shares.items():
        there = np.flatnonzero(draw.random(patients) < share)
        held[name] = len(there)
        if name in TABLES:
            values = 2.0 * target[there, None] + draw.normal(size=(len(there), len(TABLES[name])))
            rows = [[ids[n], *(f"{v:.4f}" for v in row)] for n, row in zip(there, values, strict=True)]
            write_table(folder / f"{name}.csv", ["patient", *TABLES[name]], draw.permutation(rows).tolist())
            continue
        shape = SAMPLE_SHAPES[name]
        slope = np.random.default_rng(len(name)).normal(size=shape)
        values = slope * (target[there].reshape(-1, *[1] * len(shape)) - 1) + draw.normal(size=(len(there), *shape))
        np.save(folder / f"{name}.npy", values.astype(np.float32))
        np.save(folder / f"{name}_ids.npy", np.array([ids[n] for n in there]))
    return held


@pytest.mark.slow
def test_six_modalities_at_unequal_sites_train_by_commands_alone(tmp_path: Path) -> None:
    held = {site: make_site(tmp_path / "raw" / site, site) for site in SITES}
    for site, (_, shares) in SITES.items():
        raw, arguments = tmp_path / "raw" / site, list[str]()
        for name in shares:
            if name in TABLES:
                arguments += ["--table", f"{name}={raw / name}.csv"]
            else:
                arguments += ["--array", f"{name}={raw / name}.npy:{raw / name}_ids.npy"]
        if "voice" in shares:
            arguments += ["--kind", "voice=spectrogram"]
        told = command(
            *("site", "import", tmp_path / "sites" / site, "--site", site, "--samples", raw / "patients.csv"),
            *("--id", "patient", "--target", "finding", "--classes", ",".join(CLASSES), *arguments),
        )
        assert f"site {site}, {SITES[site][0]} rows" in told
        command("site", "check", tmp_path / "sites" / site)

    out = tmp_path / "run"
    small = ("rounds=4", "training.local_epochs=2", "model.width=8", "model.fusion_hidden=8", "evaluate_every=4")
    command("run", "dataset=folders", f"dataset.path={tmp_path / 'sites'}", *small, f"out={out}", "--quiet")
    found = json.loads((out / "result.json").read_text())
    assert found["modalities"] == ["history", "labs", "genes", "xray", "ecg", "voice"]
    assert found["classes"] == list(CLASSES)
    assert found["sites"] == ["north", "south", "west-2"]
    assert found["availability"]["south"]["voice"] == 0 == found["availability"]["west-2"]["labs"]
    for site, (patients, _) in SITES.items():
        assert found["rows"][site] == pytest.approx(0.7 * patients, abs=3)  # some hold nothing at all
        for name, count in held[site].items():
            assert found["availability"][site][name] == pytest.approx(count / patients, abs=0.12)
    assert found["metrics"]["per_subset"]["history+labs"] > 0.6  # of three classes
    assert all(found["contributions"][name] > 0 for name in ("history", "labs", "xray"))
    assert found["provenance"]["xray"] == "real: own data of the sites"
    assert (out / "report.html").exists()


def test_the_commands_on_the_page_make_a_folder_without_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``patients.csv``, ``labs.csv`` and X-rays with ids, as the page says that a hospital might have."""
    page = (Path(__file__).parents[2] / "docs" / "site-folder.md").read_text()
    first = page.split("```")[1].replace("\\\n", " ")
    monkeypatch.chdir(tmp_path)
    draw, ids = np.random.default_rng(0), [f"p{n}" for n in range(80)]
    write_table(
        Path("patients.csv"), ["patient", "finding"], [[i, ("benign", "malignant")[n % 2]] for n, i in enumerate(ids)]
    )
    write_table(Path("labs.csv"), ["patient", "crp", "ldh"], [[i, *draw.normal(size=2).tolist()] for i in ids[40:]])
    np.save("xray.npy", draw.integers(0, 255, (60, 1, 28, 28), dtype=np.uint8))
    np.save("xray_ids.npy", np.array(ids[:60]))
    made, checked = (command(*shlex.split(line)[1:]) for line in first.strip().splitlines())
    assert "site north, 80 rows (56 train, 8 val, 16 test)" in made
    assert "warning" not in checked


@pytest.fixture
def clean_caches() -> Iterator[None]:
    open_workplace.cache_clear()
    yield
    open_workplace.cache_clear()


def small_run(*overrides: str) -> RunConfig:
    tiny = ("rounds=2", "training.local_epochs=1", "model.width=8", "model.fusion_hidden=8", "seed=3")
    return load_config([*tiny, *overrides])


def assert_same_run(first: Path, second: Path) -> None:
    assert model_bytes(first) == model_bytes(second)
    here, there = result(first), result(second)
    for part in ("metrics", "contributions", "interactions", "weights", "availability", "rows"):
        assert here[part] == there[part], part


def renamed(data: FederatedDataset) -> FederatedDataset:
    """The data set with its sites under the names that folders allow: streams go by name."""
    sites = {folder_name(name): replace(site, name=folder_name(name)) for name, site in data.sites.items()}
    return replace(data, sites=sites)


@pytest.mark.parametrize(
    ("name", "mechanism"),
    [
        ("av_digits", ("missingness=imbalanced", "missingness.rates={audio: 0.7, image: 0.2}")),
        pytest.param("heart_disease", ("missingness=natural",), marks=needs("heart_disease")),
    ],
)
def test_a_run_on_exported_sites_is_the_run_on_the_data_set_to_the_bit(
    name: str, mechanism: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_caches: None
) -> None:
    rows = ("dataset.train_rows=20",) if name == "av_digits" else ()
    first = small_run(f"dataset={name}", *rows, *mechanism, *([f"data_dir={DATA_DIR}"] if DATA_DIR else []))
    data = renamed(load_dataset(first.dataset, DATA_DIR, first.seed))
    export_sites(tmp_path / "sites", data, list(data.sites))
    second = small_run("dataset=folders", f"dataset.path={tmp_path / 'sites'}", *mechanism)
    second = second.model_copy(update={"training": first.training})
    with monkeypatch.context() as patch:
        patch.setattr(fedmce.data, "load_dataset", lambda config, data_dir, seed: data)
        run(first, tmp_path / "first")
    open_workplace.cache_clear()
    assert_same_run(tmp_path / "first", run(second, tmp_path / "second"))


def test_masks_that_were_exported_train_as_masks_that_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_caches: None
) -> None:
    mechanism = ("missingness=imbalanced", "missingness.rates={audio: 0.7, image: 0.4}", "missingness.on_empty=drop")
    first = small_run("dataset=av_digits", "dataset.train_rows=20", *mechanism)
    data = renamed(load_dataset(first.dataset, None, first.seed))
    masks = draw_masks(data, first.missingness, first.seed).sites
    export_sites(tmp_path / "sites", data, list(data.sites), {site: mask.available for site, mask in masks.items()})
    with monkeypatch.context() as patch:
        patch.setattr(fedmce.data, "load_dataset", lambda config, data_dir, seed: data)
        run(first, tmp_path / "first")
    open_workplace.cache_clear()
    second = small_run("dataset=folders", f"dataset.path={tmp_path / 'sites'}")
    assert_same_run(tmp_path / "first", run(second, tmp_path / "second"))
