"""What a user asks `prepare` for; this imports nothing heavy, so that the command starts fast."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from fastscnn_opt.data.source import DataSource

INFO = "fast_scnn_prep_bin.info"
"""Name of the info file in the original recipe."""


class ImageType(StrEnum):
    """What an image file holds: ``float32`` is normalised and N, C, H, W; ``uint8`` is raw and N, H, W, C."""

    FLOAT32 = "float32"
    UINT8 = "uint8"


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Attributes
    ----------
    source
        The dataset.
    root
        The folder to prepare. The info file names the images below it as it is written here, so a relative one is
        relative to where the benchmark tool will run.
    dtype
        What the image files hold.
    info
        Where the info file goes; by default `INFO` in `root`.
    scene_size
        Height and width of synthetic scenes.
    force
        Replace what was prepared from another dataset or as another type.
    verify
        Read the finished files again, and write those again whose SHA-256 differs from the manifest.
    """

    source: DataSource
    root: Path
    dtype: ImageType = ImageType.FLOAT32
    info: Path | None = None
    scene_size: tuple[int, int] | None = None
    force: bool = False
    verify: bool = False
