"""The skeleton of a model: all of it but the values of large weights, which checking and shape inference do not need.

The ONNX checker and shape inference work on serialised models. A skeleton is small, however large the
weights are, so the cost depends on the number of nodes only. This also works for models beyond the 2 GB that one
protobuf message can hold.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.interface import OLDEST_IR, ONNX_DOMAINS, graphs_of, is_onnx_operator
from fastscnn_opt.model.open_sizes import VENDOR_DOMAIN, drop_made_up, names_of_dimensions, open_sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import onnx

Message = TypeVar("Message", "onnx.ModelProto", "onnx.GraphProto", "onnx.TensorProto")

ADAPTIVE_POOL = "AdaptiveAvgPool2d"
"""Operator that exporters with a custom symbolic emit and that atc takes, though ONNX does not define it."""

LARGE_ELEMENTS = 256
"""Initializers with more elements are weights; shapes, sizes, axes and the like, which inference reads, have fewer."""


_LONG_RANGE = 100_000
"""Elements of a Range that inference does not write down; nothing computes sizes from so many."""


class Skeleton:
    """A model without the values of its large initializers, for the ONNX checker and for shape inference.

    Large initializers are inputs of it. Adaptive average pooling, which ONNX does not define, is written as two
    operators of ONNX that make the same shape, so that one sweep infers the shapes behind every pooling.

    Parameters
    ----------
    model
        The model.
    where
        What errors call it.

    Raises
    ------
    ModelError
        What is left is larger than 2 GB.
    """

    def __init__(self, model: onnx.ModelProto, where: str) -> None:
        self._where = where
        skeleton = copy_without(model, "graph")
        self._added = _copy_graph(model.graph, skeleton)
        _copy_initializers(model.graph, skeleton.graph, replaceable=model.ir_version >= OLDEST_IR)
        _keep_unknown_shapes(model, skeleton.graph)
        self._names = names_of_dimensions(skeleton.graph)
        self._propagates = not _has_long_range(skeleton.graph)
        try:
            self._content: bytes = skeleton.SerializeToString()
            self._checked = skeleton.SerializeToString() if _complete_types(skeleton.graph) else self._content
        except ValueError as error:
            raise ModelError(
                "holds more than 2 GB outside the initializers of its main graph, which cannot be checked",
                where=where,
                cure="export it with its weights as initializers",
            ) from error

    def check(self) -> None:
        """Check the model with the ONNX checker. Raises ModelError with its first finding."""
        import onnx

        try:
            onnx.checker.check_model(self._checked)
        except (onnx.checker.ValidationError, ValueError) as error:
            raise ModelError(f"{_finding(str(error))}", where=self._where) from error

    def converted(self, opset: int) -> onnx.ModelProto:
        """Return the skeleton in another version of the default operator set.

        Raises
        ------
        RuntimeError, ValueError
            onnx cannot convert the model.
        """
        import onnx

        model = onnx.load_from_string(self._content)
        if model.functions or any(opset.domain == VENDOR_DOMAIN for opset in model.opset_import):
            raise ValueError("it knows neither local functions nor what ONNX does not define")
        converted: onnx.ModelProto = onnx.version_converter.convert_version(model, opset)
        return converted

    def infer(self, sizes: Mapping[str, Sequence[int]] = MappingProxyType({})) -> onnx.GraphProto:
        """Return the graph of the skeleton with the types of all outputs and inner tensors that can be inferred.

        `sizes` are shapes by name that inputs are taken to have.

        Raises
        ------
        ModelError
            Inference stops at a node, as it may where nothing has checked the model.
        """
        import onnx

        skeleton = onnx.ModelProto.FromString(self._content)
        for value in skeleton.graph.input if sizes else ():
            for dim, size in zip(value.type.tensor_type.shape.dim, sizes.get(value.name, ()), strict=False):
                dim.dim_value = size
        inferred = self._infer(skeleton.SerializeToString() if sizes else self._content)
        while open_sizes(skeleton, inferred.graph):
            inferred = self._infer(skeleton.SerializeToString())
        drop_made_up(inferred.graph, self._names)
        if self._added:
            known = [info for info in inferred.graph.value_info if info.name not in self._added]
            del inferred.graph.value_info[:]
            inferred.graph.value_info.extend(known)
        return inferred.graph

    def contradiction(self) -> str:
        """Say which node the types and shapes that follow in the model contradict, "" for none."""
        import onnx

        try:
            onnx.shape_inference.infer_shapes(self._content, check_type=True, strict_mode=True)
        except onnx.shape_inference.InferenceError as error:
            return " ".join(str(error).replace("[ShapeInferenceError]", "").split())
        return ""

    def _infer(self, content: bytes) -> onnx.ModelProto:
        import onnx

        try:
            inferred: onnx.ModelProto = onnx.shape_inference.infer_shapes(content, data_prop=self._propagates)
        except onnx.shape_inference.InferenceError as error:
            raise ModelError(f"no shapes can be inferred: {_first_line(str(error))}", where=self._where) from error
        return inferred


def _has_long_range(graph: onnx.GraphProto) -> bool:
    """Tell whether a Range of constants has many elements: where inference propagates values, it writes all of them."""
    import onnx

    nodes = [*_all_nodes(graph)]
    ranges = [node for node in nodes if node.op_type == "Range" and len(node.input) == 3]
    if not ranges:
        return False
    constants = {tensor.name: tensor for part in (graph, *subgraphs(graph)) for tensor in part.initializer}
    constants |= {
        node.output[0]: item.t
        for node in nodes
        if node.op_type == "Constant" and node.output
        for item in node.attribute
        if item.HasField("t")
    }
    for node in ranges:
        ends = [onnx.numpy_helper.to_array(constants[name]) for name in node.input if name in constants]
        if len(ends) == 3 and all(end.size == 1 and end.dtype.kind in "iuf" for end in ends):
            start, limit, step = (float(end.item()) for end in ends)
            if step and (limit - start) / step > _LONG_RANGE:
                return True
    return False


def is_large(tensor: onnx.TensorProto) -> bool:
    """Tell whether `tensor` is a weight by its size: raw or external data of more than `LARGE_ELEMENTS` elements."""
    stored_whole = tensor.HasField("raw_data") or bool(tensor.external_data)
    return stored_whole and math.prod(tensor.dims) > LARGE_ELEMENTS


def lacks_shape(value: onnx.ValueInfoProto) -> bool:
    """Tell whether a graph input or output has no type, or is a tensor without a shape."""
    kind = value.type.WhichOneof("value")
    return kind is None or (kind == "tensor_type" and not value.type.tensor_type.HasField("shape"))


def copy_without(message: Message, left_out: str) -> Message:
    """Return a copy of a message of scalars and lists without its field `left_out`."""
    copy = type(message)()
    for field, value in message.ListFields():
        if field.name == left_out:
            continue
        if isinstance(value, (int, str)):
            setattr(copy, field.name, value)
        else:
            getattr(copy, field.name).extend(value)
    return copy


def _complete_types(graph: onnx.GraphProto) -> bool:
    """Make up what the types of inputs and outputs lack, which the checker wants and engines do not; tell if so."""
    import onnx

    lacking = [value for value in (*graph.input, *graph.output) if lacks_shape(value)]
    for value in lacking:
        tensor = value.type.tensor_type
        tensor.elem_type = tensor.elem_type or onnx.TensorProto.FLOAT
        tensor.shape.SetInParent()
    return bool(lacking)


def _copy_initializers(graph: onnx.GraphProto, target: onnx.GraphProto, *, replaceable: bool) -> None:
    """Copy the small initializers of `graph`, and make an input of each large one that is no input already.

    If an initializer that is an input is `replaceable` by a caller, inference must not rely on its value.
    """
    import onnx

    inputs = {value.name for value in graph.input}
    types: dict[tuple[int, ...], onnx.TypeProto] = {}
    for tensor in graph.initializer:
        if replaceable and tensor.name in inputs:
            continue
        if not is_large(tensor):
            target.initializer.add().CopyFrom(tensor)
        elif tensor.name not in inputs:
            kind = (tensor.data_type, *tensor.dims)
            if kind not in types:
                types[kind] = onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
            target.input.add(name=tensor.name).type.CopyFrom(types[kind])


def _copy_graph(graph: onnx.GraphProto, target: onnx.ModelProto) -> set[str]:
    """Copy `graph` into `target` without initializers and inner shapes; write out adaptive poolings.

    Every adaptive pooling to h x w becomes two operators of that output shape; the tensors between them are returned.
    GlobalAveragePool keeps N and C and makes 1 x 1; an AveragePool of a 1 x 1 window with h - 1 and w - 1 elements of
    padding makes h x w of that, in every operator set. A pooling without a usable size goes to a domain that neither
    checker nor inference looks into, and so does a plug-in operator that a file has in the domain of ONNX.
    """
    import onnx

    copy, added = target.graph, set()
    copy.name = graph.name
    for repeated in ("input", "output", "sparse_initializer"):
        getattr(copy, repeated).extend(getattr(graph, repeated))
    own = {function.name for function in target.functions if function.domain in ONNX_DOMAINS}
    if all(node.op_type in own or is_onnx_operator(node.op_type) for node in _all_nodes(graph)):
        copy.node.extend(graph.node)
        return set()
    for node in graph.node:
        size = _pooled_size(node)
        if size is None:
            copy.node.append(node)
            continue
        source, result = node.input[0], node.output[0]
        mean = f"{result}/mean"
        added.add(mean)
        padding = [0, 0, size[0] - 1, size[1] - 1]
        copy.node.add(op_type="GlobalAveragePool", input=[source], output=[mean])
        copy.node.append(onnx.helper.make_node("AveragePool", [mean], [result], kernel_shape=[1, 1], pads=padding))
    for node in _all_nodes(copy):
        if node.domain in ONNX_DOMAINS and not (node.op_type in own or is_onnx_operator(node.op_type)):
            node.domain = VENDOR_DOMAIN
    target.opset_import.add(domain=VENDOR_DOMAIN, version=1)
    return added


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph and of the graphs inside them."""
    for part in (graph, *subgraphs(graph)):
        yield from part.node


