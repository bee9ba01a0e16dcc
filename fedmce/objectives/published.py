"""What the public MCE code does otherwise, as far as it changes the loss of a batch (method.md 2.6).

Read in digit_recog/models/soundlenet5_mce.py, emotion_recog/models/mce_model.py and
scene_seg/imml_nets/segnet_imml.py of the authors' repository. These functions are for tables that show what each
repair is worth; no default uses them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from fedmce.models import Batch, MultimodalNet


def mixed_tokens(token_bmd: Tensor, available_bm: Tensor) -> Tensor:
    """Tokens after attention over everything that the row holds, hidden or not (item 4, the leak).

    Dot-product attention without parameters: t'_m = t_m + sum_n softmax_n(t_m t_n / sqrt(D)) t_n over what the row
    holds. A subset that is then cut from t' has seen what it hides.

    Args:
        token_bmd: tokens ``(rows, modalities, width)``.
        available_bm: bool ``(rows, modalities)``.
    """
    score = token_bmd @ token_bmd.transpose(1, 2) / token_bmd.shape[2] ** 0.5
    score = score.masked_fill(~available_bm[:, None, :], float("-inf"))
    mixed = token_bmd + score.softmax(dim=2) @ token_bmd
    return torch.where(available_bm[:, :, None], mixed, 0.0)


def zeros_encoded(net: MultimodalNet, token_bmd: Tensor, available_bm: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Tokens of zeros for what a row lacks, and every modality of the batch as present (item 7).

    Returns:
        Tokens ``(rows, modalities, width)`` and membership, bool ``(rows, modalities)``.
    """
    columns, has = [], []
    for column, modality in enumerate(net.spec.modalities):
        own = available_bm[:, column]
        if modality.name in batch.values:
            blank = net.encoder[modality.name](torch.zeros(1, *modality.shape, device=own.device))
            columns.append(torch.where(own[:, None], token_bmd[:, column], blank.to(token_bmd.dtype)))
            has.append(torch.ones_like(own))
        else:
            columns.append(token_bmd[:, column])
            has.append(own)
    return torch.stack(columns, dim=1), torch.stack(has, dim=1)


def diluted_unimodal_losses(logits_bmc: Tensor, target_b: Tensor, available_bm: Tensor) -> Tensor:
    """Mean over *all* rows of the loss of logits and labels that were multiplied by availability (item 8).

    A row without the modality has logits 0 and class 0: it adds log C to the mean and nothing to the gradient.

    Returns:
        ``(modalities,)``.
    """
    rows, modalities, classes = logits_bmc.shape
    logits = (logits_bmc * available_bm[:, :, None]).reshape(-1, classes)
    target = (target_b[:, None] * available_bm).reshape(-1)
    return F.cross_entropy(logits, target, reduction="none").reshape(rows, modalities).mean(dim=0)
