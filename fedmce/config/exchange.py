"""Section of the group ``exchange``: how long the server waits in a round, for whom, and when it gives up."""

from __future__ import annotations

from math import ceil
from typing import Literal

from pydantic import Field, model_validator

from fedmce.config.section import Section


class ExchangeConfig(Section):
    """The round loop: goal count, deadlines, void rounds."""

    goal: int | None = Field(
        None, ge=1, description="accepted replies that close a round early; null = those of all asked sites"
    )
    over_select: float | None = Field(
        None,
        ge=1,
        le=3,
        description="with a goal: sites asked per wanted reply; null = all up to 20 sites, 1.3 beyond",
    )
    accept_min: int | None = Field(
        1, ge=1, description="with fewer accepted replies the round is void; null = half of those asked, at least 2"
    )
    deadline_s: float = Field(900.0, gt=0, description="longest wait for the replies of a round")
    deadline: Literal["fixed", "auto"] = Field(
        "fixed", description="auto: three times the median of the last five good rounds, 60 s to deadline_s"
    )
    grace_s: float | None = Field(
        None, ge=0, description="after the goal is met, wait for replies on their way; null = min(10, deadline / 10)"
    )
    wait_sites_s: float = Field(60.0, gt=0, description="longest wait for enough sites to be online")
    poll_s: float = Field(0.5, gt=0, le=60, description="longest pause between two looks for replies")
    void_limit: int = Field(5, ge=1, description="void rounds in a row after which the run stops, to be resumed")
    run_budget_s: float | None = Field(None, gt=0, description="longest time for the whole run; null = none")
    commit_every: int = Field(
        1, ge=0, description="rounds between two commits to the folder state/, from where a run resumes; 0 = never"
    )
    refuse_copies: bool = Field(
        False, description="refuse an update that equals another site's of the same round to the byte"
    )

    @model_validator(mode="after")
    def _agree(self) -> ExchangeConfig:
        if self.goal is not None and self.accept_min is not None and self.goal < self.accept_min:
            raise ValueError(f"goal: given {self.goal}, accept_min {self.accept_min}; the goal must not be the smaller")
        return self

    def fewest(self, asked: int) -> int:
        """Accepted replies without which a round of ``asked`` sites is void."""
        return self.accept_min if self.accept_min is not None else max(2, ceil(asked / 2))

    @property
    def grace(self) -> float:
        """Seconds after the goal is met."""
        return self.grace_s if self.grace_s is not None else min(10.0, 0.1 * self.deadline_s)
