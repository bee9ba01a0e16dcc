"""Activities from a phone: decoding, windows, people as sites, no overlap between training and validation."""

from pathlib import Path

import numpy as np
import pytest

from fedmce.config.schema import HaptConfig
from fedmce.data import FederatedDataset, hapt, load_dataset
from fedmce.data.builders import hapt as builder
from fedmce.data.packed import HAPT_ARCHIVES
from fedmce.errors import ConfigError, DataError
from tests.data_location import DATA_DIR, needs

SEEN = [p for p in range(1, 31) if p not in hapt.TEST_PEOPLE]


def test_sums_wrap_around_as_sixteen_bit_numbers_do() -> None:
    values = np.array([[30000, -30000, 30000, -32768]] * 3, dtype=np.int16)
    for times in (1, 2):
        np.testing.assert_array_equal(hapt.undo_differences(builder.differences(values, times), times), values)
    assert hapt.undo_differences(values, 2).dtype == np.int16


def test_windows_stay_inside_their_segment_and_transitions_are_left_out() -> None:
    segments = np.array(
        [[1, 5, 1, 11, 138, 0], [1, 5, 7, 139, 500, 128], [1, 5, 6, 501, 691, 490], [2, 8, 2, 1, 192, 681]]
    )
    windows = hapt.cut(segments.astype(np.int32))
    assert windows["start"].tolist() == [0, 490, 681, 745]
    assert windows["segment"].tolist() == [0, 2, 3, 3]
    assert windows["person"].tolist() == [5, 5, 8, 8]
    assert windows["activity"].tolist() == [0, 5, 1, 1]
    assert hapt.cut(segments[:0].astype(np.int32))["start"].tolist() == []


def write_raw(folder: Path, experiments: dict[int, np.ndarray], gyro: np.ndarray) -> None:
    for number, steps in experiments.items():
        np.savetxt(folder / f"acc_exp{number:02d}_user07.txt", (steps / 720).astype(np.float32), fmt="%.16g")
        np.savetxt(folder / f"gyro_exp{number:02d}_user07.txt", (gyro * hapt.GYRO_STEP).astype(np.float32), fmt="%.16g")


def test_the_builder_keeps_labelled_samples_exactly_and_splits_off_what_moves_slowly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pull = np.array([700.0, -100.0, 50.0])
    sway = 100 * np.sin(2 * np.pi * 5 * np.arange(1500) / 50)[:, None]
    experiments = {3: np.rint(pull + sway), 4: np.rint(-pull + sway)}
    gyro = rng.integers(-4000, 4000, (1500, 3))
    write_raw(tmp_path, experiments, gyro)
    (tmp_path / "labels.txt").write_text("3 7 5 201 700\n3 7 1 801 1000\n4 7 6 301 900\n")
    made = builder.arrays(tmp_path)
    assert made["seg"].tolist() == [[3, 7, 5, 201, 700, 0], [3, 7, 1, 801, 1000, 500], [4, 7, 6, 301, 900, 700]]
    kept = np.concatenate([experiments[3][200:700], experiments[3][800:1000], experiments[4][300:900]])
    np.testing.assert_array_equal(hapt.undo_differences(made["acc_d1"], 1), kept.T)
    np.testing.assert_array_equal(
        hapt.undo_differences(made["gyro_d1"], 1), np.concatenate([gyro[200:700], gyro[800:1000], gyro[300:900]]).T
    )
    gravity = hapt.undo_differences(made["grav_d2"], 2) / hapt.GRAVITY_PER_G
    np.testing.assert_allclose(gravity[:, :700], np.repeat(pull[:, None] / 720, 700, 1), atol=2e-3)
    np.testing.assert_allclose(gravity[:, 700:], np.repeat(-pull[:, None] / 720, 600, 1), atol=2e-3)
    assert set(builder.build(tmp_path, tmp_path / "out.npz")) == {"seg.npy", "acc_d1.npy", "gyro_d1.npy", "grav_d2.npy"}
    with pytest.raises(DataError, match="no such file"):
        builder.arrays(tmp_path / "other")


def test_without_its_file_the_message_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"fedmce\.data\.builders\.hapt.*data_dir=DIR") as caught:
        load_dataset(HaptConfig(), tmp_path, 0)
    assert str(tmp_path / "hapt") in str(caught.value)
    (tmp_path / "hapt").mkdir()
    with pytest.raises(DataError, match=r"no hapt_labelled_signals.npz.*fedmce\.data\.builders\.hapt"):
        load_dataset(HaptConfig(), tmp_path, 0)


def test_a_file_with_other_arrays_is_refused_by_array(tmp_path: Path) -> None:
    (tmp_path / "hapt").mkdir()
    np.savez(tmp_path / "hapt" / HAPT_ARCHIVES[0], seg=np.zeros((0, 6), dtype=np.int32), acc_d1=1, gyro_d1=1, grav_d2=1)
    with pytest.raises(DataError, match=r"sha256 of seg.npy .*; needed"):
        load_dataset(HaptConfig(), tmp_path, 0)


@pytest.fixture(scope="module")
def data() -> FederatedDataset:
    return load_dataset(HaptConfig(), DATA_DIR, 0)


@pytest.fixture(scope="module")
def table() -> hapt.Recordings:
    return hapt._read(DATA_DIR)


