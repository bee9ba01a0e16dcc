"""``site.yaml: release``: floors of a site's own, which overrule the plan's where they are stricter."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from fedmce.config.privacy import PrivacyConfig
from fedmce.config.section import Section

MORE = ("k_min", "count_step", "min_rows", "min_rows_dense", "min_steps", "min_batch", "metric_rows", "min_asked")
FEWER = ("claim_decimals", "metric_digits")  # null tells most
ORDER = {"site_noise": ("none", "dense", "all"), "single_holder": ("accept", "freeze")}  # stricter to the right


class Release(Section):
    """Any of the keys of :class:`~fedmce.config.privacy.PrivacyConfig`; what is not given is left to the plan."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

    k_min: int | None = Field(None, ge=1)
    count_step: int | None = Field(None, ge=1)
    min_rows: int | None = Field(None, ge=1)
    min_rows_dense: int | None = Field(None, ge=1)
    min_steps: int | None = Field(None, ge=1)
    min_batch: int | None = Field(None, ge=1)
    claim_decimals: int | None = Field(None, ge=0, le=8)
    metric_rows: int | None = Field(None, ge=1)
    metric_digits: int | None = Field(None, ge=1, le=8)
    site_noise: Literal["none", "dense", "all"] | None = None
    noise_sd: float | None = Field(None, ge=0, le=10)
    noise_clip: float | None = Field(None, gt=0, le=1e3)
    single_holder: Literal["accept", "freeze"] | None = None
    min_asked: int | None = Field(None, ge=1)

    def overrule(self, plan: PrivacyConfig) -> PrivacyConfig:
        """The stricter of the plan's and the site's value, key by key.

        Larger is stricter for counts and ``noise_sd``, smaller for decimals, digits and ``noise_clip``; ``noise_sd``
        and ``noise_clip`` of a plan without noise bind nobody, so a site that adds noise brings its own.
        """
        values: dict[str, Any] = plan.model_dump()
        own = {key: value for key, value in self.model_dump().items() if value is not None}
        for key in own.keys() & set(MORE):
            values[key] = max(values[key], own[key])
        for key in own.keys() & set(FEWER):
            values[key] = own[key] if values[key] is None else min(values[key], own[key])
        for key in own.keys() & ORDER.keys():
            values[key] = max(values[key], own[key], key=ORDER[key].index)
        for key, pick in (("noise_sd", max), ("noise_clip", min)):
            if key in own:
                values[key] = own[key] if plan.site_noise == "none" else pick(values[key], own[key])
        # A floor for dense components is never the lower one.
        values["min_rows_dense"] = max(values["min_rows_dense"], values["min_rows"])
        return PrivacyConfig.model_validate(values)

    def above(self, plan: PrivacyConfig) -> list[str]:
        """Keys in which the plan is below the site's own floors, as ``key: 10 in the plan, 20 at the site``.

        ``single_holder`` is not one of them: a site that wants such a component left still just holds it back.
        """
        stricter = self.overrule(plan)
        own = {key for key, value in self.model_dump().items() if value is not None} - {"single_holder"}
        if stricter.site_noise == "none":
            own -= {"noise_sd", "noise_clip"}
        told = {key: (getattr(plan, key), getattr(stricter, key)) for key in sorted(own)}
        return [f"{key}: {old} in the plan, {new} at the site" for key, (old, new) in told.items() if old != new]
