"""The update gate (docs/gate.md): verdicts on replies, one at a time and as a round."""

from server.gate.expectation import Expectation, Sent
from server.gate.judge import gate
from server.gate.round_gate import Arrived, RoundGate, Stray
from server.gate.size import bytes_by_component, content_bytes
from server.gate.verdicts import (
    CHECKS,
    REASONS,
    Accepted,
    Note,
    Reason,
    Refused,
    Strike,
    Verdict,
    strike,
    strike_of,
)

__all__ = [
    "CHECKS",
    "REASONS",
    "Accepted",
    "Arrived",
    "Expectation",
    "Note",
    "Reason",
    "Refused",
    "RoundGate",
    "Sent",
    "Stray",
    "Strike",
    "Verdict",
    "bytes_by_component",
    "content_bytes",
    "gate",
    "strike",
    "strike_of",
]
