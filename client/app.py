"""The Flower ClientApp of a site.

The module itself is light: a deployed site starts a process per message, so torch and the data stay in a site worker
(:mod:`client.worker`) where the node names one. Else the same handler runs in this process.
"""

from __future__ import annotations

from flwr.app import Context
from flwr.clientapp import ClientApp

from client.door import guarded
from fedmce.flower_compat import Message, RecordDict
from fedmce.parcel import is_parcel, packed, unpacked


class SiteApp(ClientApp):
    """Flower's ClientApp behind a door that answers with a code whatever happens inside."""

    def __call__(self, message: Message, context: Context) -> Message:
        """The reply to a message; never an exception, but for being told to stop."""
        return guarded(self._answer, message, context, _passing(context))

    def _answer(self, message: Message, context: Context) -> Message:
        """The reply, packed as the message was."""
        reply = super().__call__(unpacked(message), context)
        return packed(reply) if is_parcel(message) else reply


def _passing(context: Context) -> tuple[type[BaseException], ...]:
    """What is meant for this process and not for the training.

    A person interrupts a simulation as a whole. Beside a worker no training runs in this process, so what asks it to
    exit is a signal; without one, a ``SystemExit`` is most likely the training's.
    """
    node = context.node_config
    if node.get("worker"):
        return (KeyboardInterrupt, SystemExit)
    return (KeyboardInterrupt,) if "partition-id" in node else ()


app = SiteApp()


@app.query("profile")
def profile(message: Message, context: Context) -> Message:
    """Say what this site holds."""
    return _work(message, context)


@app.query("probe")
def probe(message: Message, context: Context) -> Message:
    """Say that this site lives."""
    return Message(RecordDict(), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Score the received model, train it, send back what was trained."""
    return _work(message, context)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Score the received model only."""
    return _work(message, context)


def _work(message: Message, context: Context) -> Message:
    if context.node_config.get("worker"):
        from client.worker.link import answer_by_worker

        return answer_by_worker(message, context)
    from client.handler import handle

    return handle(message, context)
