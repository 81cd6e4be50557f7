"""How the passes read and change a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.model import element_types
from fastscnn_opt.model.element_types import element_type
from fastscnn_opt.model.interface import ONNX_DOMAINS, static_shape
from fastscnn_opt.rewriting.pipeline import Atom

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    import onnx_graphsurgeon as gs
    from numpy.typing import DTypeLike, NDArray

_SIZED_BY_VALUES = ("Compress", "NonMaxSuppression", "NonZero", "Unique")
"""Operators whose results are as large as the values of their inputs say."""


def constant_value(tensor: gs.Tensor) -> NDArray[Any] | None:
    """Return the value of an initializer or a Constant node, or of an Identity of these; None for any other tensor.

    PyTorch's older exporter keeps one of several equal parameters, and the others become an Identity of it.
    """
    import onnx_graphsurgeon as gs

    producer = _maker(tensor)
    while producer is not None and producer.op == "Identity":
        tensor = producer.inputs[0]
        producer = _maker(tensor)
    if isinstance(tensor, gs.Constant):
        return np.asarray(tensor.values)
    if producer is None or producer.op != "Constant" or not producer.attrs:
        return None
    kind, value = next(iter(producer.attrs.items()))
    if kind == "value":
        return np.asarray(value.values)
    types = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32, "value_floats": np.float32}
    return np.asarray(value, dtype=types[kind]) if kind in types else None


def _maker(tensor: gs.Tensor) -> gs.Node | None:
    """Return the node of ONNX that makes `tensor`."""
    return tensor.inputs[0] if tensor.inputs and tensor.inputs[0].domain in ONNX_DOMAINS else None


def what_fixes(tensor: gs.Tensor) -> str:
    """Return the pass that makes the unknown shape of `tensor` known.

    It is `static-shape` if a graph input that `tensor` is computed from has an open dimension. Where engines see the
    result of a Resize by scales differently, or values settle a size, no pass does, and a new export is named.
    Otherwise shape inference cannot see through shape arithmetic, and `simplify` folds that.
    """
    waiting, seen, inputs = [tensor], {id(tensor)}, {}
    export = ""
    while waiting:
        known = waiting.pop()
        if known.is_empty() or constant_value(known) is not None:
            continue
        if not known.inputs:
            inputs[known.name] = known.shape
        for node in known.inputs:
            if not _is_fixed(known) and all(tensor.is_empty() or _is_fixed(tensor) for tensor in node.inputs):
                export = export or _export_with(node)
        for source in (source for node in known.inputs for source in node.inputs if id(source) not in seen):
            seen.add(id(source))
            waiting.append(source)
    return static_shape(inputs) or export or "simplify"


def _export_with(node: gs.Node) -> str:
    """Return what a new export has to say so that the result of `node` has a known shape; "" if `simplify` finds it."""
    if node.op in ("Resize", "Upsample") and constant_value(node.inputs[-1]) is not None:
        return f"a new export with sizes instead of scales for {node.name!r}"
    sizes = node.inputs if node.op in ("ConstantOfShape", "If", "Range") else node.inputs[1:]
    known = node.domain in ONNX_DOMAINS and node.op not in ("Loop", "Scan") and bool(sizes)
    if known and all(value_source(size) is None for size in sizes):
        return ""
    return f"a new export in which {node.name!r} ({node.op}) gives a fixed size"


def value_source(tensor: gs.Tensor) -> gs.Tensor | None:
    """Return a graph input whose values `tensor` is computed from; None if nothing more than shapes is read."""
    waiting, seen = [(tensor, True)], {(id(tensor), True)}
    while waiting:
        known, by_value = waiting.pop()
        if known.is_empty() or constant_value(known) is not None:
            continue
        if not known.inputs and by_value:
            return known
        for node in known.inputs:
            reads = node.op in _SIZED_BY_VALUES or (by_value and node.op not in ("Shape", "Size"))
            new = [source for source in node.inputs if (id(source), reads) not in seen]
            seen.update((id(source), reads) for source in new)
            waiting += [(source, reads) for source in new]
    return None


def has_constant_condition(node: gs.Node) -> bool:
    """Tell whether the branch that an If takes is settled before the graph runs, so that `simplify` takes it out."""
    return node.op == "If" and value_source(node.inputs[0]) is None


def _is_fixed(tensor: gs.Tensor) -> bool:
    return tensor.shape is not None and all(isinstance(size, int) for size in tensor.shape)


def why_not_constant(tensor: gs.Tensor, defaults: Container[str]) -> str:
    """Say why a tensor has no constant value; `defaults` names the inputs of the graph that have default values."""
    if tensor.name in defaults:
        return f"{tensor.name} is an input with a default value, which a caller may replace; see constant-inputs"
    return f"{tensor.name} is not constant"


def cure_of_input(source: gs.Tensor, defaults: Container[str], otherwise: str) -> str:
    """Return how the values of an input become constant: `otherwise` unless it has a default value."""
    return "make its default value a constant with constant-inputs" if source.name in defaults else otherwise


def without_output(graph: gs.Graph, output: gs.Tensor, otherwise: str) -> str:
    """Return the pass that drops an output and keeps the others, as a cure; `otherwise` where it is the only one."""
    others = [str(Atom(one.name)) for one in graph.outputs if one is not output]
    return f"drop it with drop-outputs{{keep={'|'.join(others)}}}" if others else otherwise


def type_name(tensor: gs.Tensor) -> str:
    """Return the name of the type of the elements of a tensor."""
    if tensor.dtype is None:
        return "of unknown type"
    if isinstance(tensor.dtype, int):  # a type that numpy does not have, such as bfloat16
        return element_types.type_name(tensor.dtype)
    return str(np.dtype(tensor.dtype).name)


def bias_of(node: gs.Node) -> gs.Tensor | None:
    """Return the bias of a Conv, ConvTranspose or Gemm; None if there is none, or an empty name in its place."""
    return node.inputs[2] if len(node.inputs) > 2 and not node.inputs[2].is_empty() else None


def scales_of(resize: gs.Node) -> gs.Tensor | None:
    """Return the factors of a Resize or Upsample; None if there are none, or an empty name in their place.

    They are its second input up to opset 10, and the third since.
    """
    place = 1 if len(resize.inputs) == 2 else 2
    given = resize.inputs[place] if len(resize.inputs) > place else None
    return None if given is None or given.is_empty() else given


def parameters_of(node: gs.Node) -> list[gs.Tensor]:
    """Return the weights of a Conv, ConvTranspose or Gemm, and its bias if it has one."""
    bias = bias_of(node)
    return [node.inputs[1]] if bias is None else [node.inputs[1], bias]


def in_training(node: gs.Node) -> bool:
    """Tell whether a BatchNormalization or Dropout is in training mode, or may be.

    BatchNormalization is told by an attribute since opset 14, and before by its further outputs, which only training
    has. Dropout is told by an input since opset 12, and before it is always at inference.
    """
    if node.op == "BatchNormalization":
        return bool(node.attrs.get("training_mode")) or len(node.outputs) > 1
    if node.op != "Dropout" or len(node.inputs) < 3 or node.inputs[2].is_empty():
        return False
    mode = constant_value(node.inputs[2])
    return mode is None or bool(mode.any())


def unique_name(graph: gs.Graph, wanted: str) -> str:
    """Return `wanted`, with a number behind it if a node or tensor of the graph is called so, or was to be, already."""
    names: _NamesInUse = graph.__dict__.setdefault("_names_in_use", _NamesInUse())
    return names.take(graph, wanted)


class _NamesInUse:
    """The names in a graph and in the graphs inside its nodes; only nodes that were added since are read again."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._counts: dict[str, int] = {}
        self._read: list[gs.Node] = []

    def take(self, graph: gs.Graph, wanted: str) -> str:
        """Return a free name like `wanted`; it counts as in use from now on."""
        self._update(graph)
        name, count = wanted, self._counts.get(wanted, 1)
        while name in self._names:
            count += 1
            name = f"{wanted}_{count}"
        self._names.add(name)
        self._counts[wanted] = count
        return name

    def _update(self, graph: gs.Graph) -> None:
        from fastscnn_opt.rewriting.graph.nodes import names_in

        read = len(self._read)
        if not read or len(graph.nodes) < read or graph.nodes[read - 1] is not self._read[-1]:
            self._read.clear()
            self._names.update(tensor.name for tensor in (*graph.inputs, *graph.outputs))
        new = graph.nodes[len(self._read) :]
        self._read += new
        self._names |= names_in(new)


