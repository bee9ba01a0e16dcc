"""Section of the group ``privacy``: floors below which nothing leaves a site, and the noise that a site adds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fedmce.config.section import Section


class PrivacyConfig(Section):
    """What may leave a site; a site's own ``site.yaml: release`` overrules it where it is stricter."""

    k_min: int = Field(1, ge=1, description="smallest count that is told; smaller pattern counts are merged")
    count_step: int = Field(1, ge=1, description="counts are rounded down to multiples of this")
    min_rows: int = Field(1, ge=1, description="rows that must have trained a component before it is released")
    min_rows_dense: int = Field(
        1, ge=1, description="the same where the first layer is dense on raw inputs and no noise is added"
    )
    min_steps: int = Field(1, ge=1, description="steps of local training before a component is released")
    min_batch: int = Field(1, ge=1, description="rows per step that a released training must have")
    claim_decimals: int | None = Field(
        None, ge=0, le=8, description="decimals of contribution claims; null = as measured"
    )
    metric_rows: int = Field(1, ge=1, description="losses and scores are told over at least so many rows")
    metric_digits: int | None = Field(None, ge=1, le=8, description="decimals of losses and scores; null = as measured")
    site_noise: Literal["none", "dense", "all"] = Field(
        "none",
        description="clip a component's change and add Gaussian noise at the site: never, where the first layer is dense "
        "on raw inputs, or everywhere",
    )
    noise_sd: float = Field(0.02, ge=0, le=10, description="of site_noise: standard deviation per weight")
    noise_clip: float = Field(0.5, gt=0, le=1e3, description="of site_noise: largest norm of a component's change")
    single_holder: Literal["accept", "freeze"] = Field(
        "accept", description="a component that one site holds is that site's own work: average it, or leave it still"
    )
    min_asked: int = Field(1, ge=1, description="a site answers only if at least so many sites are asked")
    i_know: bool = Field(False, description="let k_min=1 pass between real sites, where a count of one is one person")

    @property
    def is_open(self) -> bool:
        """Nothing is held back, rounded or noised."""
        least = (self.k_min, self.count_step, self.min_rows, self.min_rows_dense, self.min_steps, self.min_batch)
        whole = self.claim_decimals is None and self.metric_digits is None
        return max(*least, self.metric_rows) == 1 and whole and self.site_noise == "none"

    @property
    def tells_round(self) -> bool:
        """Orders say how many sites are asked and who holds a component alone, so that a site can refuse."""
        return not self.is_open or self.min_asked > 1 or self.single_holder == "freeze"

    @model_validator(mode="after")
    def _agree(self) -> PrivacyConfig:
        if self.min_rows_dense < self.min_rows:
            raise ValueError(f"min_rows_dense: given {self.min_rows_dense}; needed at least min_rows {self.min_rows}")
        return self
