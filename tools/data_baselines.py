"""Measure how hard a data set is: one small model per modality, trained centrally, and their mean of logits.

    python tools/data_baselines.py av_digits --seeds 5
    python tools/data_baselines.py sound_mnist --data-dir DIR --seeds 5

Encoder: conv 3x3 8 - ReLU - pool 2 - conv 3x3 16 - ReLU - pool 2 - linear 32 - ReLU - head. Adam with one-cycle
step size, weight decay 1e-4, batch 32. Figures in docs/data.md come from here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fedmce.config.schema import AvDigitsConfig, SoundMnistConfig
from fedmce.data import FederatedDataset, load_dataset


def pooled(data: FederatedDataset, modality: str, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of one split over all sites: features ``(rows, *shape)`` and targets ``(rows,)``."""
    features = np.concatenate([site.features[modality][site.split == split] for site in data.sites.values()])
    targets = np.concatenate([site.targets[site.split == split] for site in data.sites.values()])
    return torch.from_numpy(features), torch.from_numpy(targets)


def network(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """The small convolutional model of the module's text."""
    flat = 16 * (shape[1] // 4) * (shape[2] // 4)
    body = [nn.Conv2d(shape[0], 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*body, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(flat, 32), nn.ReLU(), nn.Linear(32, classes))


def logits(data: FederatedDataset, index: int, seed: int, epochs: int, lr: float) -> torch.Tensor:
    """Train on one modality and return the logits of the test rows, ``(rows, classes)``."""
    modality = data.modalities[index]
    x, y = pooled(data, modality.name, "train")
    axes = (0, *(axis + 1 for axis in modality.pooled_axes))
    mean, std = x.mean(axes, keepdim=True), x.std(axes, keepdim=True)
    x = (x - mean) / std
    torch.manual_seed(seed)
    model = network(modality.shape, len(data.task.classes))
    steps = epochs * -(-len(x) // 32)
    optimiser = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=1e-4)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(32):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimiser.step()
            plan.step()
    with torch.no_grad():
        return torch.Tensor(model((pooled(data, modality.name, "test")[0] - mean) / std))


def main() -> None:
    """Print mean and population standard deviation of the test accuracy over seeds."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("name", choices=["av_digits", "sound_mnist"])
    ask.add_argument("--data-dir", type=Path)
    ask.add_argument("--seeds", type=int, default=3)
    ask.add_argument("--epochs", type=int, default=20)
    ask.add_argument("--lr", type=float, default=4e-3)
    ask.add_argument("--image-noise", type=float)
    given = ask.parse_args()
    torch.set_num_threads(1)
    noise = {} if given.image_noise is None else {"image_noise": given.image_noise}
    config = AvDigitsConfig(**noise) if given.name == "av_digits" else SoundMnistConfig()
    found: dict[str, list[float]] = {}
    for seed in range(given.seeds):
        data = load_dataset(config, given.data_dir, seed)
        scores = [logits(data, i, seed, given.epochs, given.lr) for i in range(len(data.modalities))]
        y = pooled(data, data.modalities[0].name, "test")[1]
        for modality, score in zip(data.modalities, scores, strict=True):
            found.setdefault(modality.name, []).append(float((score.argmax(1) == y).float().mean()))
        both = torch.stack([score.log_softmax(1) for score in scores]).sum(0)
        found.setdefault("both", []).append(float((both.argmax(1) == y).float().mean()))
    for key, values in found.items():
        print(f"{key}: {np.mean(values):.3f} +- {np.std(values):.3f}")


if __name__ == "__main__":
    main()
