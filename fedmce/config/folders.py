"""Sections of ``dataset=folders``: one folder of own data per site, and the plan that travels without any of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from fedmce.config.section import Section

SiteName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")]
ModalityName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,40}$")]
ClassName = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Metric = Literal["accuracy", "auc_within_sites"]

AXES = {"image": 3, "spectrogram": 3, "series": 2, "tabular": 1}  # of one sample, by kind; channels first
TAKEN = ("sample_id", "target", "split", "nothing")  # columns of the table, and the name of an empty pattern


class ModalitySection(Section):
    """What a site folder and a plan both say of a modality."""

    kind: Literal["image", "spectrogram", "tabular", "series"] = Field(
        description="family of encoder: image and spectrogram (channels, height, width), series (channels, steps), "
        "tabular (features)"
    )
    shape: tuple[Annotated[int, Field(ge=1)], ...] = Field(description="of one sample, channels first")
    units: str = Field("not stated", description="of one entry, in words")
    pooled_axes: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (), description="axes of shape that share mean and standard deviation, e.g. [0, 1, 2] of a grey image"
    )
    real: bool = Field(True, description="measured in the world, not made by a program")

    @model_validator(mode="after")
    def _fits(self) -> ModalitySection:
        needed = AXES[self.kind]
        if len(self.shape) != needed:
            raise ValueError(f"shape: given {list(self.shape)}; needed {needed} numbers for kind={self.kind}")
        if any(axis >= needed for axis in self.pooled_axes) or len(set(self.pooled_axes)) != len(self.pooled_axes):
            raise ValueError(
                f"pooled_axes: given {list(self.pooled_axes)}; needed each axis of shape at most once, 0 to {needed - 1}"
            )
        return self


class PlannedModality(ModalitySection):
    """A modality of the plan."""

    name: ModalityName


class FoldersConfig(Section):
    """Own data: one site folder per site (docs/site-folder.md)."""

    name: Literal["folders"] = "folders"
    path: str | None = Field(
        None, description="folder that holds one site folder per site; null = each site opens its own (deployment)"
    )
    modalities: tuple[PlannedModality, ...] = Field(
        (), description="the plan, in the order of columns everywhere; empty = as the folders say"
    )
    classes: tuple[ClassName, ...] = Field((), description="of the plan, in order; empty = as the folders say")
    metric: Metric | None = Field(None, description="of the plan; null = as the folders say")

    @model_validator(mode="after")
    def _planned_or_there(self) -> FoldersConfig:
        names = [modality.name for modality in self.modalities]
        if len(set(names)) != len(names) or set(names) & set(TAKEN):
            raise ValueError(f"modalities: given {names}; each name once, and none of {', '.join(TAKEN)}")
        if len(self.classes) == 1 or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes: given {list(self.classes)}; needed at least two, each once")
        if self.path is None and not (self.modalities and self.classes):
            raise ValueError(
                "path: nothing given; needed the folder that holds the site folders, or, where each site opens its own, "
                "modalities and classes"
            )
        return self
