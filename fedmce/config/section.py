"""Base of all sections of a configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base of all sections: unknown keys refused, values frozen, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ObjectiveSection(Section):
    """What all objectives share: which parts of the network they need."""

    @property
    def uses_heads(self) -> bool:
        """Unimodal heads are trained, whatever the fusion."""
        return False

    @property
    def completes(self) -> bool:
        """Completion heads are trained."""
        return False
