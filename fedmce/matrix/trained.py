"""A finished run as the matrix needs it: its model, its data set and what the model says of every subset."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fedmce.config.load import config_from_yaml
from fedmce.config.schema import RunConfig
from fedmce.data import FederatedDataset, dataset_of
from fedmce.errors import DataError
from fedmce.missingness import SiteMask, observe
from fedmce.record.model_file import LoadedModel, load_model
from fedmce.scope import participants
from fedmce.training import DeviceRows, Predictions, pick_device, predict_subsets, rows_at_site


@dataclass(frozen=True)
class TrainedRun:
    """A model with the test rows of the sites that took part in its training.

    Attributes:
        folder: of the run.
        config: of the run; ``data_dir`` may be another.
        dataset: with the run's partition and quality.
        model: in evaluation mode.
        use_completion: ``off``, ``full`` or ``mean``: whether completed tokens stand in for what a subset lacks.
    """

    folder: Path
    config: RunConfig
    dataset: FederatedDataset
    model: LoadedModel
    use_completion: str = "off"
    _kept: dict[str, Predictions] = field(default_factory=dict)

    @cached_property
    def rows(self) -> dict[str, DeviceRows]:
        """Test rows per site, with natural gaps only; sites without test rows are left out."""
        found, device = {}, pick_device("cpu")
        for name in sorted(participants(self.config, self.dataset.sites)):
            site = self.dataset.sites[name]
            held = observe(site, SiteMask(site.sample_ids, site.available), self.dataset.modalities, "test")
            if held.rows:
                found[name] = rows_at_site(self.config, self.dataset, held, self.model.statistics, device)
        return found

    def every_subset(self, site: str) -> Predictions:
        """Predictions of a site's test rows from every scored subset of what they hold; made once."""
        if site not in self._kept:
            self._kept[site] = predict_subsets(self.model.network, self.rows[site], self.use_completion)
        return self._kept[site]


def open_run(folder: Path, data_dir: Path | None = None, use_completion: str = "off") -> TrainedRun:
    """Load a finished run's model and data set.

    Args:
        folder: run folder with ``config.yaml``, ``model.safetensors`` and ``model.json``.
        data_dir: folder that holds one folder per data set; default the run's own.
        use_completion: see :class:`TrainedRun`.

    Raises:
        DataError: files are absent, do not belong together, or the sites have no common model or no test rows.
        ConfigError: ``config.yaml`` is not a valid configuration.
    """
    model = load_model(folder)
    config = config_from_yaml(folder / "config.yaml")
    if config.is_personal:
        raise DataError(
            f"{folder}: every site of this run ended with a model of its own, which stayed there; needed a run with one "
            "common model: aggregation.private=[] and rule=mean"
        )
    config = config if data_dir is None else config.model_copy(update={"data_dir": str(data_dir)})
    dataset, spec = dataset_of(config), model.network.spec
    given, needed = (tuple(spec.names), tuple(spec.classes)), tuple(m.name for m in dataset.modalities)
    if given != (needed, tuple(dataset.task.classes)):
        raise DataError(
            f"{folder}: the model was trained for other modalities or classes than {dataset.name} has now; needed the "
            f"configuration that it was trained with"
        )
    if use_completion != "off" and not model.completes:
        raise DataError(f"{folder}: use_completion={use_completion}: this model completes no tokens; use off")
    run = TrainedRun(folder, config, dataset, model, use_completion)
    if not run.rows:
        raise DataError(f"{folder}: no site that took part has test rows; needed some to score")
    return run
