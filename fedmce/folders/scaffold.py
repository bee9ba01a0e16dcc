"""An empty site folder with comments: what to fill in, and what each key means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from fedmce.errors import ConfigError
from fedmce.folders import yaml_core
from fedmce.folders.importing_parts import POOLED
from fedmce.folders.layout import FEATURES, ID, SAMPLES, SITE_FILE, SPLIT, TARGET, SiteFile
from fedmce.folders.write import new_folder

MODALITY = re.compile(r"(?P<name>[^:]+):(?P<kind>[^:]+):(?P<shape>[0-9]+(?:x[0-9]+)*)(?::(?P<units>.+))?")
TEXT = """\
# What this folder holds. docs/site-folder.md explains every key; `fedmce site check` says what is wrong.
format: 1
site: {site} # small letters, digits and -
task:
  kind: classification
  classes: {classes} # names, in the order of their numbers from 0; the same at every site
  metric: accuracy # or auc_within_sites, of two classes
modalities: # each is a column of samples.csv, and an array features/<name>.npy unless the column holds paths of files
{modalities}
# release: {{k_min: 10, min_rows: 32}} # floors of this site, which overrule those of the plan where they are stricter
allow_links: false # true: links may lead out of this folder
shared_rows: false # true: two samples may name one row of features
private: true # warn where others on this machine can read the folder
"""
LINE = "  {name}: {{kind: {kind}, shape: [{shape}], dtype: float32, units: {units}, pooled_axes: {axes}, real: true}}"


def init_folder(out: Path, site: str, modalities: Sequence[str], classes: Sequence[str]) -> list[Path]:
    """Write ``site.yaml``, the head of ``samples.csv`` and an empty ``features/``.

    Args:
        out: new or empty.
        site: the site's name.
        modalities: ``NAME:KIND:SHAPE`` or ``NAME:KIND:SHAPE:UNITS``, such as ``image:image:1x28x28``.
        classes: at least two names.

    Returns:
        The files.

    Raises:
        ConfigError: the folder is not empty, or a modality is not written so.
        DataError: a name, kind or shape that the format does not have.
    """
    lines = [_line(text) for text in modalities]
    text = TEXT.format(site=_quoted(site), classes=_quoted(list(classes)), modalities="\n".join(lines))
    names = list(SiteFile.from_tree(yaml.safe_load(text), SITE_FILE).modalities)
    if len(names) < len(lines):
        raise ConfigError("--modality: a name is given twice; needed each modality once")
    out = new_folder(out)
    (out / FEATURES).mkdir()
    (out / SITE_FILE).write_text(text, encoding="utf-8")
    (out / SAMPLES[1]).write_text(",".join([ID, TARGET, SPLIT, *names]) + "\n", encoding="utf-8")
    return [out / SITE_FILE, out / SAMPLES[1], out / FEATURES]


def _line(text: str) -> str:
    found = MODALITY.fullmatch(text)
    if found is None:
        raise ConfigError(f"--modality: given {text!r}; needed NAME:KIND:SHAPE, such as image:image:1x28x28")
    shape, kind = found["shape"].split("x"), found["kind"]
    return LINE.format(
        name=_quoted(found["name"]),
        kind=_quoted(kind),
        shape=", ".join(shape),
        units=_quoted(found["units"] or "not stated"),
        axes=list(POOLED.get(kind, ())),
    )


def _quoted(value: object) -> str:
    """As YAML inside ``{...}``, in quotes where it would else be read as something else."""
    return yaml_core.dump([value], one_line=True).strip()[1:-1]
