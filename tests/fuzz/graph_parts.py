"""What the changes of a model have in common: names and types to put in, and its tensors and nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from random import Random

    import onnx

NAMES = (
    "",
    "image",
    "output1",
    "unk__0",
    "x_scale",
    "b0",
    "w_quantized",
    "N",
    "x_fp16",
    "a b",
    "a|b",
    "\u00e9\x1b[31m",
)
"""Names that clash with others or with made-up ones, or that are unusual."""

TYPES = (1, 1, 1, 10, 11, 7, 6, 9, 2, 3, 8, 16, 17, 22, 14, 0)
"""Element types: mostly those that images and indices have."""


def typed_values(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the typed tensors of the main graph."""
    return [*model.graph.input, *model.graph.output, *model.graph.value_info]


def add_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give random values to the tensors that are only declared, as in ONNX's text form, and return `model`."""
    rng, made = np.random.default_rng(0), names_made(model)
    for value in [value for value in model.graph.value_info if value.name not in made]:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        values = rng.standard_normal(shape).astype(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
        model.graph.initializer.append(numpy_helper.from_array(values, value.name))
        model.graph.value_info.remove(value)
    return model


def names_made(model: onnx.ModelProto) -> list[str]:
    """Return the names of the inputs, initializers and results of the main graph."""
    graph = model.graph
    made = [name for node in graph.node for name in node.output if name]
    return [*(value.name for value in graph.input), *(tensor.name for tensor in graph.initializer), *made]


def any_node(model: onnx.ModelProto, rng: Random) -> onnx.NodeProto:
    """Return one of the nodes, or a new one of a model without nodes."""
    return rng.choice(model.graph.node) if model.graph.node else model.graph.node.add(op_type="Identity")


def rename(model: onnx.ModelProto, old: str, new: str, *, reads: bool = True, makes: bool = True) -> None:
    """Rename a tensor where nodes of the main graph read it, and where it comes from."""
    for node in model.graph.node:
        for names in [node.input] * reads + [node.output] * makes:
            names[:] = [new if name == old else name for name in names]
    sources = [*model.graph.input, *model.graph.initializer] if makes else []
    for value in sources + [*model.graph.output] * reads:
        value.name = new if value.name == old else value.name