def _pooled_size(node: onnx.NodeProto) -> tuple[int, int] | None:
    """Return the height and width that an adaptive pooling makes; None for another node, or without a usable size."""
    if node.op_type != ADAPTIVE_POOL or not node.input or len(node.output) != 1:
        return None
    size = next((list(attribute.ints) for attribute in node.attribute if attribute.name == "output_size"), [])
    return (size[0], size[-1]) if len(size) in (1, 2) and min(size) > 0 else None


def _keep_unknown_shapes(model: onnx.ModelProto, skeleton: onnx.GraphProto) -> None:
    """Keep the shapes that the file carries behind operators that inference knows nothing of.

    All others are dropped: after a rewrite they may no longer be true.
    """
    if model.graph.value_info:
        unknown = outputs_of_unknown(model, skeleton.node)
        skeleton.value_info.extend(info for info in model.graph.value_info if info.name in unknown)


def outputs_of_unknown(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """Return the outputs of the `nodes` in `model` whose operators inference does not know."""
    functions = {(body.domain, body.name) for body in model.functions}
    return {
        name
        for node in nodes
        if not (node.domain in ONNX_DOMAINS and is_onnx_operator(node.op_type))
        and (node.domain, node.op_type) not in functions
        and not _pooled_size(node)
        for name in node.output
    }


def _finding(text: str) -> str:
    """Make one sentence of a checker message."""
    first = _first_line(text) or "the ONNX checker refuses it"
    if "topologically sorted" in text:
        return f"its nodes are out of order, form a cycle, or read what nothing makes; export it again ({first})"
    return f"the ONNX checker refuses it: {first}"


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def subgraphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs inside the nodes of `graph`, at every depth."""
    for node in graph.node:
        for attribute in node.attribute:
            for body in graphs_of(attribute):
                yield body
                yield from subgraphs(body)
