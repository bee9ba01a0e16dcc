"""The model of a run on disk: ``model.safetensors`` and ``model.json``, and what predicts from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from fedmce.errors import DataError
from fedmce.models import (
    Batch,
    MultimodalNet,
    NetworkSpec,
    State,
    Statistics,
    components,
    load_state,
    logits_with_completion,
    normalise,
)
from fedmce.record.result import write_json
from fedmce.wire import digest

SCHEMA = "fedmce.model/1"


def save_model(
    folder: Path,
    spec: NetworkSpec,
    state: State,
    statistics: Mapping[str, Statistics],
    kept_at_sites: Sequence[str] = (),
) -> None:
    """Write the model so that it can be loaded without the run's data or configuration.

    Args:
        folder: of the run.
        spec: the network.
        state: every component.
        statistics: of the normalisation.
        kept_at_sites: kinds of components that never left the sites: here they are as they began, so that the file
            documents the common part and :func:`load_model` refuses it.
    """
    temporary = folder / "model.safetensors.tmp"
    temporary.write_bytes(save(dict(sorted(state.items())), metadata={"schema": SCHEMA}))
    temporary.replace(folder / "model.safetensors")
    tree = {
        "schema": SCHEMA,
        "network": spec.to_dict(),
        "components": components(state),
        "statistics": {n: _scale_tree(s) for n, s in statistics.items()},
        "digest": digest(state),
    }
    if kept_at_sites:
        tree["kept_at_sites"] = list(kept_at_sites)
    write_json(folder / "model.json", tree)


def _scale_tree(scale: Statistics) -> dict[str, Any]:
    blank = {"blank": scale.blank.tolist()} if scale.blank is not None else {}
    return {"mean": scale.mean.tolist(), "std": scale.std.tolist()} | blank


def _scale_of(tree: Mapping[str, Any]) -> Statistics:
    blank = np.asarray(tree["blank"], np.float32) if "blank" in tree else None
    return Statistics(np.asarray(tree["mean"], np.float32), np.asarray(tree["std"], np.float32), blank)


@dataclass(frozen=True)
class LoadedModel:
    """A trained model that predicts from any subset of modalities.

    Attributes:
        spec: the network as a JSON-ready dict: ``modalities`` [{name, kind, shape, ...}], ``classes``, ...
    """

    spec: dict[str, Any]
    _net: MultimodalNet
    _statistics: dict[str, Statistics]

    @property
    def network(self) -> MultimodalNet:
        """The network in evaluation mode."""
        return self._net

    @property
    def statistics(self) -> dict[str, Statistics]:
        """Mean and standard deviation per modality that its inputs are normalised with."""
        return self._statistics

    @property
    def completes(self) -> bool:
        """The model can guess the tokens of absent modalities."""
        return self._net.spec.completion and self._net.spec.completion_target == "token"

    def predict(
        self,
        features: Mapping[str, npt.NDArray[np.float32]],
        available: npt.NDArray[np.bool_] | None = None,
        use_completion: str | None = None,
    ) -> npt.NDArray[np.float64]:
        """Class probabilities.

        Args:
            features: per modality ``(rows, *shape)`` in raw data set units; NaN = hole. Modalities may be
                left out; rows of NaN only are absent.
            available: bool ``(rows, modalities)`` in model order; default: what ``features`` holds.
            use_completion: ``off``, ``full`` or ``mean``: completed tokens for what a row lacks; default as the
                run was configured.

        Returns:
            float64 ``(rows, classes)``.

        Raises:
            DataError: unknown modality, wrong shape, or a row that holds nothing.
        """
        modalities = self._net.spec.modalities
        given = _checked(features, modalities)
        rows = len(next(iter(given.values())))
        present = np.zeros((rows, len(modalities)), dtype=bool)
        for column, modality in enumerate(modalities):
            if modality.name in given:
                present[:, column] = np.isfinite(given[modality.name]).reshape(rows, -1).any(axis=1)
        if available is not None:
            present &= available
        if self._net.spec.absent == "knn_input" and not present.all():
            raise DataError(
                "input: a modality is absent, and model.absent=knn_input fills it from training rows, which do not "
                "travel with a model; needed every modality of every row. train with model.absent=mean_input instead"
            )
        if (nothing := np.flatnonzero(~present.any(axis=1))).size:
            raise DataError(f"input: row {int(nothing[0])} holds no modality; each row needs at least one")
        values, position = {}, {}
        for column, modality in enumerate(modalities):
            held = np.flatnonzero(present[:, column])
            if held.size:
                samples = normalise(given[modality.name][held].astype(np.float32), self._statistics[modality.name])
                values[modality.name], position[modality.name] = torch.from_numpy(samples), torch.from_numpy(held)
        batch = Batch(rows, values, position, torch.zeros(rows, dtype=torch.int64))
        with torch.no_grad():
            token, row, member = self._net.encode(batch), torch.arange(rows), torch.from_numpy(present)
            plain = self._net.fuse(token, row, member)
            use = self._net.spec.use_completion if use_completion is None else use_completion
            if use != "off" and not self.completes:
                raise DataError(f"use_completion={use}: this model has no completion heads of tokens; use off")
            logits = logits_with_completion(self._net, token, row, member, plain, use)
        return logits.double().softmax(dim=1).numpy()


def _checked(features: Mapping[str, npt.NDArray[Any]], modalities: tuple[Any, ...]) -> dict[str, npt.NDArray[Any]]:
    known = {m.name: m for m in modalities}
    if unknown := sorted(set(features) - set(known)):
        raise DataError(f"input: modalities {unknown}; the model knows {', '.join(known)}")
    if not features:
        raise DataError(f"input: no modality; the model takes any of {', '.join(known)}")
    lengths = {name: len(value) for name, value in features.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"input: rows per modality {lengths}; equal numbers are needed")
    for name, value in features.items():
        if value.shape[1:] != known[name].shape:
            raise DataError(f"input: {name} has samples of shape {value.shape[1:]}; needed {known[name].shape}")
    return dict(features)


def load_model(folder: Path) -> LoadedModel:
    """Load the model of a run folder.

    Raises:
        DataError: a file is absent, malformed, the two do not belong together, or parts of the model stayed at sites.
    """
    try:
        tree = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        state = load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise DataError(f"{folder}: no loadable model ({error}); the folder of a finished run is needed") from error
    if not isinstance(tree, dict) or tree.get("schema") != SCHEMA or tree.get("digest") != digest(state):
        raise DataError(f"{folder}: model.json and model.safetensors do not belong together; copy both from one run")
    if kept := tree.get("kept_at_sites"):
        raise DataError(
            f"{folder}: every site of this run ended with a model of its own, whose {', '.join(kept)} stayed there; needed "
            "a run with one common model: aggregation.private=[] and rule=mean"
        )
    spec = NetworkSpec.from_dict(tree["network"])
    net = MultimodalNet(spec)
    load_state(net, state)
    net.eval()
    statistics = {n: _scale_of(s) for n, s in tree["statistics"].items()}
    net.use_blanks(statistics)
    return LoadedModel(tree["network"], net, statistics)
