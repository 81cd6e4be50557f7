"""The pass `remove-noops`: removes nodes whose result is their input, and joins nodes in a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np

from fastscnn_opt.model.interface import ONNX_DOMAINS
from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip, Step
from fastscnn_opt.rewriting.graph.tidying import tidy

from ._graph import constant_value, in_training, read_instead, scales_of
from ._rows import join

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs


@dataclass(frozen=True)
class RemoveNoops(Pass):
    """Remove nodes whose result is their input, such as Identity, Dropout at inference, and Pad by nothing.

    1. The pass always removes Identity, and Concat, Sum, Mean, Max and Min of one input.
    2. It removes these where they change nothing: Cast and CastLike to the type that is there already, Transpose that
       keeps the order of the axes, Pad by zero elements, Reshape, Flatten, Expand and Tile to the shape that is there
       already, Slice of everything, Split into one part, Resize by the factor 1, and Mul, Div and Pow by 1.
    3. It removes Dropout. If Dropout is in training mode, or another node reads its mask, it stays and is reported.
    4. Of two nodes in a row that one node can do, the first goes: two Transpose, two Slice, two Concat along one axis,
       two of Reshape, Flatten, Squeeze, Unsqueeze and a Transpose that moves axes of size 1 only, and two Cast that
       keep every value. Where the second then changes nothing, it goes, too. The first stays if another node or an
       output reads its result.
    5. A graph output keeps its name: the node in front makes it instead. Where there is no node in front, but a graph
       input, a constant or another graph output, the node stays and is reported.

    The pass looks at the graph again until it finds nothing more, which takes two or three looks, so its time grows in
    proportion to the graph. `simplify` does more, but its time grows faster than the graph.
    """

    name: ClassVar[str] = "remove-noops"
    contract: ClassVar[Contract] = Contract.EXACT
    operators: ClassVar[tuple[str, ...]] = ("Dropout", "Identity")

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Remove every such node."""
        changed, shared = True, set[int]()
        while changed:  # what was removed may have been the second reader of something that was left alone
            steps = list(_sweep(graph, shared))
            changes = [step for step in steps if isinstance(step, Change)]
            yield from changes or steps
            changed = bool(changes)


def _sweep(graph: gs.Graph, shared: set[int]) -> Iterator[Step]:
    """Look at every node once; `shared` are the ids of the tensors with the shape that the file states of an output."""
    tidy(graph)
    shared |= _share_shapes(graph)
    interface = {id(tensor) for tensor in (*graph.inputs, *graph.outputs)}
    for node in [node for node in graph.nodes if node.domain in ONNX_DOMAINS]:
        if joined := join(graph, node, interface, interface | shared):
            yield Change(joined, f"left to {node.name}, the {node.op} behind it")
        rule = _RULES.get(node.op)
        verdict = rule(node) if rule else None
        if isinstance(verdict, Skip):
            yield verdict
        elif verdict and any(mask.outputs or id(mask) in interface for mask in node.outputs[1:]):
            yield Skip(node, "another node or an output reads its mask")
        elif verdict and _bypass(node, interface):
            yield Change(node, f"removed {node.op}, which {verdict}")
        elif verdict:
            yield Skip(node, f"{verdict}, but the tensors on both of its sides have to keep their names")


def _share_shapes(graph: gs.Graph) -> set[int]:
    """Let what a needless node reads have the shape of its result where the file states that of an output alone.

    A node in front may then turn out to be needless as well; otherwise a second run would find it. Return the ids of
    the tensors.
    """
    shared = set()
    for node in reversed(graph.nodes):
        if node.op in _RULES and node.domain in ONNX_DOMAINS and node.inputs:
            source, result = node.inputs[0], node.outputs[0]
            if _known(result) > _known(source) and isinstance(_RULES[node.op](node), str):
                source.shape = list(result.shape)
                shared.add(id(source))
    return shared


def _known(tensor: gs.Tensor) -> int:
    """Return how much is known of a shape: 0 for nothing, else one more than its fixed sizes."""
    return 0 if tensor.shape is None else 1 + sum(isinstance(size, int) for size in tensor.shape)


