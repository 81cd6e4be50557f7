"""Which layers stay in float so that a network keeps its accuracy in int8."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    import onnx

    from .images import CalibrationImages, ClassIoU

MARGIN = 1.5
"""The budget is divided by this on the images of the ranking, to leave room for other images. It was chosen on few
trials with one trained FastSCNN, whose held-out images were looked at while choosing: a rule of thumb, and no bound."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IouLoss:
    """How far a model is from another on some images, in points (percent of IoU).

    Attributes
    ----------
    drop
        Loss of mIoU over the classes present.
    change
        Mean over the same classes of the size of the change of IoU, whether gain or loss. On a few images a loss of
        one class may be hidden by the luck of another; on others it need not be, so this is what a budget is held to.
    """

    drop: float
    change: float


@dataclass(frozen=True)
class Ranking:
    """The layers of a network ranked by the loss that each causes in int8, and those that stay in float.

    Attributes
    ----------
    alone
        The loss when one layer alone computes in int8, by layer; the largest change comes first.
    in_float
        The layers that stay in float: the first of the ranking.
    loss
        The loss with all other layers in int8.
    """

    alone: dict[str, IouLoss]
    in_float: tuple[str, ...]
    loss: IouLoss


def rank_layers(
    layers: Sequence[str],
    build: Callable[[Collection[str]], onnx.ModelProto],
    original: onnx.ModelProto,
    images: CalibrationImages,
    max_drop: float,
) -> Ranking:
    """Rank the layers, and leave the fewest from the top of the ranking in float such that the loss fits `max_drop`.

    Parameters
    ----------
    layers
        Names of the layers.
    build
        Makes the model in which the layers of these names compute in int8.
    original
        The model in float.
    images
        Images and labels.
    max_drop
        Points of mIoU that may be lost on other images.
    """
    reference = images.class_iou(original)
    alone: dict[str, IouLoss] = {}
    for number, layer in enumerate(layers, start=1):
        alone[layer] = loss_between(reference, images.class_iou(build([layer])))
        _log.info("layer %d of %d alone in int8: %s, %s", number, len(layers), layer, alone[layer])
    order = sorted(layers, key=lambda layer: -alone[layer].change)
    for count in range(len(order)):
        whole = loss_between(reference, images.class_iou(build(order[count:])))
        _log.info("%d layers in float: %s", count, whole)
        if max(whole.change, whole.drop) <= max_drop / MARGIN:
            break
    else:
        count, whole = len(order), IouLoss(0.0, 0.0)
    return Ranking({layer: alone[layer] for layer in order}, tuple(order[:count]), whole)


def loss_between(before: ClassIoU, after: ClassIoU) -> IouLoss:
    """Return how far the IoU of the classes in `after` is from that in `before`."""
    differences = [
        100 * ((before[name] or 0.0) - (after[name] or 0.0))
        for name in before
        if before[name] is not None or after[name] is not None
    ]
    count = max(1, len(differences))
    return IouLoss(sum(differences) / count, sum(map(abs, differences)) / count)
