"""The gate of one round: what only the replies of all sites together can show.

Replies are judged one at a time, as they arrive. The verdict on a site depends on its own first answer alone, so the
order of arrival changes nothing, but for copies: of two equal updates the first to come is kept.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fedmce.flower_compat import Message, RecordDict
from server.gate.expectation import Expectation, Sent
from server.gate.judge import error_of, gate, refused, where
from server.gate.size import bytes_by_component, content_bytes
from server.gate.stop import Stop
from server.gate.verdicts import Accepted, Note, Refused, Verdict, shown

MOST_STRAYS = 1000  # a flood of replies is no reason to remember each of them


@dataclass(frozen=True)
class Arrived:
    """What is kept of the reply that counts for a site.

    Attributes:
        verdict: on it.
        bytes: of its content.
        by_component: array bytes per component that the site was given; the rest under ``other``.
    """

    verdict: Verdict
    bytes: int = 0
    by_component: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Stray:
    """A reply that answers nothing that was asked, or a second one; a line for the log.

    Attributes:
        site: that sent it; None where nobody that was asked did.
        refused: why it does not count.
    """

    site: str | None
    refused: Refused


class RoundGate:
    """Judges the replies of one round.

    Args:
        sent: the messages of the round and what they should bring back.
        refuse_copies: refuse an update that equals another site's to the byte.
        closes: moment on the caller's monotonic clock after which a reply is late; None = the caller sees to it.
    """

    def __init__(self, sent: Sequence[Sent], *, refuse_copies: bool = False, closes: float | None = None) -> None:
        self.closes = closes
        self.strays: list[Stray] = []
        self._sent, self._refuse_copies = tuple(sent), refuse_copies
        self._by_node = {one.message.metadata.dst_node_id: one for one in self._sent}
        self._by_message: dict[str, Sent] = {}
        self._arrived: dict[str, Arrived] = {}
        self._marks: dict[Hashable, str] = {}

    def judge(self, reply: Message, now: float | None = None) -> tuple[str | None, Verdict]:
        """Judge one reply; the message itself need not be kept.

        Args:
            reply: as pulled.
            now: on the clock of ``closes``.

        Returns:
            The site that is meant, None where none of those asked is, and the verdict. What belongs to another run or
            to another message, comes from a stranger or comes twice is not the site's answer (``strays``).
        """
        try:
            one = self._addressed(reply)
        except Stop as stop:
            return self._stray(self._sender(reply), stop)
        except Exception as error:  # an envelope that is none
            return self._stray(None, Stop("internal", where(error)))
        expected = one.expected
        if expected.site in self._arrived:
            return self._stray(expected.site, Stop("duplicate", "its first reply counts"))
        if now is not None and self.closes is not None and now > self.closes:
            verdict: Verdict = refused(expected.site, Stop("late", f"came {now - self.closes:.3g} s after the end"))
        else:
            verdict = self._compared(expected.site, gate(reply, expected))
        self._arrived[expected.site] = _arrived(reply, verdict, expected)
        return expected.site, verdict

    def arrived(self) -> dict[str, Arrived]:
        """What came of every asked site, in the order in which they were asked; whoever did not answer is late."""
        return {one.expected.site: self._arrived.get(one.expected.site) or self._silent(one) for one in self._sent}

    def verdicts(self) -> dict[str, Verdict]:
        """The same, verdicts only."""
        return {site: arrived.verdict for site, arrived in self.arrived().items()}

    @property
    def waiting(self) -> tuple[str, ...]:
        """Sites whose answer is not there yet."""
        return tuple(one.expected.site for one in self._sent if one.expected.site not in self._arrived)

    def _addressed(self, reply: Message) -> Sent:
        """The message that this is the answer to. Raises :class:`Stop` (checks 2 to 4)."""
        told = reply.metadata
        if len(self._by_message) < len(self._sent):
            # Flower gives a message its id when it is pushed, which is after this object was made.
            self._by_message = {one.message.metadata.message_id: one for one in self._sent}
        by_message, by_node = self._by_message.get(told.reply_to_message_id), self._by_node.get(told.src_node_id)
        if by_message is not None and reply.has_error() and error_of(reply).reason == "transport":
            return by_message  # made by Flower in place of the node's own, under Flower's own number
        if any(told.run_id != one.message.metadata.run_id for one in self._sent[:1]):
            raise Stop("wrong_run", f"run {shown(told.run_id)}")
        if by_node is None:
            raise Stop("unknown_node", f"node {shown(told.src_node_id)} was not asked in this round")
        if by_message is not by_node:
            raise Stop("wrong_round", "it answers a message that this node was not sent in this round")
        return by_node

    def _sender(self, reply: Message) -> str | None:
        one = self._by_node.get(reply.metadata.src_node_id)
        return one.expected.site if one is not None else None

    def _stray(self, site: str | None, stop: Stop) -> tuple[str | None, Refused]:
        verdict = refused(site or "nobody asked", stop)
        if len(self.strays) < MOST_STRAYS:
            self.strays.append(Stray(site, verdict))
        return site, verdict

    def _compared(self, site: str, verdict: Verdict) -> Verdict:
        """Check 27, with the updates that were accepted before."""
        if not isinstance(verdict, Accepted) or verdict.mark is None or not self._refuse_copies:
            return verdict
        first = self._marks.setdefault(verdict.mark, site)
        if first == site:
            return verdict
        found = refused(site, Stop("copied", f"the update equals that of {first}"))
        copied, told = self._arrived[first], Note("copied", f"{first}, check 27: the update of {site} equals it")
        assert isinstance(copied.verdict, Accepted)
        warned = replace(copied.verdict, notes=(*copied.verdict.notes, told))
        self._arrived[first] = replace(copied, verdict=warned)
        return found

    def _silent(self, one: Sent) -> Arrived:
        site = one.expected.site
        others = sorted({stray.refused.reason for stray in self.strays if stray.site == site})
        beside = f"; what came: {', '.join(others)}" if others else ""
        return Arrived(refused(site, Stop("late", f"no reply before the deadline{beside}")))


def _arrived(reply: Message, verdict: Verdict, expected: Expectation) -> Arrived:
    try:
        content = reply.content if reply.has_content() else RecordDict()
        return Arrived(verdict, content_bytes(content), bytes_by_component(content, expected.granted))
    except Exception:  # where a record is no record, its size is unknown
        return Arrived(verdict)
