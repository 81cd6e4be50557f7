"""What an exported FastSCNN says of itself: its classes and what it was trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.data.presets import preset_classes
from fastscnn_opt.model.metadata import Metadata

if TYPE_CHECKING:
    from fastscnn_opt.network.layout import Layout

_STATED = ("image_mean", "image_std", "rescale_factor", "channel_order")
"""The preprocessing that belongs to the weights; the resize does not."""


def describe(
    layout: Layout, classes: int, names: tuple[str, ...] = (), palette: tuple[tuple[int, int, int], ...] = ()
) -> Metadata:
    """Return the metadata of a network; `names` and `palette` are those that its checkpoint tells.

    A network of a project that publishes weights for Cityscapes alone, with as many classes, has those of Cityscapes.
    """
    cityscapes = preset_classes("cityscapes")
    if layout.cityscapes and classes == len(cityscapes) and not names:
        names, palette = cityscapes.names, cityscapes.palette
    return Metadata(names, palette, {key: getattr(layout.preprocess, key) for key in _STATED})
