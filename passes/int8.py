"""The pass `int8`: quantises the network after training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip, Step
from fastscnn_opt.rewriting.graph.content import model_of, replace_content
from fastscnn_opt.rewriting.graph.tidying import tidy
from fastscnn_opt.rewriting.select import matches

from ._int8.body import LAYERS, QUANTISED, NetworkBody, find_body
from ._int8.calibration import Method, calibrate, channel_maxima
from ._int8.checking import outputs_that_deviate
from ._int8.equalising import find_links
from ._int8.preparing import Preparation, own_parameters
from ._int8.quantising import byte_ranges, clip_ranges, quantise
from ._int8.ranking import Ranking, rank_layers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import onnx
    import onnx_graphsurgeon as gs

    from ._int8.images import CalibrationImages

_OLDEST_OPSET = 13
"""The first opset in which a DequantizeLinear has a scale per channel."""


@dataclass(frozen=True)
class Int8(Pass):
    """Quantise the network to int8 in QDQ form, after training, with onnxruntime's quantizer.

    1. Layers are Conv and Gemm with constant float32 weights. They get uint8 activations, and int8 weights with a scale
       per output channel. The clipping of a layer's output replaces a Relu or Clip behind it. The nodes between layers
       (Add, Concat, pooling, Resize and the like) work on uint8, too. The nodes behind the last layer stay in float,
       and so do the matrix products of a pooling, what is inside an If, Loop or Scan, a Clip whose limits have no range
       around 0, and layers that read or make what is infinite.
    2. The pass measures the range of every activation on ``images`` images. With ``data=DIR`` they are the first of a
       Cityscapes tree's split ``train``, and with ``data=FILE.toml`` of the split that the description names; ``split``
       chooses another. Without ``data`` they are generated scenes from ``seed`` on. They must have the model's size, or
       the description says how they get it; a model of open size takes no generated scenes. ``method=minmax`` (default)
       takes the smallest and largest value, ``percentile`` leaves out one in 100,000 at either end, and ``entropy``
       minimises the divergence from the distribution in float.
    3. ``equalise=true`` (default) first scales the channels between convolutions so that their ranges agree. That
       changes nothing in float and makes far better use of eight bits.
    4. A uint8 input that is cast to float is read as it is, with scale 1 and zero point 0: without error and without a
       node. So run `uint8-input` before this pass.
    5. Layers whose name matches a glob of ``keep=a|b`` stay in float.
    6. ``max_drop=0.2`` limits the loss of mIoU, in points (percent). The pass quantises every layer alone and ranks the
       layers by how much the IoU of a class changes in the mean, gain or loss. Then it leaves the fewest layers from
       the top of the ranking in float such that this change, with all others in int8, is at most two thirds of
       ``max_drop``. The last third is a margin for images that were not measured. This needs labels, and an output
       that can be compared with them. Without ``data=FILE.toml`` the classes are those of Cityscapes.
    7. A graph that is quantised already is left alone. Below opset 13 there are no scales per channel, so convert or
       export the model with 13 or newer.
    8. The pass holds every output of the result against float on the same images. An output that is infinite or not a
       number only in int8 is an error. An output is reported if it differs from float by more than 32 % (10 dB; eight
       bits leave 16 dB and more), if an end of its range moves by more than an eighth, or, for labels, if more than a
       tenth of them change.

    Measurements stay in the cache, under everything that they depend on.
    """

    name: ClassVar[str] = "int8"
    contract: ClassVar[Contract] = Contract.LOSSY
    operators: ClassVar[tuple[str, ...]] = LAYERS

    data: str | None = None
    split: str | None = None
    images: int = 8
    seed: int = 0
    method: Method = Method.MINMAX
    equalise: bool = True
    keep: tuple[str, ...] = ()
    max_drop: float | None = None

    def __post_init__(self) -> None:
        if self.images < 1:
            raise ValueError(f"images={self.images} leaves nothing to calibrate on; use at least 1")
        if self.seed < 0:
            raise ValueError(f"seed={self.seed} is negative; use 0 or more")
        if self.max_drop is not None and not self.max_drop > 0:
            raise ValueError(f"max_drop={self.max_drop:g} leaves no room; give points of mIoU above 0, such as 0.2")

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Quantise the layers of the graph.

        Raises
        ------
        PassError
            The opset is too old, ``keep`` matches no layer, or the network does not suit ``max_drop``.
        ModelError
            The model does not take images, or not of the size of those given.
        DataError
            There are no such images.
        """
        if any(node.op in QUANTISED for node in graph.nodes):
            yield Skip("graph", "is quantised already")
            return
        tidy(graph)  # what no output needs cannot be measured
        preparation = Preparation()
        preparation.separate_names(graph)
        body = find_body(graph)
        yield from (Skip(name, reason) for name, reason in body.others.items())
        if not body.layers:
            yield Skip("graph", "has no Conv or Gemm with constant float32 weights")
            return
        if graph.opset < _OLDEST_OPSET:
            raise PassError(
                f"the model has opset {graph.opset}, and scales per channel need {_OLDEST_OPSET}",
                cure=(f"export it again with opset {_OLDEST_OPSET}, or convert it with onnx.version_converter"),
            )
        if graph.defaults:
            name = next(iter(graph.defaults))
            what = f"the quantizer would take the default value of the input {name!r} for a constant"
            raise PassError(what, cure="put constant-inputs in front of int8")
        names = [layer.name for layer in body.layers]
        kept = matches(self.keep, names, "layer", option="keep")
        allowed = [name for name in names if name not in kept]
        if not allowed:
            yield Skip("graph", "keep matches every layer")
            return
        yield from self._quantise(graph, body, allowed, preparation)

    def _quantise(
        self, graph: gs.Graph, body: NetworkBody, allowed: list[str], preparation: Preparation
    ) -> Iterator[Step]:
        images = self._open_images(graph)
        original = model_of(graph)
        own_parameters(graph, body.layers)
        preparation.tap(graph, body.made)
        links = find_links(body.layers, graph.outputs) if self.equalise else []
        if links:
            largest = channel_maxima(model_of(graph), [link.tensor for link in links], images)
            for link in links:
                link.scale(largest[link.tensor])
        model = model_of(graph)
        ranges = calibrate(model, body.ends, self.method, images) | byte_ranges(graph)
        ranges |= clip_ranges(body.between, ranges)
        endless = [name for name, limits in ranges.items() if not np.isfinite(limits).all()]
        unfit = [layer.name for layer in body.layers if {layer.inputs[0].name, layer.outputs[0].name} & {*endless}]
        yield from (Skip(name, "reads or makes what is infinite on the images, so it stays in float") for name in unfit)
        body.layers[:] = [layer for layer in body.layers if layer.name not in unfit]
        allowed = [name for name in allowed if name not in unfit]

        def build(layers: Collection[str]) -> onnx.ModelProto:
            return quantise(model, body.nodes(layers, endless), ranges, body.inside, preparation)

        ranking = None
        if self.max_drop is not None:
            ranking = rank_layers(allowed, build, original, images, self.max_drop)
            allowed = [name for name in allowed if name not in ranking.in_float]
        yield from _report(body, allowed, ranking)
        if allowed:
            result = build(allowed)
            replace_content(graph, result)
            for output, what in outputs_that_deviate(original, result, images).items():
                yield Skip(output, f"{what} on the images in int8; keep=NAME and max_drop leave layers in float")
        if self.data is None and allowed:
            yield Skip("graph", f"calibrated on generated scenes ({self.images}); data=DIR takes images of your own")

    def _open_images(self, graph: gs.Graph) -> CalibrationImages:
        from ._int8.images import CalibrationImages

        if self.data is None:
            return CalibrationImages(DataSource(synthetic=self.images, seed=self.seed), graph)
        split = self.split or (None if self.data.endswith(".toml") else "train")
        return CalibrationImages(DataSource.at(self.data, split, self.images), graph)


def _report(body: NetworkBody, allowed: list[str], ranking: Ranking | None) -> Iterator[Step]:
    if ranking is None:
        for layer in body.layers:
            chosen = layer.name in allowed
            yield Change(layer, "computes in int8") if chosen else Skip(layer, "is named by keep")
        return
    for rank, (name, alone) in enumerate(ranking.alone.items(), start=1):
        place = f"rank {rank}: alone in int8 it changes the IoU of a class by {alone.change:.3f} points"
        in_float = name in ranking.in_float
        yield Skip(name, f"kept in float, {place}") if in_float else Change(name, f"computes in int8, {place}")
    figures = (
        f"with the rest in int8 the IoU of a class changes by {ranking.loss.change:.3f} points in the mean, and mIoU "
        f"drops by {ranking.loss.drop:.3f}, on the images of the ranking"
    )
    yield Skip(
        "graph", f"no other layer need stay in float: {figures}" if allowed else "no layer fits max_drop in int8"
    )
