"""Leaves sizes open that shape inference cannot know: those that engines compute in another way, and made-up names.

Shape inference multiplies sizes by float scales in double precision where engines do it in float32, and operator sets
differ on whether pooling keeps a last window that lies in the padding. Such a size is computed in all the ways that are
known, and is left open where they differ.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.model.interface import ONNX_DOMAINS, graphs_of, operator_of, with_subgraphs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import onnx
    from numpy.typing import NDArray

    Shape = Sequence[int | None]
    """A shape, with None for a dimension that is not known."""

VENDOR_DOMAIN = "fastscnn_opt.vendor"
"""A domain that neither the checker nor shape inference looks into."""

_POOLS = ("MaxPool", "AveragePool", "LpPool")
_SIZED_BY_FLOATS = ("Resize", "Upsample", "Range", *_POOLS)
"""The operators for which `disputed_axes` may find something."""

_GENERATED = "unk__"
"""How the names begin that inference gives to dimensions that it cannot tell."""


def open_sizes(model: onnx.ModelProto, inferred: onnx.GraphProto) -> bool:
    """Open the disputed sizes in `model`: give the nodes that make them an unknown domain, and state what is certain.

    `inferred` is the graph of `model` with inferred types. What is behind an opened size is wrong in it, so infer again
    and call this again until it returns False.
    """
    if not _open_in(_Scope(model.graph, inferred, None, _uncertain_functions(model)), set()):
        return False
    if all(opset.domain != VENDOR_DOMAIN for opset in model.opset_import):
        model.opset_import.add(domain=VENDOR_DOMAIN, version=1)
    return True


class _Scope:
    """A graph beside its inferred copy, and what is known of its tensors and of those of the graphs around it."""

    def __init__(
        self, graph: onnx.GraphProto, inferred: onnx.GraphProto, outer: _Scope | None, uncertain: set[tuple[str, str]]
    ) -> None:
        self.graph, self.inferred, self.outer, self.uncertain = graph, inferred, outer, uncertain
        self.types = {info.name: info for info in (*inferred.input, *inferred.value_info, *inferred.output)}
        self.values: dict[str, Any] = {tensor.name: tensor for tensor in inferred.initializer}
        self.values |= {
            node.output[0]: node for node in inferred.node if operator_of(node) == "Constant" and node.output
        }

    def shape(self, name: str) -> Shape | None:
        """Return the shape of a tensor, or None where it is not known."""
        if name in self.types:
            tensor = self.types[name].type.tensor_type
            known = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
            return known if tensor.HasField("shape") else None
        if name in self.values:
            values = self.constant(name)
            return None if values is None else list(values.shape)
        return None if self.outer is None else self.outer.shape(name)

    def constant(self, name: str) -> NDArray[Any] | None:
        """Return the values of an initializer or a Constant, or None for another tensor."""
        import onnx

        if name not in self.values:
            return None if name in self.types or self.outer is None else self.outer.constant(name)
        value = self.values[name]
        if isinstance(value, onnx.NodeProto):
            value = onnx.helper.get_attribute_value(value.attribute[0]) if len(value.attribute) == 1 else None
        if isinstance(value, onnx.TensorProto):
            return onnx.numpy_helper.to_array(value)
        return np.asarray(value) if isinstance(value, (int, float, list)) else None


def _open_in(scope: _Scope, behind: set[str]) -> bool:
    """Open the disputed sizes of one graph; `behind` collects the tensors that come after one, and is read again."""
    opened = False
    holders = {node.output[0] for node in with_subgraphs(scope.graph.node) if node.output}
    for node, copy in zip(scope.graph.node, scope.inferred.node, strict=True):
        holds_graphs = bool(holders) and bool(node.output) and node.output[0] in holders
        if not (behind or holds_graphs or scope.uncertain or node.op_type in _SIZED_BY_FLOATS):
            continue
        found = not behind.isdisjoint(node.input)
        if not found and node.op_type in _SIZED_BY_FLOATS:
            opened |= (found := _open_node(scope, node))
        elif not found and (node.domain, node.op_type) in scope.uncertain:
            opened |= (found := _open_call(scope, node))
        for attribute, other in zip(node.attribute, copy.attribute, strict=True) if holds_graphs else ():
            for body, inner in zip(graphs_of(attribute), graphs_of(other), strict=True):
                opened |= (inside := _open_in(_Scope(body, inner, scope, scope.uncertain), behind))
                found |= inside or not behind.isdisjoint(value.name for value in body.output)
        if found:
            behind.update(node.output)
    return opened


def _open_node(scope: _Scope, node: onnx.NodeProto) -> bool:
    after = scope.shape(node.output[0])
    axes = disputed_axes(node, scope.shape(node.input[0]), after, scope.constant) if after else []
    if axes:
        _hide(scope, node, axes)
    return bool(axes)


def _open_call(scope: _Scope, node: onnx.NodeProto) -> bool:
    """Open all sizes of a call of a function, in which nothing tells them apart."""
    ranks = [len(shape) for name in node.output if (shape := scope.shape(name))]
    if ranks:
        _hide(scope, node, range(max(ranks)))
    return bool(ranks)


def _hide(scope: _Scope, node: onnx.NodeProto, axes: Iterable[int]) -> None:
    """Give `node` an unknown domain, and its outputs the types that were found, but for the sizes of `axes`."""
    node.domain = VENDOR_DOMAIN
    declared = {info.name: info for info in scope.graph.output}
    for name in node.output:
        if name not in scope.types:
            continue
        certain = type(scope.types[name])()
        certain.CopyFrom(scope.types[name])
        for axis in set(axes) & set(range(len(certain.type.tensor_type.shape.dim))):
            certain.type.tensor_type.shape.dim[axis].Clear()
        if name not in declared:
            scope.graph.value_info.append(certain)
            continue
        stated = declared[name].type.tensor_type
        if not stated.HasField("shape"):
            stated.CopyFrom(certain.type.tensor_type)
        for dim, inferred in zip(stated.shape.dim, certain.type.tensor_type.shape.dim, strict=False):
            if not dim.WhichOneof("value"):
                dim.CopyFrom(inferred)


def _uncertain_functions(model: onnx.ModelProto) -> set[tuple[str, str]]:
    """Return domain and name of the functions in which a size is computed from floats, or with a rounding up."""
    found: set[tuple[str, str]] = set()
    before = -1
    while before != len(found):  # a function may call another one
        before = len(found)
        for function in model.functions:
            if any((node.domain, node.op_type) in found or _may_be_disputed(node) for node in function.node):
                found.add((function.domain, function.name))
    return found


def _may_be_disputed(node: onnx.NodeProto) -> bool:
    if operator_of(node) in _POOLS:
        return any(attribute.name in ("ceil_mode", "auto_pad") for attribute in node.attribute)
    names = {attribute.name for attribute in node.attribute}
    has_sizes = len(node.input) > 3 and "keep_aspect_ratio_policy" not in names
    return operator_of(node) == "Upsample" or (operator_of(node) == "Resize" and not has_sizes)


def names_of_dimensions(graph: onnx.GraphProto) -> set[str]:
    """Return the names of dimensions that the inputs and outputs of `graph`, and of the graphs inside it, have."""
    infos = (*graph.input, *graph.output, *graph.value_info)
    names = {dim.dim_param for info in infos for dim in _dimensions(info.type)}
    return names.union(*map(names_of_dimensions, _inner_graphs(graph)))


def drop_made_up(graph: onnx.GraphProto, known: set[str]) -> None:
    """Open the dimensions that inference found negative, or named with a name that is not one of the `known`.

    Two dimensions may have the same made-up name and different sizes.
    """
    for info in (*graph.value_info, *graph.output):
        kind = info.type
        for dim in kind.tensor_type.shape.dim if kind.HasField("tensor_type") else _dimensions(kind):
            if ((name := dim.dim_param) and name.startswith(_GENERATED) and name not in known) or dim.dim_value < 0:
                dim.Clear()
    for body in _inner_graphs(graph):
        drop_made_up(body, known)


def _inner_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    for node in with_subgraphs(graph.node):
        for attribute in node.attribute:
            yield from graphs_of(attribute)


def _dimensions(kind: onnx.TypeProto) -> Iterator[onnx.TensorShapeProto.Dimension]:
    """Yield the dimensions of a tensor, or of the tensors in a sequence, a map or an optional."""
    match kind.WhichOneof("value"):
        case "tensor_type":
            yield from kind.tensor_type.shape.dim
        case "sparse_tensor_type":
            yield from kind.sparse_tensor_type.shape.dim
        case "sequence_type":
            yield from _dimensions(kind.sequence_type.elem_type)
        case "optional_type":
            yield from _dimensions(kind.optional_type.elem_type)
        case "map_type":
            yield from _dimensions(kind.map_type.value_type)


def disputed_axes(
    node: onnx.NodeProto,
    before: Sequence[object] | None,
    after: Shape,
    constant: Callable[[str], NDArray[Any] | None],
) -> list[int]:
    """Return the axes of the first output of `node` whose sizes engines may see otherwise.

    Parameters
    ----------
    before, after
        The shapes of its first input and of its first output, as inferred.
    constant
        Returns the values of a tensor by name, or None where they are not known.
    """
    import onnx

    if node.op_type not in _SIZED_BY_FLOATS or node.domain not in ONNX_DOMAINS:
        return []
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "Range":
        return [] if _length_is_certain([constant(name) for name in node.input]) else [0]
    sizes = enumerate(zip(before or (), after, strict=False))
    fixed = {axis: size for axis, (size, made) in sizes if isinstance(size, int) and made is not None}
    if node.op_type in _POOLS:
        return [axis for axis, size in fixed.items() if axis > 1 and _pooled_sizes_differ(attributes, axis - 2, size)]
    return _disputed_of_resize(node, attributes, fixed, len(after), constant)


def _length_is_certain(ends: list[NDArray[Any] | None]) -> bool:
    """Tell whether the length of a Range of integers, or of `ends` that give one length however it is computed."""
    if any(end is None for end in ends):
        return True  # inference finds a length only from constants, or from integers that it has followed
    start, limit, delta = (np.asarray(end).reshape(()) for end in ends)
    if np.issubdtype(delta.dtype, np.integer):
        return True
    lengths = set()
    with np.errstate(all="ignore"):
        for span in (limit - start, np.float64(limit) - np.float64(start)):
            for dtype in (np.float32, np.float64):
                lengths.add(float(np.ceil(np.divide(span, delta, dtype=dtype))))
    return len(lengths) == 1


def _pooled_sizes_differ(attributes: dict[str, Any], spatial: int, size: int) -> bool:
    kernel = attributes.get("kernel_shape", ())
    if spatial >= len(kernel):
        return False
    stride = (*attributes.get("strides", ()), *[1] * len(kernel))[spatial]
    dilation = (*attributes.get("dilations", ()), *[1] * len(kernel))[spatial]
    window = (kernel[spatial] - 1) * dilation + 1
    padding = attributes.get("auto_pad", b"NOTSET").decode()
    if padding.startswith("SAME"):
        return bool(window != kernel[spatial])  # onnxruntime pads for the window without its dilation
    if not attributes.get("ceil_mode", 0):
        return False
    pads = (*attributes.get("pads", ()), *[0] * 2 * len(kernel)) if padding == "NOTSET" else [0] * 2 * len(kernel)
    begin, end = pads[spatial], pads[spatial + len(kernel)]
    room = size + begin + end - window
    made = -(-room // stride) + 1
    return bool(room < 0 or (made - 1) * stride >= size + begin)  # from opset 22 on, such a last window is dropped


def _disputed_of_resize(
    node: onnx.NodeProto,
    attributes: dict[str, Any],
    fixed: dict[int, int],
    rank: int,
    constant: Callable[[str], NDArray[Any] | None],
) -> list[int]:
    """Return the disputed axes of a Resize or Upsample; `fixed` are the sizes before it that are known, by axis."""
    inputs = [*node.input, "", "", "", ""]
    sizes_given = node.op_type == "Resize" and bool(inputs[3])
    policy = attributes.get("keep_aspect_ratio_policy", b"stretch").decode()
    if sizes_given and policy == "stretch":
        return []
    if not sizes_given and attributes.get("coordinate_transformation_mode") == b"tf_crop_and_resize":
        return list(fixed)
    name = inputs[3] if sizes_given else inputs[2] if len(node.input) > 2 else inputs[1]
    values = np.asarray(attributes["scales"], np.float32) if "scales" in attributes else constant(name)
    if values is None or values.ndim != 1:
        return []  # inference finds no size from them either: what is known was declared
    axes = [axis % rank for axis in attributes.get("axes", range(rank))]
    if len(axes) != len(values):
        return list(fixed)
    given = dict(zip(axes, values.tolist() if sizes_given else values, strict=True))
    if sizes_given:
        return _disputed_of_aspect(given, fixed, policy)
    return [axis for axis, scale in given.items() if axis in fixed and _scaled_sizes_differ(fixed[axis], scale)]


def _scaled_sizes_differ(size: int, scale: float) -> bool:
    single = np.float32(scale) * np.float32(size)
    return not np.isfinite(single) or int(single) != math.floor(float(scale) * size)


def _disputed_of_aspect(sizes: dict[int, int], fixed: dict[int, int], policy: str) -> list[int]:
    if not sizes.keys() <= fixed.keys() or not all(fixed[axis] for axis in sizes):
        return [axis for axis in sizes if axis in fixed]
    choose = min if policy == "not_larger" else max
    results = []
    for dtype in (np.float32, np.float64):
        scale = choose(dtype(size) / dtype(fixed[axis]) for axis, size in sizes.items())
        results.append([int(np.floor(scale * dtype(fixed[axis]) + dtype(0.5))) for axis in sizes])
    return [axis for axis, one, other in zip(sizes, *results, strict=True) if one != other]
