"""The door of the data room: light to import, cached, and nothing of the owners' data inside the package."""

import subprocess
import sys
from pathlib import Path

import pytest

import fedmce.data
from fedmce.config.schema import AvDigitsConfig
from fedmce.data import DATASETS, load_dataset
from fedmce.errors import DataError


def test_importing_the_room_loads_no_heavy_library() -> None:
    code = "import sys, fedmce.data; print([m for m in ('torch', 'scipy', 'sklearn', 'flwr', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_all_sets_are_registered_and_an_unknown_one_is_refused() -> None:
    assert set(DATASETS) == {"av_digits", "sound_mnist", "heart_disease", "leaves100", "hapt", "folders"}
    with pytest.raises(
        DataError, match="'cats': not known; known: av_digits, folders, hapt, heart_disease, leaves100, sound_mnist"
    ):
        load_dataset(AvDigitsConfig.model_construct(name="cats"), None, 0)


def test_the_package_holds_no_data_file_but_the_embedded_one() -> None:
    room = Path(fedmce.data.__file__).parent
    others = {
        p.relative_to(room).as_posix() for p in room.rglob("*") if p.is_file() and p.suffix not in {".py", ".pyc"}
    }
    assert others == {"assets/av_digits.npz"}
