"""Scale the channels between two convolutions so that one step of uint8 suits them all.

A network that was trained in float has channels of very different ranges, above all around depthwise convolutions,
and an activation has one scale for all of them. ReLU lets a positive factor through, so dividing what a convolution
makes by a factor per channel, and multiplying what the next one reads by it, leaves the network's function as it is.
After Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), section 4.1, with
the ranges of the activations measured, as SmoothQuant (Xiao et al., 2022) does, in place of those of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

_LARGEST_RATIO = 64.0
"""Largest ratio of two factors, so that a channel that is almost dead on the sample images does no harm on others."""

_HOMOGENEOUS = ("Relu", "LeakyRelu")
"""Activations f with f(s x) = s f(x) for s > 0."""


@dataclass(frozen=True)
class Link:
    """An activation `tensor` with the convolution that makes it and the convolutions that read it."""

    tensor: str
    producer: gs.Node
    consumers: tuple[gs.Node, ...]
    depthwise: bool

    def scale(self, largest: NDArray[np.float64]) -> None:
        """Scale the channels, whose largest magnitudes are `largest`, and leave the function of the graph as it is.

        A depthwise convolution has a scale of its own for the weights of every channel, so the ranges of the channels
        can be made equal. Any other has one scale for all that go into a sum, so half of the way is left to the
        weights (on a logarithmic scale).
        """
        if not np.isfinite(largest).all():
            return
        factors = np.maximum(largest, 1e-12 * max(largest.max(), 1.0))
        if not self.depthwise:
            weights = np.max([_weight_maxima(node) for node in self.consumers], axis=0)
            factors = np.sqrt(factors / np.maximum(weights, 1e-12))
        factors = np.maximum(factors, factors.max() / _LARGEST_RATIO)
        factors = (factors / np.exp(np.log(factors).mean())).astype(np.float64)
        for tensor in self.producer.inputs[1:]:
            tensor.values = _times(tensor.values, 1 / factors, 0)
        for node in self.consumers:
            weight = node.inputs[1]
            if self.depthwise:
                weight.values = _times(weight.values, np.repeat(factors, len(weight.values) // len(factors)), 0)
            else:
                weight.values = _times(weight.values, factors, 1)


def find_links(layers: Iterable[gs.Node], outputs: Iterable[gs.Tensor]) -> list[Link]:
    """Return the activations between the convolutions `layers` whose channels can be scaled.

    Weights must belong to one layer alone, and nothing but these layers may see the activation; `outputs` are those of
    the graph.
    """
    convolutions = {id(layer): layer for layer in layers if layer.op == "Conv"}
    seen = {id(tensor) for tensor in outputs}
    links = []
    for producer in convolutions.values():
        tensor = producer.outputs[0]
        if id(tensor) in seen or not _owns_weights(producer):
            continue
        if len(tensor.outputs) == 1 and tensor.outputs[0].op in _HOMOGENEOUS:
            tensor = tensor.outputs[0].outputs[0]
        readers = tuple(tensor.outputs)
        if id(tensor) in seen or not readers or not all(id(node) in convolutions for node in readers):
            continue
        kinds = {_kind(node, len(producer.inputs[1].values)) for node in readers}
        if len(kinds) == 1 and None not in kinds and all(map(_owns_weights, readers)):
            links.append(Link(tensor.name, producer, readers, kinds == {"depthwise"}))
    return links


def _owns_weights(node: gs.Node) -> bool:
    return all(len(tensor.outputs) == 1 for tensor in node.inputs[1:])


def _kind(node: gs.Node, channels: int) -> str | None:
    group = node.attrs.get("group", 1)
    if group == 1:
        return "dense"
    return "depthwise" if group == channels else None


def _weight_maxima(node: gs.Node) -> NDArray[np.float64]:
    """Return the largest magnitude of the weights of each input channel."""
    weight = node.inputs[1].values
    largest: NDArray[np.float64] = np.abs(weight).max(axis=tuple(axis for axis in range(weight.ndim) if axis != 1))
    return largest.astype(np.float64)


def _times(values: NDArray[np.float32], factors: NDArray[np.float64], axis: int) -> NDArray[np.float32]:
    shape = [1] * values.ndim
    shape[axis] = -1
    return (values * factors.reshape(shape)).astype(np.float32)
