"""What a deployed site keeps on its disk, and how it sees that its data changed; no worker, one process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from client.handler import handle
from client.kept import ROUNDS_KEPT, SUFFIX, run_name
from client.workplace import open_workplace
from fedmce.errors import FedMCEError
from fedmce.flower_compat import Message
from tests.faults.worker_site import Site, said, site
from tests.server.made import made_config


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Site]:
    """A site of a method that keeps its heads to itself."""
    open_workplace.cache_clear()
    with site(tmp_path / "s", worker=False, method="private_head") as made:
        assert not made.ask(made.profile()).has_error(), made.log
        yield made
    open_workplace.cache_clear()


def numbers_of(at: Site, reply: Message) -> bytes:
    assert not reply.has_error(), at.log
    arrays = reply.content.array_records["update"]
    return b"".join(arrays[key].data for key in sorted(arrays))


def files(at: Site) -> list[str]:
    return sorted(path.name for path in (at.root / "home" / "kept").rglob(f"*{SUFFIX}"))


def rounds(at: Site, *numbers: int, restart: bool = False) -> list[bytes]:
    """Replies to these rounds; with a SuperNode that loses its state before each."""
    found = []
    for number in numbers:
        if restart:
            at.context = at.fresh_context()
        found.append(numbers_of(at, at.ask(at.train(number))))
    return found


def anew(at: Site) -> None:
    """As a site that has never taken part."""
    for path in (at.root / "home" / "kept").rglob(f"*{SUFFIX}"):
        path.unlink()
    at.context = at.fresh_context()


def test_a_restart_of_the_supernode_loses_nothing_of_what_the_site_keeps(at: Site) -> None:
    undisturbed = rounds(at, 1, 2, 3)
    anew(at)
    assert rounds(at, 1, 2, 3, restart=True) == undisturbed
    # What is kept matters: without it round 3 says something else.
    anew(at)
    assert rounds(at, 3) != undisturbed[2:]


def test_a_round_that_is_asked_again_starts_from_before_it(at: Site) -> None:
    first, second = rounds(at, 1, 2)
    assert rounds(at, 2) == [second]
    assert rounds(at, 2, restart=True) == [second]
    assert rounds(at, 1, restart=True) == [first]
    assert files(at) == ["000001.kept"]  # round 2 was of a history that the server dropped
    assert rounds(at, 2) == [second]


def test_a_missed_round_goes_on_from_the_last_that_was_trained(at: Site) -> None:
    rounds(at, 1)
    told = rounds(at, 3)
    assert rounds(at, 3, restart=True) == told


def test_only_the_last_rounds_are_kept_for_the_owner_alone(at: Site) -> None:
    rounds(at, 1, 2, 3)
    at.config = at.config.model_copy(update={"rounds": 9})
    anew(at)
    assert not at.ask(at.profile()).has_error()
    rounds(at, *range(1, 6))
    assert files(at) == [f"00000{n}.kept" for n in range(6 - ROUNDS_KEPT, 6)]
    for path in (at.root / "home" / "kept").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_damaged_file_is_said_and_the_round_before_it_is_used(at: Site) -> None:
    first, _ = rounds(at, 1, 2)
    newest = next((at.root / "home" / "kept").rglob("000002.kept"))
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(bytes(data))
    at.context = at.fresh_context()
    rounds(at, 3)
    assert "000002.kept: damaged" in at.log
    newest.write_bytes(b"")
    assert rounds(at, 1) == [first]


def test_another_run_starts_from_nothing(at: Site) -> None:
    (before,) = rounds(at, 1, 2)[:1]
    at.config = at.config.model_copy(update={"rounds": 4})
    at.context = at.fresh_context()
    assert not at.ask(at.profile()).has_error()
    assert rounds(at, 1) == [before]


def test_without_a_home_nothing_is_written(tmp_path: Path) -> None:
    with site(tmp_path / "s", worker=False, home=False, method="private_head") as at:
        rounds(at, 1)
        assert list((at.root / "home").iterdir()) == []


def test_C15_data_that_change_between_rounds_are_seen_until_they_are_introduced_again(at: Site) -> None:
    good = rounds(at, 1)
    file = at.root / "data" / "ash" / "features" / "blood.npy"
    values = np.load(file)
    np.save(file, values + 1)
    assert at.ask(at.train(1)).error.reason == "data_changed"
    assert at.ask(at.train(1)).error.reason == "data_changed"
    at.context = at.fresh_context()
    assert at.ask(at.train(1)).error.reason == "data_changed"
    assert not at.ask(at.profile()).has_error()
    at.context = at.fresh_context()
    assert rounds(at, 1) != good


def let_held_out_rows_train(at: Site) -> tuple[Path, bytes]:
    """The table, and what it was."""
    path = at.root / "data" / "ash" / "samples.parquet"
    before, table = path.read_bytes(), pq.read_table(path)
    split = ["train" if name == "val" else name for name in table["split"].to_pylist()]
    place = table.column_names.index("split")
    pq.write_table(table.set_column(place, "split", pa.array(split)), path)
    return path, before


def test_D63_a_row_that_was_held_out_may_not_train_later_in_the_run(at: Site) -> None:
    rounds(at, 1)
    path, before = let_held_out_rows_train(at)
    at.context = at.fresh_context()
    open_workplace.cache_clear()
    assert not at.ask(at.profile()).has_error(), "what the site holds is asked again after a resume"
    assert at.ask(at.train(2)).error.reason == "data_changed"
    assert "D63" in at.log
    path.write_bytes(before)
    open_workplace.cache_clear()
    assert not at.ask(at.profile()).has_error()
    rounds(at, 2)


def test_D63_another_run_may_have_other_splits(at: Site) -> None:
    rounds(at, 1, 2)
    let_held_out_rows_train(at)
    open_workplace.cache_clear()
    assert not at.ask(at.profile()).has_error()
    rounds(at, 1, 2)


def test_D58_a_batch_beyond_the_memory_is_told_before_the_training(at: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.workplace.psutil.virtual_memory", lambda: SimpleNamespace(available=100))
    open_workplace.cache_clear()
    assert at.ask(at.train(1)).error.reason == "out_of_memory"
    assert "D58" in at.log
    assert "training.batch_size" in at.log


def test_D60_a_site_tells_the_digest_of_its_data_and_nothing_else_of_it(at: Site) -> None:
    def digest() -> str:
        return str(at.ask(at.profile()).content.config_records["stamp"]["data"])

    first = digest()
    assert first == digest()
    assert len(first) == 64
    file = at.root / "data" / "ash" / "features" / "blood.npy"
    np.save(file, np.load(file) + 1)
    second = digest()
    at.config = at.config.model_copy(update={"seed": 99})
    assert len({first, second, digest()}) == 3, "other data, another run: another digest"


def test_C16_a_folder_that_vanishes_is_unavailable_and_works_when_it_is_back(at: Site) -> None:
    good = rounds(at, 1)
    folder = at.root / "data" / "ash"
    folder.rename(folder.with_name("away"))
    reply = at.ask(at.train(1))
    assert said(reply)[1] == "data_unavailable"
    assert str(folder).encode() not in repr(reply).encode()
    folder.with_name("away").rename(folder)
    assert rounds(at, 1) == good


def test_what_is_kept_is_whole_or_absent(at: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    first = rounds(at, 1)

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device", "kept")

    with monkeypatch.context() as patch:
        patch.setattr("fedmce.durable.os.fsync", full)
        assert at.ask(at.train(2)).error.reason == "disk_full"
    assert files(at) == ["000001.kept"]
    assert rounds(at, 1, restart=True) == first


def test_the_handler_itself_raises(at: Site) -> None:
    message = at.train(1, site="birch")
    with pytest.raises(FedMCEError, match="order for site 'birch' reached site 'ash'"):
        handle(message, at.context)


def test_a_resumed_run_with_more_rounds_and_other_deadlines_is_the_same_run() -> None:
    config = made_config("private_head")
    longer = made_config("private_head", rounds=60, exchange__deadline_s=5.0)
    other = made_config("private_head", seed=6)
    assert run_name(config.to_json()) == run_name(longer.to_json()) != run_name(other.to_json())
