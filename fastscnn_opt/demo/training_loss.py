"""The loss of the demo training: cross entropy plus Dice loss on a grid of full-resolution pixels. Needs torch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fastscnn_opt.demo.scenes.canvas import Label

AUXILIARY_WEIGHT = 0.4
"""Weight of each auxiliary head's loss, as in the published training recipes."""


def grid(size: tuple[int, int], step: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the indices of every `step`-th row and column of an image of size `size` (H, W), from a random start."""
    first = [int(torch.randint(step, (1,), generator=generator)) for _ in size]
    return torch.arange(first[0], size[0], step), torch.arange(first[1], size[1], step)


def interpolated_at(logits: Tensor, size: tuple[int, int], rows: Tensor, columns: Tensor) -> Tensor:
    """Enlarge `logits` to height and width `size` (bilinear, aligned corners), but compute only some rows and columns.

    `logits` are N, C, h, w; the result is N, C, len(rows), len(columns). Bilinear interpolation is separable, so it is
    one matrix product for the rows and one for the columns.
    """
    height, width = logits.shape[-2:]
    down = _weights(rows, height, size[0])
    across = _weights(columns, width, size[1])
    return down @ logits.float() @ across.T


def _weights(positions: Tensor, length: int, enlarged: int) -> Tensor:
    """Return the len(positions) x `length` matrix of linear interpolation from `length` to `enlarged` values."""
    source = positions.double() * (length - 1) / (enlarged - 1)
    distance = (source[:, None] - torch.arange(length)).abs()
    return (1 - distance).clamp(min=0).float()


def segmentation_loss(logits: Tensor, labels: Tensor, class_weights: Tensor) -> Tensor:
    """Return cross entropy with `class_weights` plus the mean Dice loss of the classes in the batch.

    `logits` are N, 19, H, W, `labels` int64 N, H, W with 255 for ignored pixels. The Dice loss of a class is 1 - 2
    sum(p y) / (sum(p) + sum(y)) over the labelled pixels of the batch (Milletari et al. 2016, without the squares).
    It approximates mIoU, the metric of the network, in which a rare class counts as much as the road.
    """
    logarithms = logits.log_softmax(dim=1)
    entropy = functional.nll_loss(logarithms, labels, class_weights, ignore_index=int(Label.IGNORE))
    labelled = labels != int(Label.IGNORE)
    classes = labels.masked_fill(~labelled, 0)
    probabilities = logarithms.exp() * labelled[:, None]
    hits = probabilities.gather(1, classes[:, None]).flatten()
    none = logits.new_zeros(logits.shape[1])
    overlap = none.index_add(0, classes.flatten(), hits)
    present = none.index_add(0, classes.flatten(), labelled.flatten().to(hits.dtype))
    dice = 1 - 2 * overlap / (probabilities.sum(dim=(0, 2, 3)) + present).clamp(min=1)
    return entropy + dice[present > 0].mean()


def total_loss(
    outputs: tuple[Tensor, ...], labels: Tensor, class_weights: Tensor, step: int, generator: torch.Generator
) -> Tensor:
    """Return the main output's `segmentation_loss` plus the weighted cross entropies of the auxiliary heads.

    `outputs` are logits at any resolution; they are compared with the full-resolution `labels` on every `step`-th row
    and column.
    """
    size = (labels.shape[-2], labels.shape[-1])
    rows, columns = grid(size, step, generator)
    chosen = labels[:, rows][:, :, columns]
    main, *auxiliary = (interpolated_at(logits, size, rows, columns) for logits in outputs)
    loss = segmentation_loss(main, chosen, class_weights)
    for logits in auxiliary:
        loss = loss + AUXILIARY_WEIGHT * functional.cross_entropy(
            logits, chosen, class_weights, ignore_index=int(Label.IGNORE)
        )
    return loss