def append_node(
    graph: gs.Graph,
    op: str,
    inputs: Sequence[gs.Tensor],
    name: str,
    *,
    dtype: DTypeLike | None = None,
    output: gs.Variable | None = None,
    **attributes: object,
) -> gs.Variable:
    """Append a node of the default domain and return its only output.

    The node is called `name`, with a number behind it if that is in use. The output is `output`, or a new tensor of
    `dtype`, by default that of the first input.
    """
    import onnx_graphsurgeon as gs

    name = unique_name(graph, name)
    if output is None:
        kind = inputs[0].dtype if dtype is None else np.dtype(dtype)
        output = gs.Variable(unique_name(graph, f"{name}_output"), dtype=kind)
    graph.nodes.append(gs.Node(op, name, attributes, list(inputs), [output]))
    return output


def append_cast(
    graph: gs.Graph, source: gs.Tensor, dtype: DTypeLike, name: str, output: gs.Variable | None = None
) -> gs.Variable:
    """Append a Cast of `source` to `dtype`, called as `append_node` calls it, and return its output."""
    return append_node(graph, "Cast", [source], name, dtype=dtype, output=output, to=element_type(dtype))


def detach_output(graph: gs.Graph, output: gs.Variable, suffix: str) -> gs.Variable:
    """Put a new tensor, called after `output` with `suffix`, in the place of a graph output, and return it.

    The node that made the output makes the new tensor, and the nodes that read the output read it; `output` is left
    for a new node to make, so that the graph's interface keeps its name.
    """
    import onnx_graphsurgeon as gs

    inner = gs.Variable(unique_name(graph, f"{output.name}_{suffix}"), dtype=output.dtype, shape=output.shape)
    ends = [node.outputs for node in output.inputs] + [node.inputs for node in output.outputs]
    for tensors in ends:
        for place, tensor in enumerate(tensors):
            if tensor is output:  # the others stay: graphsurgeon searches all readers of what it takes away
                tensors[place] = inner
    return inner


def read_instead(tensor: gs.Tensor, other: gs.Tensor) -> None:
    """Let every node that reads `tensor` read `other`, which may have the same name."""
    for reader in list(tensor.outputs):
        place = next(place for place, one in enumerate(reader.inputs) if one is tensor)
        reader.inputs[place] = other
