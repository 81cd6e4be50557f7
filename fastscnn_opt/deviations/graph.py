"""Read a graph without the nodes that only change the precision of a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.diff.scope import Scope, versions
from fastscnn_opt.diff.values import Weight

if TYPE_CHECKING:
    import onnx


class PlainGraph:
    """The main graph of a model without Identity, Dropout, casts to a float type, QuantizeLinear and DequantizeLinear.

    The output of such a node is a copy of the tensor in front of it, and the other nodes read that tensor instead.

    Attributes
    ----------
    scope
        The remaining nodes, as `diff` reads them.
    tensors
        The tensors that depend on an input of the graph, in topological order.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        weights = {proto.name: Weight(proto) for proto in (*graph.initializer, *graph.sparse_initializer)}
        inputs = [value.name for value in graph.input if value.name not in weights]
        self.tensors = dict.fromkeys(inputs)
        self._originals: dict[str, str] = {}
        self._dequantised: dict[str, str] = {}
        nodes = []
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                weights[node.output[0]] = Weight(node.attribute[0].t)
            elif _copies(node):
                original = self._originals[node.output[0]] = self._original(node.input[0])
                if node.op_type == "DequantizeLinear":
                    self._dequantised.setdefault(original, node.output[0])
            else:
                nodes.append(type(node)())
                nodes[-1].CopyFrom(node)
                nodes[-1].input[:] = map(self._original, node.input)
                if any(name in self.tensors for name in nodes[-1].input):
                    self.tensors |= dict.fromkeys(filter(None, node.output))
        for value in graph.output:
            self._dequantised.pop(value.name, None)
        outputs = [self._original(value.name) for value in graph.output]
        self.scope = Scope(nodes, inputs, outputs, weights, opsets=versions(model.opset_import))

    def names(self) -> dict[str, str]:
        """Return the tensor of every name: its own, and the names of its copies."""
        copies = {copy: original for copy, original in self._originals.items() if original in self.tensors}
        return copies | {name: name for name in self.tensors}

    def read_as(self, name: str) -> str:
        """Return the tensor that nodes really read in place of `name`: its dequantised copy, if there is one."""
        return self._dequantised.get(name, name)

    def _original(self, name: str) -> str:
        return self._originals.get(name, name)


def with_all_dequantised(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with a DequantizeLinear for each quantised tensor that has none.

    Its integers are read by other nodes, such as the Transpose that `int8` puts in front of a matrix product.
    """
    dequantised = {node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    result = type(model)()
    result.CopyFrom(model)
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.output[0] not in dequantised:
            reader = result.graph.node.add(op_type="DequantizeLinear", domain=node.domain)
            reader.input.extend([node.output[0], *node.input[1:]])
            reader.output.append(f"{node.output[0]} dequantised")
            reader.attribute.extend(one for one in node.attribute if one.name in {"axis", "block_size"})
    return result


def _copies(node: onnx.NodeProto) -> bool:
    """Return whether the output of a node is its input, but for rounding."""
    from onnx import TensorProto

    if node.op_type == "Cast":
        floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
        return any(attribute.name == "to" and attribute.i in floats for attribute in node.attribute)
    return node.op_type in {"Identity", "Dropout", "QuantizeLinear", "DequantizeLinear"}