def _bypass(node: gs.Node, interface: set[int]) -> bool:
    """Take `node` out of the graph; return False if the names of inputs and outputs of the graph do not allow it."""
    source, result = node.inputs[0], node.outputs[0]
    if id(result) not in interface:
        node.inputs.clear()
        node.outputs.clear()
        read_instead(result, source)
        return True
    if id(source) in interface or len(source.inputs) != 1:
        return False
    node.inputs.clear()
    node.outputs.clear()
    read_instead(source, result)
    producer = source.inputs[0]
    producer.outputs[producer.outputs.index(source)] = result
    return True


Rule: TypeAlias = Callable[["gs.Node"], "str | Skip | None"]
"""Says why a node changes nothing. It returns None if the node changes something, or a `Skip` to report that."""


def _only_input(node: gs.Node) -> str | None:
    return "has one input" if len(node.inputs) == 1 else None


def _dropout(node: gs.Node) -> str | Skip | None:
    return Skip(node, "is in training mode, or may be") if in_training(node) else "does nothing at inference"


def _same_type(node: gs.Node) -> str | None:
    types = (node.inputs[0].dtype, node.outputs[0].dtype)
    if None in types or types[0] != types[1]:
        return None
    return "keeps the type"


def _only_output(node: gs.Node) -> str | None:
    return "makes one part of everything" if len(node.outputs) == 1 else None


def _transpose(node: gs.Node) -> str | None:
    order = node.attrs.get("perm")
    return "keeps the order of the axes" if order is not None and list(order) == [*range(len(order))] else None


def _pad(node: gs.Node) -> str | None:
    pads = node.attrs.get("pads")
    if pads is None and len(node.inputs) > 1:
        pads = constant_value(node.inputs[1])
    return "pads nothing" if pads is not None and not np.any(pads) else None


def _same_shape(node: gs.Node) -> str | None:
    before, after = node.inputs[0].shape, node.outputs[0].shape
    if before is None or after is None or None in (*before, *after) or list(before) != list(after):
        return None
    return "keeps the shape"


def _neutral(node: gs.Node) -> str | None:
    """The constant must not broaden the shape. Adding 0 is not here: it makes 0.0 of -0.0."""
    value = constant_value(node.inputs[1])
    if value is None or not (value == 1).all():
        return None
    shape = node.inputs[0].shape
    is_scalar = value.size == 1 and shape is not None and value.ndim <= len(shape)
    return "changes nothing by 1" if is_scalar or _same_shape(node) else None


def _slice(node: gs.Node) -> str | None:
    """A slice with the shape of its input holds all of it, in the same order if no step is negative."""
    steps = constant_value(node.inputs[4]) if len(node.inputs) > 4 else np.array([1])
    return _same_shape(node) if steps is not None and (steps > 0).all() else None


def _resize(node: gs.Node) -> str | None:
    """With the factor 1, each pixel is sampled at its own place, whatever the mode."""
    if node.attrs.get("coordinate_transformation_mode", "half_pixel") not in _PLAIN_COORDINATES:
        return None
    given = scales_of(node)
    scales = None if given is None else constant_value(given)
    if scales is not None and scales.size and not (scales == 1).all():
        return None
    return _same_shape(node) and "resizes by the factor 1"


_PLAIN_COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")

_RULES: dict[str, Rule] = {
    "Identity": lambda _: "returns its input",
    **dict.fromkeys(("Concat", "Max", "Mean", "Min", "Sum"), _only_input),
    "Dropout": _dropout,
    **dict.fromkeys(("Cast", "CastLike"), _same_type),
    "Split": _only_output,
    **dict.fromkeys(("Div", "Mul", "Pow"), _neutral),
    "Transpose": _transpose,
    "Pad": _pad,
    **dict.fromkeys(("Expand", "Flatten", "Reshape", "Squeeze", "Tile"), _same_shape),
    "Slice": _slice,
    "Resize": _resize,
}
