"""Finds the logits behind label outputs, to tell near ties from mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.model.interface import operator_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

_PASSED_THROUGH = ("Cast", "Squeeze", "Identity", "Reshape", "Unsqueeze")
"""Operators between an ArgMax and a label output that only change its form."""


def expose_logits(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, tuple[str, int]]]:
    """Make the input of every ArgMax behind an output an output too; return it by output, with the class axis.

    Where an If makes the labels, and one of its branches ends in an ArgMax, that branch says what they stand for: its
    nodes before the ArgMax are run beside the If.
    """
    import onnx

    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    logits: dict[str, tuple[str, int]] = {}
    producers = _producers(model.graph)
    for output in model.graph.output:
        node = _first_behind(producers, output.name)
        if node is not None and operator_of(node) == "If":
            node = _hoist(exposed.graph, node)
        if node is not None and operator_of(node) == "ArgMax":
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
            logits[output.name] = (node.input[0], axis)
    extra = {name for name, _ in logits.values()} - {output.name for output in model.graph.output}
    if not extra:
        return model, logits
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(extra))
    known = {info.name: info for info in (*model.graph.value_info, *model.graph.input)}
    for output in exposed.graph.output:
        if output.name in extra and output.name in known:
            output.CopyFrom(known[output.name])
    return exposed, logits


def _producers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    return {output: node for node in graph.node for output in node.output}


def _first_behind(producers: Mapping[str, onnx.NodeProto], name: str) -> onnx.NodeProto | None:
    """Return the node that makes the tensor `name`, looking through nodes that only change its form."""
    node = producers.get(name)
    while node is not None and operator_of(node) in _PASSED_THROUGH:
        node = producers.get(node.input[0])
    return node


def _hoist(graph: onnx.GraphProto, condition: onnx.NodeProto) -> onnx.NodeProto | None:
    """Append the nodes of a branch of an If to `graph`, under new names; return its last ArgMax, or None."""
    import onnx

    for attribute in condition.attribute:
        branch = onnx.GraphProto()
        branch.CopyFrom(attribute.g)
        best = _first_behind(_producers(branch), branch.output[0].name)
        nested = any(inner.HasField("g") for node in branch.node for inner in node.attribute)
        if nested or best is None or operator_of(best) != "ArgMax":
            continue
        own = {name for node in branch.node for name in node.output} | {tensor.name for tensor in branch.initializer}
        for tensor in branch.initializer:
            tensor.name = f"hoisted/{tensor.name}"
        for node in branch.node:
            for names in (node.input, node.output):
                names[:] = [f"hoisted/{name}" if name in own else name for name in names]
        graph.initializer.extend(branch.initializer)
        graph.node.extend(branch.node)
        return best
    return None
