"""What crosses the door of a site, and what stays behind it (reliability.md 5.6)."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Context

import client.app
from client.app import app
from client.door import code_of, guarded
from client.site_log import KEPT, MOST_BYTES, log_line
from client.workplace import open_workplace
from fedmce.data import FederatedDataset
from fedmce.errors import ConfigError, DataError, DeviceError, PlanRefusedError, VersionError, WireError
from fedmce.flower_compat import ConfigRecord, Message, RecordDict, array_record, identity, pack, with_content
from fedmce.parcel import PARCEL, is_parcel, packed, unpacked
from fedmce.site_errors import SITE_CODES, SiteError, number_of
from fedmce.wire import MODEL, ORDER, STATISTICS, UPDATE
from tests.client.test_site import SCALES, order_for, part_for
from tests.server.made import made_config

CANARY = "patient-4711-/secret/path"


class OutOfMemoryError(RuntimeError):  # torch's, by its name
    pass


def caused_by(cause: Exception) -> DataError:
    try:
        try:
            raise cause
        except OSError as inner:
            raise DataError(f"{CANARY}: not readable ({inner})") from None
    except DataError as error:
        return error


RAISED: list[tuple[BaseException, str]] = [
    (RuntimeError(CANARY), "internal"),
    (SystemExit(CANARY), "internal"),
    (KeyboardInterrupt(CANARY), "internal"),
    (GeneratorExit(CANARY), "internal"),
    (MemoryError(CANARY), "out_of_memory"),
    (OutOfMemoryError(CANARY), "out_of_memory"),
    (RuntimeError(f"DefaultCPUAllocator: can't allocate memory: {CANARY}"), "out_of_memory"),
    (RuntimeError(f"CUDA error: device-side assert triggered {CANARY}"), "device_error"),
    (DeviceError(CANARY), "device_error"),
    (DataError(CANARY), "data_invalid"),
    (caused_by(FileNotFoundError(errno.ENOENT, CANARY, CANARY)), "data_unavailable"),
    (PermissionError(errno.EACCES, CANARY, CANARY), "data_unavailable"),
    (OSError(errno.ENOSPC, CANARY, CANARY), "disk_full"),
    (OSError(CANARY), "internal"),
    (ConfigError(CANARY), "plan_refused"),
    (PlanRefusedError(CANARY), "plan_refused"),
    (VersionError(CANARY), "version"),
    (WireError(CANARY), "internal"),
    *[(SiteError(code, CANARY), code) for code in SITE_CODES],
]


def asked() -> Message:
    with identity(1):
        return Message(RecordDict(), 5, "train")


def node(home: Path | None = None, **config: Any) -> Context:
    return Context(1, 5, config | ({"home": str(home)} if home else {}), RecordDict(), {})


@pytest.mark.parametrize(("error", "code"), RAISED, ids=lambda value: value if isinstance(value, str) else None)
def test_P05_C02_an_exception_crosses_as_its_code_and_nothing_else(
    tmp_path: Path, error: BaseException, code: Any
) -> None:
    def fail(message: Message, context: Context) -> Message:
        raise error

    assert code_of(error) == code
    context = node(tmp_path)
    reply = guarded(fail, asked(), context)
    assert (reply.error.code, reply.error.reason) == (number_of(code), code)
    assert CANARY.encode() not in pack(reply, context)
    log = tmp_path / "log" / "site.log"
    assert CANARY in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_half_of_a_training_is_not_kept(tmp_path: Path) -> None:
    def fail(message: Message, context: Context) -> Message:
        context.state["private"] = array_record({"w": np.ones(2)})
        raise RuntimeError("no power")

    context = node(tmp_path)
    context.state["before"] = ConfigRecord({"x": 1})
    guarded(fail, asked(), context)
    assert set(context.state) == {"before"}


def test_a_log_that_cannot_be_written_changes_no_reply(tmp_path: Path) -> None:
    def fail(message: Message, context: Context) -> Message:
        raise RuntimeError("no power")

    (tmp_path / "log").write_text("a file in the way")
    assert guarded(fail, asked(), node(tmp_path)).error.reason == "internal"


@pytest.mark.parametrize(
    ("config", "passes"),
    [
        ({"partition-id": 0}, (KeyboardInterrupt,)),  # a person's Ctrl-C ends a simulation
        ({"home": "/x"}, ()),
        ({"home": "/x", "worker": "/x/w"}, (KeyboardInterrupt, SystemExit)),  # no training in that process
    ],
)
def test_only_what_is_meant_for_the_process_passes(
    monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], passes: tuple[type[BaseException], ...]
) -> None:
    for kind in (KeyboardInterrupt, SystemExit, MemoryError, RuntimeError):

        def fail(*given: Any, kind: type[BaseException] = kind) -> Message:
            raise kind(CANARY)

        monkeypatch.setattr(client.app, "_work", fail)
        context = Context(1, 5, dict(config), RecordDict(), {})
        if kind in passes:
            with pytest.raises(kind):
                app(asked(), context)
        else:
            assert app(asked(), context).has_error()


def test_a_message_of_no_known_type_is_answered_with_a_code() -> None:
    with identity(1):
        message = Message(RecordDict(), 5, f"query.{'x' * 40}")
    reply = app(message, node())
    assert (reply.error.code, reply.error.reason) == (number_of("internal"), "internal")


def test_a_log_is_turned_over_and_stays_private(tmp_path: Path) -> None:
    file = tmp_path / "log" / "site.log"
    for _ in range(KEPT + 3):
        log_line(file, 40, "x" * (MOST_BYTES // 2 + 1))
    found = sorted(path.name for path in file.parent.iterdir())
    assert found == ["site.log", *[f"site.log.{n}" for n in range(1, KEPT + 1)], "site.log.lock"]
    assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}
    assert all(path.stat().st_size <= MOST_BYTES for path in file.parent.iterdir())


def test_processes_that_log_at_once_lose_no_line(tmp_path: Path) -> None:
    file = tmp_path / "sites.log"
    program = "import sys; from pathlib import Path; from client.site_log import log_line\n"
    program += "for n in range(40): log_line(Path(sys.argv[1]), 40, f'{sys.argv[2]} {n}')"
    several = [subprocess.Popen([sys.executable, "-c", program, str(file), name]) for name in "abc"]
    assert [process.wait(120) for process in several] == [0, 0, 0]
    told = [line.rpartition("ERROR ")[2] for line in file.read_text().splitlines()]
    assert sorted(told) == sorted(f"{name} {n}" for name in "abc" for n in range(40))


def round_of(made: FederatedDataset, out: Path, scale: float = 1.0) -> tuple[Message, Context]:
    place = open_workplace(made_config().to_json(), "ash")
    held = place.names
    scales = {f"{m}/{part}": getattr(SCALES[m], part) for m in held for part in ("mean", "std")}
    records = {
        MODEL: array_record({k: (v * scale).astype(v.dtype) for k, v in part_for(place, held).items()}),
        STATISTICS: array_record(scales),
        ORDER: ConfigRecord(order_for(place, held).to_record()),
    }
    with identity(1):
        message = Message(RecordDict(records), 5, "train")  # type: ignore[arg-type]
    return message, Context(1, 5, {"site": "ash", "partition-id": 0}, RecordDict(), {"out": str(out)})


def test_a_message_in_a_parcel_is_answered_in_one_and_with_the_same_numbers(
    made: FederatedDataset, tmp_path: Path
) -> None:
    message, context = round_of(made, tmp_path)
    plain, reply = app(message, context), app(packed(message), context)
    assert is_parcel(reply)
    assert not is_parcel(plain)
    updates = [answer.content.array_records[UPDATE] for answer in (plain, unpacked(reply))]
    assert {k: v.data for k, v in updates[0].items()} == {k: v.data for k, v in updates[1].items()}


def test_a_parcel_that_cannot_be_read_is_answered_with_a_code(tmp_path: Path) -> None:
    bad = with_content(asked(), RecordDict({PARCEL: ConfigRecord({"body": b"\xff"})}))
    assert app(bad, node(tmp_path)).error.reason == "internal"


def test_C12_a_training_that_leaves_the_numbers_releases_nothing(made: FederatedDataset, tmp_path: Path) -> None:
    message, context = round_of(made, tmp_path, scale=1e30)
    reply = app(message, context)
    assert (reply.error.code, reply.error.reason) == (number_of("nonfinite_training"), "nonfinite_training")
    assert not reply.has_content()
    assert set(context.state) == set()
    assert "training.lr" in (tmp_path / "sites.log").read_text()  # a simulation's traces are in its run folder


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has what the case lacks")
def test_C22_a_device_that_is_not_there_is_named(made: FederatedDataset, tmp_path: Path) -> None:
    message, context = round_of(made, tmp_path)
    order = dict(message.content.config_records[ORDER])
    order["config"] = made_config(training__device="cuda").to_json()
    message.content[ORDER] = ConfigRecord(order)
    assert app(message, context).error.reason == "device_error"


def test_C17_an_order_of_another_version_is_answered_so(made: FederatedDataset, tmp_path: Path) -> None:
    message, context = round_of(made, tmp_path)
    message.content[ORDER]["schema"] = "fedmce.wire/2"
    assert app(message, context).error.reason == "version"
    assert "this program speaks fedmce.wire/1" in (tmp_path / "sites.log").read_text()


def test_after_a_failure_nothing_that_was_warm_is_used(made: FederatedDataset, tmp_path: Path) -> None:
    message, context = round_of(made, tmp_path)
    before = open_workplace(made_config().to_json(), "ash", None)
    message.content[ORDER]["site"] = "birch"
    assert app(message, context).error.reason == "plan_refused"
    assert open_workplace(made_config().to_json(), "ash", None) is not before


def test_D8_a_clientapp_is_loaded_without_torch_and_without_the_data() -> None:
    program = "import sys, client.app, client.worker.link; print(sorted({'torch', 'scipy', 'pyarrow', 'client.handler'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"
