"""A dataset of synthetic street scenes, rendered when they are asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import PIL

from fastscnn_opt.data.dataset import Classes, Sample
from fastscnn_opt.data.presets import preset_classes
from fastscnn_opt.demo import scenes
from fastscnn_opt.demo.scenes import render_scene

if TYPE_CHECKING:
    from collections.abc import Mapping

SIZE = (1024, 2048)
"""Height and width of the Cityscapes images."""


def scene_name(seed: int) -> str:
    """Return the name of the scene of `seed`."""
    return f"scene_{seed:06d}"


@dataclass(frozen=True)
class SyntheticDataset:
    """The scenes of `seeds`, each of height and width `size`."""

    seeds: range
    size: tuple[int, int] = SIZE
    prediction_map: Mapping[int, int] = field(default_factory=dict)
    threshold: float | None = None

    @property
    def classes(self) -> Classes:
        """The Cityscapes classes."""
        return preset_classes("cityscapes")

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each scene."""
        return tuple(scene_name(seed) for seed in self.seeds)

    def __len__(self) -> int:
        return len(self.seeds)

    def load(self, index: int) -> Sample:
        """Render one scene."""
        height, width = self.size
        image, label = render_scene(self.seeds[index], height=height, width=width)
        return Sample(scene_name(self.seeds[index]), image, label)

    def fingerprint(self) -> str:
        """Return hexadecimal text that changes with the choice of scenes and with the code that draws them."""
        digest = hashlib.sha256(f"{self.seeds} {self.size} {PIL.__version__} {np.__version__}".encode())
        sources = (file for file in files(scenes).iterdir() if file.name.endswith(".py"))
        for file in sorted(sources, key=lambda file: file.name):
            digest.update(file.read_bytes())
        return digest.hexdigest()
