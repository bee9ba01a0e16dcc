"""How one function of the gate says that the reply ends here."""

from __future__ import annotations

from server.gate.verdicts import Reason


class Stop(Exception):  # noqa: N818 - not an error: control flow inside the gate
    """A check that the reply did not pass.

    Args:
        reason: of the refusal.
        detail: what was given and what is needed.
        component: that was looked at.
    """

    def __init__(self, reason: Reason, detail: str, component: str | None = None) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.component = reason, detail, component