def starts(data: FederatedDataset, site: str, part: str) -> np.ndarray:
    rows = data.sites[site]
    return np.array([int(i.split("-")[1]) for i, s in zip(rows.sample_ids, rows.split, strict=True) if s == part])


@needs("hapt")
def test_the_windows_are_the_published_ones(table: hapt.Recordings) -> None:
    assert np.bincount(table.activity).tolist() == [1722, 1544, 1407, 1801, 1979, 1958]
    assert int(np.isin(table.person, hapt.TEST_PEOPLE).sum()) == 2996
    assert len(table.person) == 10411


@needs("hapt")
def test_signals_have_the_scale_of_a_phone_at_a_waist(table: hapt.Recordings) -> None:
    found = hapt.signals(table, np.arange(0, len(table.start), 7))
    length = np.linalg.norm(found["gravity"], axis=1)
    assert 0.95 < np.median(length) < 1.1
    assert 0.9 < np.quantile(length, 0.001) < np.quantile(length, 0.999) < 1.15
    assert found["body"].std() == pytest.approx(0.14, abs=0.02)
    assert found["gyro"].std() == pytest.approx(0.36, abs=0.03)
    assert abs(float(found["body"].mean())) < 0.01


@needs("hapt")
def test_people_who_train_come_first_and_the_owners_test_people_only_test(data: FederatedDataset) -> None:
    assert list(data.sites) == [hapt.site_name(p) for p in [*SEEN, *hapt.TEST_PEOPLE]]
    for name, site in data.sites.items():
        counts = [int((site.split == part).sum()) for part in ("train", "validation", "test")]
        assert counts == ([0, 0, 100] if int(name[-2:]) in hapt.TEST_PEOPLE else [HaptConfig().train_rows, 50, 0])
        for part in set(site.split):
            assert np.ptp(np.bincount(site.targets[site.split == part], minlength=6)) <= 1


@needs("hapt")
@pytest.mark.parametrize("train_rows", [50, None])
def test_no_training_window_shares_a_sample_with_a_validation_window(train_rows: int | None) -> None:
    data = load_dataset(HaptConfig(train_rows=train_rows), DATA_DIR, 1)
    dropped = 0
    for person in SEEN:
        train, validation = (starts(data, hapt.site_name(person), part) for part in ("train", "validation"))
        assert np.abs(train[:, None] - validation).min() >= hapt.WINDOW
        dropped += int((hapt._read(DATA_DIR).person == person).sum()) - len(train) - len(validation)
    if train_rows is None:
        # Scattered validation windows would cost some 100 neighbours per person.
        assert 21 * 3 < dropped < 21 * 12


@needs("hapt")
def test_a_larger_draw_keeps_the_smaller_and_validation_depends_on_neither(data: FederatedDataset) -> None:
    small = load_dataset(HaptConfig(train_rows=40), DATA_DIR, 0)
    for person in SEEN[:5]:
        name = hapt.site_name(person)
        assert set(starts(small, name, "train")) < set(starts(data, name, "train"))
        assert set(starts(small, name, "validation")) == set(starts(data, name, "validation"))
    other = load_dataset(HaptConfig(), DATA_DIR, 1)
    assert set(starts(other, "person01", "validation")) != set(starts(data, "person01", "validation"))
    assert set(starts(other, "person02", "test")) != set(starts(data, "person02", "test"))


@needs("hapt")
def test_more_windows_than_a_person_has_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"dataset.train_rows at person01: 300 rows given; needs at most 293"):
        load_dataset(HaptConfig(train_rows=300), DATA_DIR, 0)
    with pytest.raises(ConfigError, match=r"dataset.validation_rows at person01: 999 rows given"):
        load_dataset(HaptConfig(validation_rows=999), DATA_DIR, 0)


@needs("hapt")
def test_each_axis_can_be_a_modality_of_its_own(data: FederatedDataset) -> None:
    nine = load_dataset(HaptConfig(axes=True), DATA_DIR, 0)
    assert [m.name for m in nine.modalities] == [f"{s}_{a}" for s in ("gravity", "body", "gyro") for a in "xyz"]
    assert {m.shape for m in nine.modalities} == {(1, 128)}
    for signal in ("gravity", "body", "gyro"):
        joined = np.concatenate([nine.sites["person03"].features[f"{signal}_{a}"] for a in "xyz"], axis=1)
        np.testing.assert_array_equal(joined, data.sites["person03"].features[signal])


@needs("hapt")
def test_the_signals_that_take_part_are_a_matter_of_choice(data: FederatedDataset) -> None:
    two = load_dataset(HaptConfig(signals=("gyro", "body")), DATA_DIR, 0)
    assert [m.name for m in two.modalities] == ["gyro", "body"]
    site, whole = two.sites["person03"], data.sites["person03"]
    assert site.available.shape == (len(whole.sample_ids), 2)
    assert site.sample_ids == whole.sample_ids
    np.testing.assert_array_equal(site.features["body"], whole.features["body"])
    axes = load_dataset(HaptConfig(signals=("gyro",), axes=True), DATA_DIR, 0)
    assert [m.name for m in axes.modalities] == ["gyro_x", "gyro_y", "gyro_z"]
