"""What a network looks like, as plain data: enough to build it anywhere and to load it again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fedmce.config.schema import ModelConfig
from fedmce.data.dataset import FederatedDataset, Modality

DEFAULT_ENCODER = {"image": "conv_image", "spectrogram": "conv_spectrogram", "series": "conv_series", "tabular": "mlp"}


@dataclass(frozen=True)
class NetworkSpec:
    """Shape of a :class:`fedmce.models.MultimodalNet`.

    Attributes:
        modalities: in data set order.
        classes: names of the classes.
        encoders: encoder name per modality.
        width: length of a token.
        hidden: hidden units of fusion and completion heads.
        fusion: name in the registry of fusions.
        absent: ``skip``, or what stands in for an absent modality: ``zero_input``, ``mean_input``, ``knn_input``,
            ``completed``.
        heads: unimodal heads exist.
        completion: completion heads exist.
        completion_target: what they predict, ``token`` or ``fused_token``.
        use_completion: whether a completed token stands in for an absent one when the model is used.
        normalisation: of the hidden layers of encoders, ``none`` or ``batch``.
    """

    modalities: tuple[Modality, ...]
    classes: tuple[str, ...]
    encoders: tuple[str, ...]
    width: int
    hidden: int
    fusion: str
    absent: str
    heads: bool
    completion: bool
    completion_target: str = "token"
    use_completion: str = "off"
    normalisation: str = "none"

    @property
    def needs_blank(self) -> bool:
        """The federated mean of every entry stands in for some of what is absent."""
        return self.absent in ("mean_input", "knn_input")

    @property
    def names(self) -> tuple[str, ...]:
        """Modality names in order."""
        return tuple(m.name for m in self.modalities)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> NetworkSpec:
        """Inverse of :meth:`to_dict`, from parsed JSON (lists for tuples)."""
        modalities = tuple(
            Modality(**(m | {"shape": tuple(m["shape"]), "pooled_axes": tuple(m["pooled_axes"])}))
            for m in tree["modalities"]
        )
        rest = tree | {"classes": tuple(tree["classes"]), "encoders": tuple(tree["encoders"]), "modalities": modalities}
        return cls(**rest)


def network_spec(
    dataset: FederatedDataset,
    model: ModelConfig,
    *,
    needs_heads: bool,
    needs_completion: bool,
    completion_target: str = "token",
    use_completion: str = "off",
) -> NetworkSpec:
    """The network for a data set; heads exist if the objective or the fusion needs them."""
    encoders = tuple(model.encoders.get(m.name, DEFAULT_ENCODER[m.kind]) for m in dataset.modalities)
    return NetworkSpec(
        modalities=dataset.modalities,
        classes=dataset.task.classes,
        encoders=encoders,
        width=model.width,
        hidden=model.fusion_hidden,
        fusion=model.fusion,
        absent=model.absent,
        heads=needs_heads or model.reads_heads,
        completion=needs_completion and len(dataset.modalities) > 1,
        completion_target=completion_target,
        use_completion=use_completion,
        normalisation=model.normalisation,
    )
