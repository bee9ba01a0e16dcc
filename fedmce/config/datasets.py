"""Sections of the group ``dataset``: one per data set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fedmce.config.folders import FoldersConfig
from fedmce.config.section import Section


class AvDigitsConfig(Section):
    """Real UCI handwriting with synthetic speech; embedded, needs no download."""

    name: Literal["av_digits"] = "av_digits"
    train_rows: int | None = Field(None, ge=10, description="training rows per site; null = all")
    image_noise: float = Field(0.65, ge=0, le=4, description="added pixel noise, in standard deviations of the pixels")
    audio_noise: float = Field(
        0.0, ge=0, le=4, description="added MFCC noise, in standard deviations of each coefficient"
    )


class SoundMnistConfig(Section):
    """FSDD recordings of six speakers paired with MNIST images."""

    name: Literal["sound_mnist"] = "sound_mnist"
    pairs: Literal["av6", "smil"] = Field("av6", description="list of pairs: av6_pairs.csv or smil_pairs.csv")
    feature: Literal["log_mel", "mfcc"] = "log_mel"
    train_rows: int | None = Field(
        100, ge=10, description="training rows per speaker, drawn by seed; null = all that are left"
    )
    validation_rows: int = Field(50, ge=0, description="validation rows per speaker, from the official training part")
    unseen_speaker: str | None = Field(None, description="speaker that never trains; all of its test rows are the test")


class HeartDiseaseConfig(Section):
    """Four hospitals, five blocks of tests with their natural gaps."""

    name: Literal["heart_disease"] = "heart_disease"
    test_share: float = Field(0.3, gt=0, lt=0.8, description="share of each hospital's rows kept for test, stratified")
    validation_share: float = Field(0.15, ge=0, lt=0.5, description="share of each hospital's rows kept for validation")


class Leaves100Config(Section):
    """Three views of the leaves of 100 species, dealt to made sites."""

    name: Literal["leaves100"] = "leaves100"
    views: tuple[Literal["margin", "shape", "texture"], ...] = Field(
        ("margin", "shape", "texture"), min_length=1, description="views that take part"
    )
    parts: Literal[1, 2, 4, 8, 16] = Field(
        1, description="cut each view into so many blocks of columns, each a modality of its own; at most 32 in all"
    )
    site_count: int = Field(10, ge=1, le=100, description="made sites")
    label_skew: float | None = Field(
        None, gt=0, description="Dirichlet concentration of classes over sites; null = every site alike"
    )
    test_rows: int = Field(4, ge=1, le=8, description="of a species' 16 leaves, kept for test")
    validation_rows: int = Field(2, ge=0, le=7, description="of a species' 16 leaves, kept for validation")

    @model_validator(mode="after")
    def _few_enough(self) -> Leaves100Config:
        if len(set(self.views)) != len(self.views):
            raise ValueError(f"views: given {list(self.views)}; each view once")
        if len(self.views) * self.parts > 32:
            raise ValueError(f"parts: given {self.parts} of {len(self.views)} views; at most 32 modalities in all")
        if self.test_rows + self.validation_rows >= 16:
            raise ValueError("test_rows + validation_rows: a species has 16 leaves, some of which must train")
        return self


class HaptConfig(Section):
    """Activities of 30 people from a phone at the waist: gravity, body acceleration, gyroscope."""

    name: Literal["hapt"] = "hapt"
    train_rows: int | None = Field(
        50, ge=10, description="training windows per person, drawn by seed; null = all that are left"
    )
    validation_rows: int = Field(50, ge=0, description="validation windows per person who trains")
    test_rows: int | None = Field(100, ge=10, description="test windows per unseen person, drawn by seed; null = all")
    signals: tuple[Literal["gravity", "body", "gyro"], ...] = Field(
        ("gravity", "body", "gyro"), min_length=1, description="signals that take part"
    )
    axes: bool = Field(False, description="each axis of each signal is a modality of its own: nine in all")

    @model_validator(mode="after")
    def _each_once(self) -> HaptConfig:
        if len(set(self.signals)) != len(self.signals):
            raise ValueError(f"signals: given {list(self.signals)}; each signal once")
        return self


DatasetConfig = Annotated[
    AvDigitsConfig | SoundMnistConfig | HeartDiseaseConfig | Leaves100Config | HaptConfig | FoldersConfig,
    Field(discriminator="name"),
]
