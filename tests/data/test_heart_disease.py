"""Four hospitals: natural gaps kept as they are, codes one-hot, splits stratified inside each hospital."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fedmce.config.schema import HeartDiseaseConfig
from fedmce.data import FederatedDataset, heart_disease, load_dataset
from fedmce.errors import DataError
from tests.data_location import DATA_DIR, needs

ROW = b"63.0,1.0,1.0,145.0,233.0,1.0,2.0,150.0,0.0,2.3,3.0,0.0,6.0,0\n"
GAPS = b"40,0,4,0,0,?,0,?,?,-2.6,?,?,7,3\n"


def test_unknown_marks_and_impossible_zeros_become_holes_and_negative_st_depression_stays() -> None:
    table = heart_disease.parse(ROW + GAPS, "x")
    assert not np.isnan(table[0]).any()
    assert [i for i in range(14) if np.isnan(table[1, i])] == [3, 4, 5, 7, 8, 10, 11]
    assert table[1, 9] == -2.6


def test_a_block_is_present_from_half_of_its_columns_on() -> None:
    table = heart_disease.parse(ROW + GAPS, "x")
    present = {name: heart_disease.present(table, columns).tolist() for name, columns in heart_disease.BLOCKS.items()}
    assert present == {
        "history": [True, True],
        "rest": [True, True],  # resting ECG alone is one of two
        "labs": [True, False],
        "stress": [True, False],  # ST depression alone is one of four
        "imaging": [True, True],
    }


def test_codes_become_one_hot_and_a_missing_code_is_a_hole_in_all_its_columns() -> None:
    table = heart_disease.parse(ROW + GAPS, "x")
    stress = heart_disease.encode(table, heart_disease.BLOCKS["stress"])
    np.testing.assert_array_equal(stress[0], np.array([150, 0, 2.3, 0, 0, 1], dtype=np.float32))
    assert np.isnan(stress[1, [0, 1, 3, 4, 5]]).all()
    assert stress[1, 2] == np.float32(-2.6)
    np.testing.assert_array_equal(
        heart_disease.encode(table, heart_disease.BLOCKS["history"])[1], np.array([40, 0, 0, 0, 0, 1], dtype=np.float32)
    )


def test_a_stray_value_of_an_absent_block_is_removed() -> None:
    site = heart_disease._site("x", heart_disease.parse(ROW + GAPS, "x"), HeartDiseaseConfig(), 0)
    assert not site.available[1, 3]
    assert np.isnan(site.features["stress"][1]).all()
    assert not np.isnan(site.features["stress"][0]).any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"age,sex,cp\n" + ROW, "no header"),
        (ROW + b"1,2,3\n", "needed 14 numbers"),
        (b"1,2,3\n", "needed 14 columns"),
        (ROW.replace(b"6.0,0\n", b"5.0,0\n"), r"thal holds \[.*5.0.*\]; needed codes \(3, 6, 7\)"),
    ],
)
def test_a_malformed_file_is_refused_with_what_is_needed(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        heart_disease.parse(content, "x")


def test_without_files_the_message_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    for data_dir in (None, tmp_path):
        with pytest.raises(DataError, match=r"fedmce data fetch heart_disease.*data_dir=DIR") as caught:
            load_dataset(HeartDiseaseConfig(), data_dir, 0)
    assert str(tmp_path / "heart_disease") in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_file_that_is_not_the_owners_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "heart_disease"
    folder.mkdir()
    (folder / "processed.cleveland.data").write_bytes(ROW)
    with pytest.raises(DataError, match="processed.cleveland.data: sha256 " + hashlib.sha256(ROW).hexdigest()):
        load_dataset(HeartDiseaseConfig(), tmp_path, 0)


@pytest.fixture(scope="module")
def data() -> FederatedDataset:
    return load_dataset(HeartDiseaseConfig(), DATA_DIR, 0)


@needs("heart_disease")
def test_the_four_hospitals_have_the_published_patterns_of_gaps(data: FederatedDataset) -> None:
    patterns = {
        name: Counter("".join("01"[bit] for bit in row) for row in site.available.astype(int))
        for name, site in data.sites.items()
    }
    assert patterns == {
        "cleveland": {"11111": 303},
        "hungarian": {"11110": 264, "11111": 30},
        "switzerland": {"11010": 44, "11111": 44, "11011": 31, "11110": 3, "11101": 1},
        "va": {"11110": 108, "11100": 52, "11111": 34, "11010": 5, "11101": 1},
    }
    assert [int(site.targets.sum()) for site in data.sites.values()] == [139, 106, 115, 149]


@needs("heart_disease")
def test_an_absent_block_is_nan_throughout_and_a_present_one_never(data: FederatedDataset) -> None:
    for site in data.sites.values():
        for index, modality in enumerate(data.modalities):
            empty = np.isnan(site.features[modality.name]).all(axis=1)
            np.testing.assert_array_equal(empty, ~site.available[:, index])


@needs("heart_disease")
def test_every_hospital_is_split_by_label_and_by_the_configured_shares(data: FederatedDataset) -> None:
    for site in data.sites.values():
        for target in (0, 1):
            own = site.split[site.targets == target]
            assert (own == "test").sum() == pytest.approx(0.3 * len(own), abs=0.5)
            assert (own == "validation").sum() == pytest.approx(0.15 * len(own), abs=0.5)
    other = load_dataset(HeartDiseaseConfig(), DATA_DIR, 1)
    assert any((other.sites[name].split != site.split).any() for name, site in data.sites.items())


@needs("heart_disease")
def test_units_name_every_feature_and_cautions_name_mask_and_switzerland(data: FederatedDataset) -> None:
    assert (
        [len(m.units.split("; ")) for m in data.modalities] == [m.shape[0] for m in data.modalities] == [6, 4, 2, 6, 4]
    )
    assert data.task.metric == "auc_within_sites"
    assert "mask predicts the label" in data.caution[0]
    assert "8 negatives" in data.caution[1]
