"""The bundled demo network: FastSCNN trained on synthetic street scenes, for trying things without a checkpoint.

``demo.onnx`` beside this file is a complete ONNX model in the SegmenTron layout with both auxiliary heads, exported
at 1024 x 2048. To halve the file its weights are stored as float16, each followed by a Cast.
`fastscnn_opt.demo.training` makes it.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.data.preprocess import IMAGENET
from fastscnn_opt.data.presets import preset_classes
from fastscnn_opt.model.metadata import Metadata, add_metadata

if TYPE_CHECKING:
    import onnx

DEMO_FILE = "demo.onnx"


def demo_model() -> onnx.ModelProto:
    """Load the bundled network with float32 weights; torch is not needed.

    The input ``image`` is float32 1, 3, 1024, 2048: RGB / 255, normalised with the ImageNet mean and standard
    deviation. The outputs ``output1`` to ``output3`` are logits, float32 1, 19, 1024, 2048, of the classifier and the
    two auxiliary heads. The metadata say so.
    """
    import onnx

    model = fold_casts(onnx.ModelProto.FromString(files("fastscnn_opt.demo").joinpath(DEMO_FILE).read_bytes()))
    classes = preset_classes("cityscapes")
    add_metadata(model, Metadata(classes.names, classes.palette, IMAGENET.normalisation()))
    return model


def store_as_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose float32 tensors are stored as float16, each followed by a Cast; scalars stay as they are."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    stored = onnx.ModelProto()
    stored.CopyFrom(model)
    casts = []
    for tensor in stored.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.dims:
            name = tensor.name
            values = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(values, f"{name}.float16"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"/{name}/Cast", to=TensorProto.FLOAT))
    nodes = [*casts, *stored.graph.node]
    del stored.graph.node[:]
    stored.graph.node.extend(nodes)
    onnx.checker.check_model(stored)
    return stored


def fold_casts(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which every Cast of a float16 initializer to float32 has become a float32 initializer."""
    import onnx
    from onnx import TensorProto, numpy_helper

    folded = onnx.ModelProto()
    folded.CopyFrom(model)
    half = {tensor.name: tensor for tensor in folded.graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    nodes = []
    for node in folded.graph.node:
        if node.op_type == "Cast" and node.input[0] in half and node.attribute[0].i == TensorProto.FLOAT:
            tensor = half[node.input[0]]
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, node.output[0]))
        else:
            nodes.append(node)
    del folded.graph.node[:]
    folded.graph.node.extend(nodes)
    return folded
