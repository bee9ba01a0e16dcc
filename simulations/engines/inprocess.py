"""The default engine: Flower's own ServerApp, Strategy and ClientApp objects in one process.

One ordered pass, no Ray, no waiting: the same seed gives the same bits. What Flower's own grids would
refuse (a generator of messages) this one refuses too.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flwr.app import Context, Error
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from fedmce.config.schema import RunConfig
from fedmce.flower_compat import Message, RecordDict, as_received, identity

RUN_ID = 1
HANDLER_FAILED = 2  # the code that Flower's own client process puts on an exception in the app


class InProcessGrid(Grid):
    """A grid whose nodes are calls of one ClientApp.

    Args:
        client_app: answers every message.
        nodes: number of nodes; ids 1..nodes, ``partition-id`` 0..nodes-1 as in Flower's simulation.
        run: Flower's description of the run.
        out: run folder, where sites leave the traces of failures; empty = stderr.
    """

    def __init__(self, client_app: ClientApp, nodes: int, run: Any, out: str = "") -> None:
        self._app, self._run = client_app, run
        self._contexts = {
            node: Context(
                run_id=RUN_ID,
                node_id=node,
                node_config={"partition-id": node - 1, "num-partitions": nodes},
                state=RecordDict(),
                run_config={"out": out} if out else {},
            )
            for node in range(1, nodes + 1)
        }
        self._numbers, self._replies = itertools.count(1), dict[str, Message]()

    @property
    def kept(self) -> dict[int, RecordDict]:
        """What each node keeps, by its id; committed with the round, since no node outlives this process."""
        return {node: context.state for node, context in self._contexts.items()}

    def restore(self, kept: Mapping[int, RecordDict]) -> None:
        """Give the nodes back what they kept."""
        for node, state in kept.items():
            self._contexts[node].state = state

    def set_run(self, run: Any) -> None:
        """Take Flower's description of the run."""
        self._run = run

    @property
    def run(self) -> Any:
        """Flower's description of the run."""
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message to a node (Flower's older way of making one)."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Ids of all nodes."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Hand each message to its node and keep the reply; ids of the messages in their order."""
        if not isinstance(messages, (list, tuple)):
            raise TypeError(
                f"push_messages: got {type(messages).__name__}; give a list: Flower's deployed grid takes no other"
            )
        return [self._answer(message) for message in messages]

    def _answer(self, message: Message) -> str:
        message_id = f"m{next(self._numbers)}"
        received = as_received(message, message_id)
        try:
            reply = self._app(received, self._contexts[received.metadata.dst_node_id])
        except Exception as error:  # as Flower's client process does: the error travels, the round goes on
            reply = Message(Error(code=HANDLER_FAILED, reason=f"{type(error).__name__}: {error}"), reply_to=received)
        self._replies[message_id] = reply
        return message_id

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Replies to these messages, each once, in the order of their ids."""
        order = sorted(message_ids, key=lambda text: int(text[1:]))
        return [self._replies.pop(message_id) for message_id in order if message_id in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Push and pull at once."""
        return self.pull_messages(self.push_messages(messages))


def run(config: RunConfig, folder: Path, observer: Callable[[dict[str, Any]], None], sites: Sequence[str]) -> None:
    """Run the federation in this process; see :func:`simulations.engines.run`."""
    from client.app import app as client_app
    from server.app import build_app

    with identity(RUN_ID) as description:
        grid = InProcessGrid(client_app, len(sites), description, str(folder))
        settings: dict[str, Any] = {"config-path": str(folder / "config.yaml"), "overrides": "", "out": str(folder)}
        context = Context(run_id=RUN_ID, node_id=1, node_config={}, state=RecordDict(), run_config=settings)
        build_app(observer)(grid, context)
