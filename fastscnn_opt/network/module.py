"""FastSCNN as a torch module whose `state_dict` has exactly the keys of the published checkpoints. Needs torch.

Those of PaddleSeg are an exception: the statistics of their batch normalisation have other names than in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastscnn_opt.network.layout import BATCH_NORM_EPSILON, Activation, Convolution, Head, Layout, convolutions
from fastscnn_opt.network.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.network.checkpoint import Checkpoint

_NORM_PARTS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
"""What torch calls the parts of a batch normalisation, in the order of `Names.norm`."""


class FastSCNN(nn.Module):
    """FastSCNN in one of the checkpoint layouts.

    The dropout in front of each final convolution is left out: it has no weights and does nothing outside training.

    Parameters
    ----------
    layout
        Whose names and details to follow.
    classes
        How many classes the network tells apart.
    heads
        Auxiliary heads to build, in output order; a subset of ``layout.heads``.
    """

    def __init__(self, layout: Layout, classes: int, heads: Sequence[Head] = ()) -> None:
        super().__init__()
        self.layout = layout
        self.heads = tuple(heads)
        self._convolutions = convolutions(layout, classes, heads)
        for convolution in self._convolutions.values():
            _place(self, convolution.conv, _conv2d(convolution))
            if convolution.norm is not None:
                _place(self, convolution.norm, nn.BatchNorm2d(convolution.channels_out, eps=BATCH_NORM_EPSILON))

    def forward(
        self, image: Tensor, *, auxiliary: bool = False, size: tuple[int, int] | None = None
    ) -> tuple[Tensor, ...]:
        """Return logits N, C, H, W: the main output first, then those of the auxiliary heads if `auxiliary`.

        `image` is N, 3, H, W, float, normalised; H and W are multiples of 32. `size` is the height and width of the
        outputs, by default those of the input.
        """
        size = size or self.size(image)
        return tuple(wire(self, self.layout, image, size, self.heads if auxiliary else ()))

    def conv(self, name: str, image: Tensor) -> Tensor:
        """Apply the convolution called `name` with its batch normalisation and activation."""
        convolution = self._convolutions[name]
        before, after = convolution.padding
        if before != after:  # which Conv2d does not have
            image = functional.pad(image, (before, after, before, after))
        image = self.get_submodule(convolution.conv)(image)
        if convolution.norm is not None:
            image = self.get_submodule(convolution.norm)(image)
        match convolution.activation:
            case Activation.RELU:
                return functional.relu(image, inplace=True)
            case Activation.RELU6:
                return functional.relu6(image, inplace=True)
            case Activation.NONE:
                return image

    def relu(self, name: str, image: Tensor) -> Tensor:
        """Clip negative values."""
        return functional.relu(image)

    def add(self, name: str, first: Tensor, second: Tensor) -> Tensor:
        """Add element by element."""
        return first + second

    def concat(self, name: str, images: Sequence[Tensor]) -> Tensor:
        """Concatenate along the channels."""
        return torch.cat(list(images), dim=1)

    def pool(self, name: str, image: Tensor, bins: int) -> Tensor:
        """Average adaptively into `bins` x `bins` values."""
        return functional.adaptive_avg_pool2d(image, bins)

    def resize(self, name: str, image: Tensor, size: tuple[int, int], *, align_corners: bool) -> Tensor:
        """Interpolate to height and width `size`, bilinear."""
        return functional.interpolate(image, size=size, mode="bilinear", align_corners=align_corners)

    def size(self, image: Tensor) -> tuple[int, int]:
        """Return height and width."""
        return image.shape[-2], image.shape[-1]


def load_network(checkpoint: Checkpoint) -> FastSCNN:
    """Return the network of a checkpoint with its weights and its auxiliary heads, ready to be run."""
    network = FastSCNN(checkpoint.layout, checkpoint.classes, checkpoint.heads)
    names = {
        f"{convolution.norm}.{part}": f"{convolution.norm}.{name}"
        for convolution in convolutions(checkpoint.layout, checkpoint.classes, checkpoint.heads).values()
        for part, name in zip(convolution.norm_parts, _NORM_PARTS, strict=False)  # PaddleSeg counts no batches
    }
    network.load_state_dict({names.get(key, key): torch.tensor(value) for key, value in checkpoint.weights.items()})
    return network.eval().requires_grad_(requires_grad=False)


def _conv2d(convolution: Convolution) -> nn.Conv2d:
    before, after = convolution.padding
    return nn.Conv2d(
        convolution.channels_in,
        convolution.channels_out,
        convolution.kernel,
        stride=convolution.stride,
        padding=before if before == after else 0,
        groups=convolution.groups,
        bias=convolution.bias,
    )


def _place(root: nn.Module, path: str, module: nn.Module) -> None:
    """Register `module` at the dotted `path` under `root`, with plain containers on the way."""
    *containers, name = path.split(".")
    parent = root
    for container in containers:
        if container not in parent._modules:
            parent.add_module(container, nn.Module())
        parent = parent.get_submodule(container)
    parent.add_module(name, module)
