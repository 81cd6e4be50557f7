"""A pass that leaves an invalid graph is named; one that changes the graph without reporting it changes nothing."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from edits import NETWORK, Do, by_output, insert_behind, rename, set_attribute

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.manager import PassManager


def no_operator(graph):
    by_output(graph, "active").op = "NoSuchOperator"


def no_attribute(graph):
    by_output(graph, "conv").attrs["no_such_attribute"] = 1


def cycle(graph):
    by_output(graph, "pooled").inputs[0] = by_output(graph, "active").outputs[0]


def one_name_twice(graph):
    by_output(graph, "smooth").outputs[0].name = "active"


def nothing_makes_it(graph):
    by_output(graph, "smooth").inputs[0] = gs.Variable("made_by_nothing", np.float32, [1, 2, 12, 16])


def no_type(graph):
    graph.outputs[0].dtype = None


def no_inputs(graph):
    by_output(graph, "pooled").inputs.clear()


def no_value(graph):
    constant = gs.Variable("constant", np.float32)
    graph.nodes.append(gs.Node("Constant", "empty", {}, [], [constant]))
    graph.outputs.append(constant)


@dataclass(frozen=True)
class Wrong(Do):
    """The pass that leaves an invalid graph."""

    name: ClassVar[str] = "wrong"


INVALID = [
    no_operator,
    no_attribute,
    cycle,
    one_name_twice,
    nothing_makes_it,
    no_type,
    no_inputs,
    no_value,
]
NO_VALUES = [None, object(), [], 2**40, 2**70, [2**70], [None]]


@pytest.mark.parametrize("work", [*INVALID, *(set_attribute("active", "axis", value) for value in NO_VALUES)])
def test_the_pass_that_left_an_invalid_graph_is_named(work):
    passes = [Do(rename("conv")), Wrong(work), Do(insert_behind("twice", "Relu"))]
    with pytest.raises(PassError, match=r"^the pass wrong left an invalid graph: "):
        PassManager(passes, verify=False).run(onnx.parser.parse_model(NETWORK))


def widen_input(graph):
    graph.inputs[0].shape = [1, 2, 24, 16]


def drop_output(graph):
    graph.outputs.pop()


@pytest.mark.parametrize("work", [no_operator, widen_input, drop_output, set_attribute("pooled", "strides", [3, 2])])
def test_a_change_that_is_not_reported_is_undone_behind_one_that_is(work):
    model = onnx.parser.parse_model(NETWORK)
    end = Do(insert_behind("twice", "Relu"))
    passes = [Do(rename("conv")), Do(work, reported=False), end]
    expected = PassManager([passes[0], end], verify=False).run(model).model
    assert PassManager(passes, verify=False).run(model).model == expected
