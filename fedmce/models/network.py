"""The multimodal network: named components that score any subset of modalities."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedmce.config.baselines_central import IMPUTING
from fedmce.models.completion import CompletionHead
from fedmce.models.components import check_components
from fedmce.models.encoders import ENCODERS
from fedmce.models.fusion import FusionInput
from fedmce.models.fusions import FUSIONS
from fedmce.models.spec import NetworkSpec
from fedmce.models.statistics import Statistics, normalise
from fedmce.streams import stream_seed


@dataclass(frozen=True)
class Batch:
    """Rows on the device; per modality only the samples that are there.

    Attributes:
        rows: number of rows b.
        values: per modality observed samples ``(observed, *shape)``; a modality nobody holds is left out.
        position: per modality the row of each sample, int64 ``(observed,)``.
        targets: class index, int64 ``(b,)``.
        index: which rows of the site these are, int64 ``(b,)``.
    """

    rows: int
    values: Mapping[str, Tensor]
    position: Mapping[str, Tensor]
    targets: Tensor
    index: Tensor | None = None


class MultimodalNet(nn.Module):
    """Encoders, projections, unimodal heads, completion heads and fusion, each a named component.

    Args:
        spec: the whole network.
        held: modalities whose components this copy has; a site builds only what it can use.
            Tokens keep all columns of the spec, columns that are not held stay empty.
        seed: root seed; each component is initialised from a stream of its own name, so a network
            with one more modality starts from the same values in all others.
    """

    def __init__(self, spec: NetworkSpec, held: Collection[str] | None = None, seed: int = 0) -> None:
        super().__init__()
        self.spec = spec
        self.held = tuple(n for n in spec.names if held is None or n in held)
        self._blank: dict[str, Tensor] = {}
        fusion_class = FUSIONS[spec.fusion]
        target = spec.width if spec.completion_target == "token" else fusion_class.state_size(spec)
        self.encoder, self.projection = nn.ModuleDict(), nn.ModuleDict()
        self.head, self.completion = nn.ModuleDict(), nn.ModuleDict()
        for modality, kind in zip(spec.modalities, spec.encoders, strict=True):
            name = modality.name
            if name not in self.held:
                continue
            with _stream(seed, f"encoder.{name}"):
                self.encoder[name] = ENCODERS[kind](modality.shape, spec.width, spec.normalisation)
            if fusion_class.uses_projection:
                with _stream(seed, f"projection.{name}"):
                    self.projection[name] = nn.Linear(spec.width, spec.hidden, bias=False)
            if spec.heads:
                with _stream(seed, f"head.{name}"):
                    self.head[name] = nn.Linear(spec.width, len(spec.classes))
            if spec.completion:
                with _stream(seed, f"completion.{name}"):
                    self.completion[name] = CompletionHead(len(spec.names), spec.width, spec.hidden, target)
        with _stream(seed, "fusion"):
            self.fusion = fusion_class(spec)
        check_components(self)

    def encode(self, batch: Batch) -> Tensor:
        """Tokens ``(rows, modalities, width)``; empty (zero) where a row lacks the modality.

        A modality that no row of the batch holds is not touched: its encoder gets no gradient, not a
        zero one.
        """
        columns = []
        device = batch.targets.device
        empty = torch.zeros(batch.rows, self.spec.width, device=device)
        for modality in self.spec.modalities:
            name = modality.name
            column = empty
            if name in batch.values and name in self.held and len(batch.values[name]):
                token = self.encoder[name](batch.values[name])
                column = column.to(token.dtype).index_copy(0, batch.position[name], token)
            columns.append(column)
        dtype = columns[0].dtype if all(c.dtype == columns[0].dtype for c in columns) else torch.float32
        return torch.stack([c.to(dtype) for c in columns], dim=1)

    def unimodal(self, token_bmd: Tensor, present: Collection[str] | None = None) -> Tensor | None:
        """Logits of the unimodal heads ``(rows, modalities, classes)``; None if there are no heads.

        Heads of modalities that are not ``present`` in the batch are not touched; default all held.
        """
        if not self.spec.heads:
            return None
        return self._by_modality(self.head, token_bmd, len(self.spec.classes), present)

    def fuse(
        self,
        token_bmd: Tensor,
        row_p: Tensor,
        member_pm: Tensor,
        unimodal_bmc: Tensor | None = None,
        present: Collection[str] | None = None,
    ) -> Tensor:
        """Logits ``(pairs, classes)`` of all (row, subset) pairs; see :meth:`fuse_states`."""
        return self.fuse_states(token_bmd, row_p, member_pm, unimodal_bmc, present)[0]

    def fuse_states(
        self,
        token_bmd: Tensor,
        row_p: Tensor,
        member_pm: Tensor,
        unimodal_bmc: Tensor | None = None,
        present: Collection[str] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Logits ``(pairs, classes)`` and fused states of all (row, subset) pairs in one call of the fusion.

        Projections and heads of modalities that are not ``present`` in the batch are not touched, so they get
        no gradient rather than a zero one, on which an optimiser with momentum would still move them.
        """
        if self.spec.absent != "skip":
            token_bmd, row_p, member_pm = self.substitute(token_bmd, row_p, member_pm, present)
            unimodal_bmc, present = None, None if self.spec.absent in IMPUTING else present
        return self._fuse_given(token_bmd, row_p, member_pm, unimodal_bmc, present)

    def fuse_given(self, token_bmd: Tensor, member_bm: Tensor, present: Collection[str] | None = None) -> Tensor:
        """Logits ``(rows, classes)`` from what :meth:`substitute` gave, one pair per row."""
        row_b = torch.arange(len(member_bm), device=member_bm.device)
        return self._fuse_given(token_bmd, row_b, member_bm, None, present)[0]

    def substitute(
        self, token_bmd: Tensor, row_p: Tensor, member_pm: Tensor, present: Collection[str] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What stands in for absent tokens (``model.absent``): tokens per pair, rows, and what each pair then has.

        ``zero_input``, ``mean_input``: the encoding of a blank sample, which is zero or the federated mean of every
        entry. ``knn_input``: nothing is left to do, the rows came with neighbours' values in place of absent ones.
        ``completed``: tokens completed from the subset. Modalities that this copy does not hold stay absent.
        """
        row = torch.arange(len(row_p), device=row_p.device)
        if self.spec.absent == "completed":
            token_pmd, has_pm = self.complete(token_bmd, row_p, member_pm, present)
            return token_pmd, row, has_pm
        held = torch.tensor([name in self.held for name in self.spec.names]).to(member_pm.device, non_blocking=True)
        token_pmd = token_bmd[row_p]
        if self.spec.absent != "knn_input":
            token_pmd = torch.where(member_pm[:, :, None], token_pmd, self._encoded_blanks(token_bmd))
        return token_pmd, row, held.expand_as(member_pm)

    def use_blanks(self, statistics: Mapping[str, Statistics]) -> None:
        """Take from the statistics what ``mean_input`` encodes in place of an absent sample."""
        self._blank = {
            name: torch.from_numpy(normalise(scale.blank[None], scale))
            for name, scale in statistics.items()
            if scale.blank is not None
        }

    def _fuse_given(
        self,
        token_bmd: Tensor,
        row_p: Tensor,
        member_pm: Tensor,
        unimodal_bmc: Tensor | None,
        present: Collection[str] | None,
    ) -> tuple[Tensor, Tensor]:
        projected = None
        if len(self.projection):
            projected = self._by_modality(self.projection, token_bmd, self.spec.hidden, present)
        if unimodal_bmc is None:
            unimodal_bmc = self.unimodal(token_bmd, present)
        return self.fusion(FusionInput(token_bmd, projected, unimodal_bmc, row_p, member_pm))  # type: ignore[no-any-return]

    def complete(
        self, token_bmd: Tensor, row_p: Tensor, member_pm: Tensor, present: Collection[str] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Tokens of each pair with completed ones for what its subset lacks.

        Every modality whose completion head this copy holds is completed from the subset's tokens; what
        the row may hold of it is not looked at. Costs one call of each head on all pairs.

        Args:
            token_bmd: tokens ``(rows, modalities, width)``.
            row_p: row of each pair, int64 ``(pairs,)``.
            member_pm: the subset of each pair, bool ``(pairs, modalities)``.
            present: modalities to complete; default all whose head this copy holds.

        Returns:
            Tokens ``(pairs, modalities, width)`` and what each pair then has, bool ``(pairs, modalities)``.
        """
        token_pmd = torch.where(member_pm[:, :, None], token_bmd[row_p], 0.0)
        columns, has = [], []
        for column, name in enumerate(self.spec.names):
            own = member_pm[:, column]
            if name in self.completion and (present is None or name in present):
                guess = self.completion[name](token_pmd, member_pm).to(token_pmd.dtype)
                columns.append(torch.where(own[:, None], token_pmd[:, column], guess))
                has.append(torch.ones_like(own))
            else:
                columns.append(token_pmd[:, column])
                has.append(own)
        return torch.stack(columns, dim=1), torch.stack(has, dim=1)

    def _by_modality(
        self, maps: nn.ModuleDict, token_bmd: Tensor, size: int, present: Collection[str] | None
    ) -> Tensor:
        """Each modality's own map of its tokens, ``(rows, modalities, size)``; zeros where it is not used."""
        blank = token_bmd.new_zeros(len(token_bmd), size)
        used = [n in self.held and (present is None or n in present) for n in self.spec.names]
        parts = [
            maps[n](token_bmd[:, i]) if use else blank
            for i, (n, use) in enumerate(zip(self.spec.names, used, strict=True))
        ]
        return torch.stack([p.to(parts[0].dtype) for p in parts], dim=1)

    def _encoded_blanks(self, like: Tensor) -> Tensor:
        """Token of a blank sample of each modality that this copy holds, ``(modalities, width)``; zeros elsewhere."""
        tokens = []
        for modality in self.spec.modalities:
            if modality.name not in self.held:
                tokens.append(like.new_zeros(1, self.spec.width))
                continue
            blank = torch.zeros(1, *modality.shape)
            if self.spec.absent == "mean_input":
                assert modality.name in self._blank, "mean_input needs use_blanks first"
                blank = self._blank[modality.name].to(blank.dtype)
            tokens.append(self.encoder[modality.name](blank.to(like.device)).to(like.dtype))
        return torch.cat(tokens)


@contextmanager
def _stream(seed: int, name: str) -> Iterator[None]:
    """Draw initial values from a stream of this name and leave the global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "init", name))
        yield
