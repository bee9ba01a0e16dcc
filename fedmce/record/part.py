"""What every part of ``result.json`` is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

Score = float | None


class Part(BaseModel):
    """A part of the result: no key that nobody described, no number that JSON cannot hold."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
