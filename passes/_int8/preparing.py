"""Bring a graph into the form that onnxruntime's quantizer assumes, and undo afterwards what only served that.

The quantizer (seen in 1.32) takes these things for granted: every layer has weights and a bias of its own; Gemm is
x W + b with a bias for every column; the names that it makes are free; no two nodes have one name; nobody but the nodes
of the main graph reads a tensor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.rewriting.graph.nodes import bodies_of, names_in, read_inside

from .._graph import constant_value, detach_output, parameters_of, unique_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

_SUFFIXES = (
    *("_scale", "_zero_point", "_quantized", "_quantized_scale", "_quantized_zero_point", "_QuantizeLinear"),
    *("_QuantizeLinear_Input", "_QuantizeLinear_Output", "_DequantizeLinear", "_DequantizeLinear_Output"),
)
"""Ends of the names that the quantizer makes of the name of a tensor."""


@dataclass
class Preparation:
    """What was changed in a graph only for the quantizer.

    Attributes
    ----------
    originals
        The name that a node or tensor had, by the one that it has now.
    taps
        Names of the Identity nodes through which a graph output, or a graph inside a node, reads a tensor.
    """

    originals: dict[str, str] = field(default_factory=dict)
    taps: list[str] = field(default_factory=list)

    def separate_names(self, graph: gs.Graph) -> None:
        """Rename what is called as the quantizer will call its own parts, and nodes that share a name."""
        seen: set[str] = set()
        for node in graph.nodes:
            if node.name in seen:
                node.name = unique_name(graph, node.name)  # for good: onnxruntime refuses the graph otherwise
            seen.add(node.name)
        names = names_in(graph.nodes)
        inputs = {tensor.name for tensor in graph.inputs}  # the images are fed by these names
        pairs = ((name, name.removesuffix(suffix)) for name in names for suffix in _SUFFIXES if name.endswith(suffix))
        clashes = {base if name in inputs else name for name, base in pairs if base in names}
        for part in _parts(graph) if clashes else ():
            if part.name in clashes:
                new = unique_name(graph, f"{part.name}/int8")
                self.originals[new] = part.name
                part.name = new

    def tap(self, graph: gs.Graph, made: Iterable[gs.Tensor]) -> None:
        """Let graph outputs that something else reads, too, and graphs inside nodes read `made` through an Identity."""
        inside = {id(tensor) for tensor in read_inside(graph.nodes)}
        outputs = {id(tensor) for tensor in graph.outputs}
        for tensor in list(made):
            inner = tensor
            if id(tensor) in outputs and (tensor.outputs or id(tensor) in inside):
                inner = detach_output(graph, tensor, "inner")
                _read_inside_instead(graph.nodes, tensor, inner)
                self._identity(graph, inner, tensor)
            if id(tensor) in inside:
                _read_inside_instead(graph.nodes, inner, self._identity(graph, inner))

    def _identity(self, graph: gs.Graph, source: gs.Tensor, output: gs.Variable | None = None) -> gs.Variable:
        import onnx_graphsurgeon as gs

        name = unique_name(graph, f"{source.name}/tap")
        self.taps.append(name)
        output = output or gs.Variable(name, dtype=source.dtype, shape=source.shape)
        place = next(index for index, node in enumerate(graph.nodes) if node is source.inputs[0])
        graph.nodes.insert(place + 1, gs.Node("Identity", name, {}, [source], [output]))
        return output

    def remove_output_taps(self, graph: gs.Graph) -> None:
        """Let the nodes that make what graph outputs read make these outputs."""
        outputs = {id(tensor) for tensor in graph.outputs}
        for node in list(graph.nodes):
            if node.name in self.taps and id(node.outputs[0]) in outputs:
                (source,), (output,) = node.inputs, node.outputs
                node.inputs.clear()
                node.outputs.clear()
                (maker,) = source.inputs
                for reader in list(source.outputs):
                    reader.inputs = [output if tensor is source else tensor for tensor in reader.inputs]
                _read_inside_instead(graph.nodes, source, output)
                maker.outputs = [output if tensor is source else tensor for tensor in maker.outputs]

    def remove_inner_taps(self, graph: gs.Graph) -> None:
        """Let the graphs inside nodes read the tensors themselves."""
        for node in list(graph.nodes):
            if node.name in self.taps and node.inputs:
                _read_inside_instead(graph.nodes, node.outputs[0], node.inputs[0])
                node.inputs.clear()
                node.outputs.clear()

    def restore_names(self, graph: gs.Graph) -> None:
        """Give what was renamed its name again, and what the quantizer called so another one."""
        taken = set(self.originals.values())
        for part in _parts(graph) if taken else ():
            if part.name in self.originals:
                part.name = self.originals[part.name]
            elif part.name in taken:
                part.name = unique_name(graph, f"{part.name}_int8")


def own_parameters(graph: gs.Graph, layers: Iterable[gs.Node]) -> None:
    """Give every layer initializers of its own, and a Gemm no factors and a bias for every column.

    An empty bias goes.
    """
    import onnx_graphsurgeon as gs

    seen = {id(tensor) for tensor in (*read_inside(graph.nodes), *graph.outputs)}
    for layer in layers:
        given = parameters_of(layer)
        before = [np.asarray(constant_value(tensor)) for tensor in given]
        now = _plain_gemm(layer, before) if layer.op == "Gemm" else before
        owned = []
        for tensor, old, new in zip(given, before, now, strict=True):
            if not isinstance(tensor, gs.Constant) or len(tensor.outputs) > 1 or id(tensor) in seen:
                owned.append(gs.Constant(unique_name(graph, f"{tensor.name}/{layer.name}"), new.copy()))
                continue
            if new is not old:
                tensor.values = new
            owned.append(tensor)
        layer.inputs = [layer.inputs[0], *owned]


def _plain_gemm(gemm: gs.Node, parameters: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Return weights and bias of a Gemm times its factors, which go, and the bias with an element for every column."""
    weight, *bias = parameters
    alpha, beta = (gemm.attrs.pop(name, 1.0) for name in ("alpha", "beta"))
    columns = weight.shape[0 if gemm.attrs.get("transB", 0) else 1]
    spread = [np.broadcast_to(np.float32(beta) * each.reshape(-1), (columns,)).copy() for each in bias]
    return [weight if alpha == 1 else np.float32(alpha) * weight, *spread]


def _read_inside_instead(nodes: Iterable[gs.Node], tensor: gs.Tensor, other: gs.Tensor) -> None:
    """Let the graphs inside `nodes` read `other` in the place of `tensor`."""
    for node in nodes:
        for body in bodies_of(node):
            body.outputs = [other if each is tensor else each for each in body.outputs]
            for inner in body.nodes:
                if any(each is tensor for each in inner.inputs):
                    inner.inputs = [other if each is tensor else each for each in inner.inputs]
            _read_inside_instead(body.nodes, tensor, other)


def _parts(graph: gs.Graph) -> Iterator[gs.Node | gs.Tensor]:
    """Yield every node and tensor of a graph and of the graphs inside its nodes once, but for its inputs."""
    seen = {id(tensor) for tensor in graph.inputs}
    pending = [*graph.outputs, *graph.nodes]
    while pending:
        part = pending.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if part.name:
            yield part
        if hasattr(part, "op"):
            pending += [*part.inputs, *part.outputs]
            for body in bodies_of(part):
                pending += [*body.inputs, *body.outputs, *body.nodes]
