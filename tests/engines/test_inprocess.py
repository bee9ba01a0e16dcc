"""The in-process grid behaves as Flower's own grids do, as far as an app can see."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Context
from flwr.supercore.task_identity import TaskIdentity

from client.app import app as client_app
from fedmce.data import FederatedDataset
from fedmce.flower_compat import (
    SWITCHES,
    ConfigRecord,
    Message,
    MetricRecord,
    RecordDict,
    array_record,
    arrays_of,
    identity,
)
from server.strategy import ComponentStrategy
from simulations.engines.inprocess import InProcessGrid
from tests.server.made import SITES, made_config, open_federation, same_bits

NODES = 3


def echo(message: Message, context: Context) -> Message:
    count = context.state.get("count", ConfigRecord({"n": 0}))["n"] + 1
    context.state["count"] = ConfigRecord({"n": count})
    about = {"node": context.node_id, "part": context.node_config["partition-id"], "count": count}
    return Message(RecordDict({"about": ConfigRecord(about)}), reply_to=message)


@pytest.fixture
def run() -> Iterator[Any]:
    with identity(1) as description:
        yield description


def messages(grid: InProcessGrid, content: RecordDict | None = None) -> list[Message]:
    content = RecordDict({"x": ConfigRecord({"a": 1})}) if content is None else content
    return [Message(content, node, "train") for node in grid.get_node_ids()]


def grid_of(app: Callable[[Message, Context], Message], run: Any) -> InProcessGrid:
    return InProcessGrid(app, NODES, run)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrap", [iter, lambda m: (x for x in m), set, lambda m: dict.fromkeys(m)])
def test_anything_but_a_list_of_messages_is_refused(run: Any, wrap: Callable[[Any], Any]) -> None:
    grid = grid_of(echo, run)
    with pytest.raises(TypeError, match="give a list"):
        grid.push_messages(wrap(messages(grid)))


def test_each_reply_is_found_by_the_message_it_answers(run: Any) -> None:
    grid = grid_of(echo, run)
    sent = messages(grid)
    ids = list(grid.push_messages(sent))
    assert ids == [m.metadata.message_id for m in sent]
    assert len(set(ids)) == NODES
    for message, reply in zip(sent, grid.pull_messages(ids), strict=True):
        assert reply.metadata.reply_to_message_id == message.metadata.message_id
        assert reply.content["about"]["node"] == message.metadata.dst_node_id


def test_a_reply_is_handed_out_once(run: Any) -> None:
    grid = grid_of(echo, run)
    ids = list(grid.push_messages(messages(grid)))
    assert len(list(grid.pull_messages(ids[:1]))) == 1
    assert len(list(grid.pull_messages(ids))) == NODES - 1
    assert list(grid.pull_messages(ids)) == []


def test_the_order_of_replies_is_that_of_messages_even_beyond_ten(run: Any) -> None:
    grid = grid_of(echo, run)
    ids = [i for _ in range(5) for i in grid.push_messages(messages(grid))]
    replies = list(grid.pull_messages(set(ids)))
    assert [r.metadata.reply_to_message_id for r in replies] == ids


def test_nodes_look_as_in_flowers_simulation_and_keep_their_state(run: Any) -> None:
    grid = grid_of(echo, run)
    assert list(grid.get_node_ids()) == [1, 2, 3]
    for count in (1, 2):
        about = [dict(r.content["about"]) for r in grid.send_and_receive(messages(grid))]
        assert about == [{"node": n, "part": n - 1, "count": count} for n in (1, 2, 3)]


def test_an_exception_at_a_site_becomes_an_error_reply(run: Any) -> None:
    def app(message: Message, context: Context) -> Message:
        if context.node_id == 2:
            raise ValueError("the disk is full")
        return echo(message, context)

    grid = grid_of(app, run)
    first, second, third = grid.send_and_receive(messages(grid))
    assert second.has_error()
    assert (second.error.code, second.error.reason) == (2, "ValueError: the disk is full")
    assert not first.has_error()
    assert not third.has_error()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interruption_at_a_site_is_no_reply(run: Any, stop: type[BaseException]) -> None:
    def app(message: Message, context: Context) -> Message:
        raise stop

    grid = grid_of(app, run)
    with pytest.raises(stop):
        grid.push_messages(messages(grid))


def test_a_site_that_spoils_what_it_got_changes_nothing_for_anybody_else(run: Any) -> None:
    seen = []

    def spoil(message: Message, context: Context) -> Message:
        arrays, order = message.content["arrays"], message.content["order"]
        seen.append(({k: a.numpy() for k, a in arrays.items()}, {k: str(v) for k, v in order.items()}))
        for value in (*arrays_of(arrays).values(), *(a.numpy() for a in arrays.values())):
            value[...] = np.nan
        order["list"].append("spoilt")
        order["text"] = "spoilt"
        arrays["w"].data = b"spoilt"
        del arrays["b"]
        message.content["more"] = MetricRecord({"x": 1})
        return echo(message, context)

    values = {"w": np.arange(4, dtype=np.float32), "b": np.zeros((2, 2), np.float32)}
    content = RecordDict({"arrays": array_record(values), "order": ConfigRecord({"list": ["a"], "text": "t"})})
    grid = grid_of(spoil, run)
    list(grid.send_and_receive(messages(grid, content)))
    assert same_bits(arrays_of(content["arrays"]), values)
    assert dict(content["order"]) == {"list": ["a"], "text": "t"}
    assert set(content) == {"arrays", "order"}
    assert len(seen) == NODES
    for arrays, order in seen:
        assert same_bits(arrays, values)
        assert order == {"list": "['a']", "text": "t"}


def test_training_in_place_changes_no_committed_model(made: FederatedDataset, run: Any) -> None:
    """The real app on real messages: what the server holds is what it held."""
    federation = open_federation(made_config(), made, client_app, run)
    before = {k: v.copy() for k, v in federation.initial.model.items()}
    replies = federation.train_replies()
    assert same_bits(federation.strategy.state.model, before)
    updates = {s: arrays_of(r.content["update"]) for s, r in replies.items()}
    federation.commit(replies.values())
    committed = {k: v.copy() for k, v in federation.strategy.state.model.items()}
    federation.train_replies(2)
    assert same_bits(federation.strategy.state.model, committed)
    assert all(same_bits(arrays_of(replies[s].content["update"]), updates[s]) for s in SITES)


def test_identity_is_taken_and_given_back() -> None:
    names = ("run_id", "node_id", "task_id")
    with identity(7) as description:
        assert description.run_id == 7
        assert [getattr(TaskIdentity, n) for n in names] == [7, 1, 1]
        with identity(8):
            assert TaskIdentity.run_id == 8
        assert TaskIdentity.run_id == 7
        Message(RecordDict(), 1, "train")
    for name in names:
        with pytest.raises(RuntimeError):
            getattr(TaskIdentity, name)


def test_identity_is_given_back_after_a_failure() -> None:
    with pytest.raises(ZeroDivisionError), identity(7):
        1 / 0  # noqa: B018
    with pytest.raises(RuntimeError):
        _ = TaskIdentity.run_id


PROGRAM = """
import os, sys
for name in {names!r}:
    os.environ.pop(name, None)
seen = {{}}
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("flwr", "ray") and name not in seen:
            seen[name] = {{k: os.environ.get(k) for k in {names!r}}}
        return None
sys.meta_path.insert(0, Watch())
import {module}
assert seen.get("flwr") == {switches!r}, seen
"""


@pytest.mark.parametrize("module", ["server.app", "client.app", "simulations.engines.inprocess"])
def test_flower_is_silent_before_it_is_imported(repository: Path, module: str) -> None:
    program = PROGRAM.format(names=sorted(SWITCHES), module=module, switches=dict(sorted(SWITCHES.items())))
    environment = {k: v for k, v in os.environ.items() if k not in SWITCHES}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_the_strategy_gets_a_list(made: FederatedDataset, run: Any) -> None:
    federation = open_federation(made_config(), made, client_app, run)
    strategy: ComponentStrategy = federation.strategy
    arrays = array_record(strategy.state.model)
    assert isinstance(strategy.configure_train(1, arrays, ConfigRecord(), federation.grid), list)
    assert isinstance(strategy.configure_evaluate(1, arrays, ConfigRecord(), federation.grid), list)
