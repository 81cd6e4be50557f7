"""Change what a model declares and stores: types, sizes, initializers, inputs, versions, metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from graph_parts import NAMES, TYPES, any_node, typed_values
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from random import Random

    import onnx

KEYS = ("names", "fastscnn_opt.palette", "fastscnn_opt.preprocess", "Image.BitmapPixelFormat", "author")

TEXTS = ("", "{}", "{0: 'road'}", "[[1, 2, 3]]", '{"image_mean": "x"}', '{"image_std": [0]}', "Bgr8", "[" * 300, "nan")


def element_type(model: onnx.ModelProto, rng: Random) -> None:
    if values := typed_values(model):
        rng.choice(values).type.tensor_type.elem_type = rng.choice(TYPES)


def stored_type(model: onnx.ModelProto, rng: Random) -> None:
    if model.graph.initializer:
        tensor = rng.choice(model.graph.initializer)
        if tensor.data_type in (1, 6, 7, 10, 11):
            kind = rng.choice((np.float32, np.float16, np.float64, np.int64, np.int32, np.uint8, np.bool_))
            values = np.nan_to_num(numpy_helper.to_array(tensor), posinf=0, neginf=0)
            tensor.CopyFrom(numpy_helper.from_array(values.astype(kind), tensor.name))


def size(model: onnx.ModelProto, rng: Random) -> None:
    values = [value for value in typed_values(model) if value.type.tensor_type.shape.dim]
    if not values:
        return
    dims = rng.choice(values).type.tensor_type.shape.dim
    dim = rng.choice(dims)
    match rng.randrange(6):
        case 0:
            dim.dim_value = rng.choice((0, 1, 2, 3, 7, -1))
        case 1:
            dim.dim_param = rng.choice(NAMES)
        case 2:
            dim.Clear()
        case 3:
            del dims[rng.randrange(len(dims))]
        case 4:
            dims.add(dim_value=rng.choice((1, 2)))
        case _:
            for each in dims:
                each.dim_param = rng.choice(("N", "H", "unk__0"))


def open_batch(model: onnx.ModelProto, rng: Random) -> None:
    for value in [*model.graph.input, *model.graph.output]:
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = rng.choice(("N", "batch"))


def no_shape(model: onnx.ModelProto, rng: Random) -> None:
    if values := [*model.graph.output, *model.graph.value_info]:
        rng.choice(values).type.tensor_type.ClearField("shape")


def versions(model: onnx.ModelProto, rng: Random) -> None:
    match rng.randrange(5):
        case 0:
            model.ir_version = rng.choice((3, 4, 6, 8, 10, 11, 13, 99))
        case 1 if model.opset_import:
            rng.choice(model.opset_import).version = rng.choice((1, 7, 8, 9, 11, 12, 13, 17, 18, 20, 22, 99))
        case 2:
            model.opset_import.add(
                domain=rng.choice(("", "ai.onnx", "vendor", "ai.onnx.ml")), version=rng.choice((1, 17))
            )
        case 3 if model.opset_import:
            del model.opset_import[rng.randrange(len(model.opset_import))]
        case _:
            for opset in model.opset_import:
                opset.domain = opset.domain or "ai.onnx"


def default_input(model: onnx.ModelProto, rng: Random) -> None:
    """Make a stored tensor an input as well, as exporters did before IR version 4."""
    if model.graph.initializer:
        many = [rng.choice(model.graph.initializer)] if rng.random() < 0.5 else model.graph.initializer
        model.graph.input.extend(helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in many)
        model.ir_version = rng.choice((3, model.ir_version))


def input_for_stored(model: onnx.ModelProto, rng: Random) -> None:
    if model.graph.initializer:
        tensor = rng.choice(model.graph.initializer)
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
        model.graph.initializer.remove(tensor)


def stored_for_input(model: onnx.ModelProto, rng: Random) -> None:
    if model.graph.input:
        value = rng.choice(model.graph.input)
        dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if (
            value.type.tensor_type.elem_type in (1, 7, 9, 10)
            and 0 <= np.prod(dims) < 10_000
            and min(dims, default=0) >= 0
        ):
            kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            model.graph.initializer.append(numpy_helper.from_array(np.ones(dims, kind), value.name))
            if rng.random() < 0.7:
                model.graph.input.remove(value)


def constant_node(model: onnx.ModelProto, rng: Random) -> None:
    if model.graph.initializer:
        tensor = rng.choice(model.graph.initializer)
        node = helper.make_node("Constant", [], [tensor.name], value=tensor)
        if tensor.data_type == TensorProto.INT64 and len(tensor.dims) == 1 and rng.random() < 0.5:
            node = helper.make_node("Constant", [], [tensor.name], value_ints=numpy_helper.to_array(tensor).tolist())
        model.graph.node.insert(0, node)
        model.graph.initializer.remove(tensor)


def stored_values(model: onnx.ModelProto, rng: Random) -> None:
    tensors = [tensor for tensor in model.graph.initializer if tensor.data_type in (1, 6, 7, 10, 11)]
    if not tensors:
        return
    tensor = rng.choice(tensors)
    values = numpy_helper.to_array(tensor).copy()
    match rng.randrange(4):
        case 0:
            special = (0, 1, -1, 1e30, np.nan, np.inf) if values.dtype.kind == "f" else (0, 1, -1, 2**31 - 1)
            values[...] = rng.choice(special)
        case 1:
            values = values[..., None] if rng.random() < 0.5 else values[None]
        case 2:
            values = values.reshape(-1)[: rng.choice((0, 1, 2))]
        case _:
            values = -values
    with np.errstate(all="ignore"):
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def twice_stored(model: onnx.ModelProto, rng: Random) -> None:
    if model.graph.initializer:
        copy = rng.choice(model.graph.initializer)
        model.graph.initializer.append(copy)
        if rng.random() < 0.8:
            model.graph.initializer[-1].name += "_copy"


def wrong_shape(model: onnx.ModelProto, rng: Random) -> None:
    made = [name for node in model.graph.node for name in node.output if name]
    if made:
        shape = rng.choice(([1], [1, 2, 3, 4], ["N", 3], [], None, [0], ["N", "C", "H", "W"]))
        value = helper.make_tensor_value_info(rng.choice(made), rng.choice((1, 1, 1, 7, 10)), shape)
        model.graph.value_info.append(value)


def metadata(model: onnx.ModelProto, rng: Random) -> None:
    model.metadata_props.add(key=rng.choice(KEYS), value=rng.choice(TEXTS))
    model.doc_string = model.graph.doc_string = rng.choice(("", "about", "\u0000"))
    if model.graph.node:
        any_node(model, rng).doc_string = "of a node"
