"""The format of a site folder: names of files and columns, and ``site.yaml`` as a checked object.

A folder holds ``site.yaml``, a table ``samples.parquet`` (or ``samples.csv``) and ``features/``. Each modality
is a column of the table: a row number in ``features/<modality>.npy``, or the path of a file; an empty cell is an
absence, so that an absence cannot be mistaken for zeros.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from fedmce.config.explain import explain
from fedmce.config.folders import TAKEN, ClassName, Metric, ModalityName, ModalitySection, SiteName
from fedmce.config.section import Section
from fedmce.errors import DataError
from fedmce.folders import yaml_core
from fedmce.folders.release import Release

FORMAT = 1  # version of the format that this release writes; it reads 1 to this
SITE_FILE = "site.yaml"
SAMPLES = ("samples.parquet", "samples.csv")  # the first that is there is read
FEATURES = "features"
CHECKSUMS = "SHA256SUMS"
ID, TARGET, SPLIT = "sample_id", "target", "split"
SPLITS = {"train": "train", "val": "validation", "test": "test"}  # in the table -> in a data set
DTYPES = ("float16", "float32", "float64", "uint8", "int16", "int32")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
AUDIO = (".wav", ".flac", ".ogg")
VOLUMES = (".nii", ".nii.gz")
ARRAYS = (".npy",)


class Strict(Section):
    """Base of the sections of ``site.yaml``: no value is bent into another type (``site: no`` is no text)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class FolderTask(Strict):
    """What is predicted."""

    kind: Literal["classification"] = "classification"
    classes: tuple[ClassName, ...] = Field(min_length=2, description="names, in the order of their numbers from 0")
    metric: Metric = "accuracy"

    @model_validator(mode="after")
    def _once(self) -> FolderTask:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes: given {list(self.classes)}; needed each class once")
        return self


class FolderModality(ModalitySection):
    """One modality at this site."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

    dtype: Literal["float16", "float32", "float64", "uint8", "int16", "int32"] = Field(
        "float32", description="of features/<modality>.npy; values are taken as they are"
    )
    holes: bool = Field(
        False, description="a NaN inside a sample that is there stands for an entry that was not recorded"
    )
    fit: Literal["exact", "resize"] = Field(
        "exact", description="files of another size: refused, or images resampled and recordings cut or padded"
    )


class SiteFile(Strict):
    """``site.yaml``."""

    format: Annotated[int, Field(ge=1, le=FORMAT)] = FORMAT
    site: SiteName
    task: FolderTask
    modalities: dict[ModalityName, FolderModality] = Field(min_length=1)
    release: Release = Release.model_validate({})
    allow_links: bool = Field(False, description="links may lead out of the folder")
    shared_rows: bool = Field(False, description="two samples may name one row of features")
    private: bool = Field(True, description="warn where others on this machine can read the folder")
    provenance: dict[str, str] = Field(
        default_factory=dict, description="per modality, and of labels and sites: what is real, and from where"
    )
    caution: tuple[str, ...] = Field((), description="sentences that must stand beside any score")

    @model_validator(mode="after")
    def _no_taken_name(self) -> SiteFile:
        if taken := set(self.modalities) & set(TAKEN):
            raise ValueError(f"modalities.{sorted(taken)[0]}: a name that is taken; needed another one")
        return self

    @classmethod
    def from_tree(cls, tree: object, source: str = SITE_FILE) -> SiteFile:
        """Check what a YAML loader gave.

        Raises:
            DataError: every problem in one message that starts with ``source``.
        """
        if problems := problems_of(tree):
            raise DataError(f"{source}: " + "; ".join(problems))
        return cls.model_validate_json(_as_json(tree))

    @classmethod
    def read(cls, folder: Path) -> SiteFile:
        """Read ``folder/site.yaml``.

        Raises:
            DataError: it is not there, no YAML mapping, or not as the format says.
        """
        path = Path(folder) / SITE_FILE
        try:
            tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: cannot be read ({error}); needed the site.yaml of a site folder") from None
        except yaml.YAMLError as error:
            raise DataError(f"{path}: not YAML ({' '.join(str(error).split())}); needed a mapping") from None
        return cls.from_tree(tree, str(path))

    def to_tree(self) -> dict[str, Any]:
        """What goes into ``site.yaml``: optional keys only where they are not as by default."""
        tree = self.model_dump(mode="json")
        tree["release"] = self.release.model_dump(mode="json", exclude_unset=True)
        for key in ("release", "provenance", "caution"):
            if not tree[key]:
                del tree[key]
        for modality in tree["modalities"].values():
            for key, usual in (("holes", False), ("fit", "exact")):
                if modality[key] == usual:
                    del modality[key]
        return tree

    def write(self, folder: Path) -> Path:
        """Write ``folder/site.yaml``."""
        path = Path(folder) / SITE_FILE
        path.write_text(yaml_core.dump(self.to_tree()), encoding="utf-8")
        return path


def problems_of(tree: object) -> list[str]:
    """What is wrong with a tree read from ``site.yaml``, one sentence per key, in the order of the keys; empty = nothing."""
    if not isinstance(tree, dict):
        return [
            f"given {'nothing' if tree is None else type(tree).__name__}; needed a mapping of keys. "
            "run `fedmce site init`"
        ]
    try:
        SiteFile.model_validate_json(_as_json(tree))
    except ValidationError as error:
        return [message for _, message in explain(error, tree, SiteFile)]
    return []


def features_file(folder: Path, modality: str) -> Path:
    """Array that the row numbers of a modality's column point into, ``(rows present, *shape)``."""
    return Path(folder) / FEATURES / f"{modality}.npy"


def _as_json(tree: object) -> str:
    # In JSON a list may become a tuple although types are strict; a date that YAML made of a text becomes text
    # again, and is then refused by its pattern or taken as it was written.
    return json.dumps(tree, default=str)
