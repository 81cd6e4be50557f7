"""A pass that runs a function on the graph, and functions that edit one, for tests of the graph between passes."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar

import onnx_graphsurgeon as gs

from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip

NETWORK = """
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[1,2,12,16] image, bool flag) => (float[1,2,h,w] result, float[n,m] end, int64[k,4] kept)
    <float[2,2,1,1] weight = {1,2,3,4}, int64[1] zero = {0}, int64[1] rest = {-1}, int64[1] two = {2},
     float[4] scales = {1,1,2,2}, float[1,2,1,1] offset = {0.5,1.5}>
    {
        conv = Conv<kernel_shape=[1,1]>(image, weight)
        pooled = MaxPool<kernel_shape=[2,2], strides=[2,2]>(conv)
        added = Add(pooled, offset)
        active = Relu(added)
        chosen = If (flag) <then_branch = yes () => (float[1,2,a,b] taken) { taken = Sigmoid(active) },
                            else_branch = no () => (float[1,2,c,d] left) { left = Identity(active) }>
        shape = Shape(added)
        batch = Gather<axis=0>(shape, zero)
        target = Concat<axis=0>(batch, rest)
        flat = Reshape(chosen, target)
        end = Relu(flat)
        twice = Resize<mode="nearest">(active, , scales)
        smooth = Relu(twice)
        places = NonZero(smooth)
        found = Transpose(places)
        kept = Identity(found)
        result = Mul(smooth, offset)
    }
"""


@dataclass(frozen=True)
class Do(Pass):
    """Runs a function on the graph and reports it as a change, or not."""

    name: ClassVar[str] = "do"
    contract: ClassVar[Contract] = Contract.LOSSY

    work: Any
    reported: bool = True

    def rewrite(self, graph):
        self.work(graph)
        yield Change("graph", "done") if self.reported else Skip("graph", "nothing to do")


def by_output(graph, name):
    return next((node for node in graph.nodes if any(tensor.name == name for tensor in node.outputs)), None)


def insert_behind(name, op, dtype=None, **attributes):
    """Let the readers of a tensor read what a new node makes of it."""

    def work(graph):
        tensor = by_output(graph, name).outputs[0]
        made = gs.Variable(f"{name}_{len(graph.nodes)}", dtype or tensor.dtype)
        for reader in list(tensor.outputs):
            if any(node is reader for node in graph.nodes):
                reader.inputs = [made if one is tensor else one for one in reader.inputs]
        graph.nodes.append(gs.Node(op, made.name, deepcopy(attributes), [tensor], [made]))

    return work


def set_attribute(name, attribute, value):
    return lambda graph: by_output(graph, name).attrs.__setitem__(attribute, deepcopy(value))


def rename(name):
    return lambda graph: setattr(by_output(graph, name), "name", f"renamed_{len(graph.nodes)}_{name}")
