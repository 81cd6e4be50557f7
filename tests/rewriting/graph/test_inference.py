"""The types of tensors after each pass: a pass finds those that inference on the whole graph gives."""

from contextlib import suppress
from copy import deepcopy

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from edits import NETWORK, Do, by_output, insert_behind, rename, set_attribute
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from fastscnn_opt.demo.network import demo_model
from fastscnn_opt.errors import PassError
from fastscnn_opt.model.shapes import infer_shapes
from fastscnn_opt.rewriting.instruments import Instrument
from fastscnn_opt.rewriting.manager import PassManager


def make_anew(name, op, **attributes):
    """Let another operator make a tensor of the same name from the same input."""

    def work(graph):
        old = by_output(graph, name)
        result, sources = old.outputs[0], list(old.inputs)[:1]
        old.outputs.clear()
        graph.nodes.append(gs.Node(op, f"{name}_anew_{len(graph.nodes)}", deepcopy(attributes), sources, [result]))

    return work


def set_constant(name, values):
    def work(graph):
        for node in graph.nodes:
            for tensor in node.inputs:
                if tensor.name == name and isinstance(tensor, gs.Constant):
                    tensor.values = np.array(values, tensor.dtype).reshape(tensor.shape)

    return work


def lie_about(name, shape):
    return lambda graph: setattr(by_output(graph, name).outputs[0], "shape", list(shape))


def widen_input(graph):
    graph.inputs[0].shape = [1, 2, 24, 16]


def read_all(graph):
    for node in graph.nodes:
        for tensor in node.inputs:
            if isinstance(tensor, gs.Constant):
                tensor.values.sum()


def replace_constant(graph):
    """Put another constant of the same name in the place of one."""
    node = by_output(graph, "twice")
    node.inputs[2] = gs.Constant("scales", np.float32([1, 1, 3, 1]))


def gather_anew(graph):
    """Let a new node of the same type take another dimension from the shape."""
    old = by_output(graph, "batch")
    result, sources = old.outputs[0], [old.inputs[0], gs.Constant(f"one_{len(graph.nodes)}", np.int64([1]))]
    old.outputs.clear()
    graph.nodes.append(gs.Node("Gather", f"gather_{len(graph.nodes)}", {"axis": 0}, sources, [result]))


def reshape_anew(graph):
    """Let a new node read the shape that others compute."""
    old = by_output(graph, "flat")
    result, sources = old.outputs[0], list(old.inputs)
    old.outputs.clear()
    graph.nodes.append(gs.Node("Reshape", f"reshape_{len(graph.nodes)}", {}, sources, [result]))


def places_elsewhere(graph):
    """Add nodes whose types have dimensions that nobody can tell, and that are others than those in the graph."""
    count = len(graph.nodes)
    places, found = gs.Variable(f"places_{count}"), gs.Variable(f"found_{count}", np.int64, [f"count_{count}", 4])
    graph.nodes.append(gs.Node("NonZero", places.name, {}, [by_output(graph, "active").outputs[0]], [places]))
    graph.nodes.append(gs.Node("Transpose", found.name, {}, [places], [found]))
    graph.outputs.append(found)


EDITS = {
    "places elsewhere": places_elsewhere,
    "dimension gathered anew": gather_anew,
    "reshaped anew": reshape_anew,
    "other strides": set_attribute("pooled", "strides", [3, 2]),
    "relu as sigmoid": make_anew("active", "Sigmoid"),
    "pool as average": make_anew("pooled", "AveragePool", kernel_shape=[2, 2], strides=[2, 2]),
    "pool of another size": make_anew("pooled", "AveragePool", kernel_shape=[3, 3]),
    "relu behind relu": insert_behind("active", "Relu"),
    "identity in shape arithmetic": insert_behind("batch", "Identity"),
    "size in the place of shape": set_attribute("shape", "start", 1),
    "other dimension": set_constant("zero", [1]),
    "other rest": set_constant("rest", [3]),
    "other scales": set_constant("scales", [1, 1, 1, 3]),
    "other offset": set_constant("offset", [2, 3]),
    "another constant of the same name": replace_constant,
    "half": insert_behind("smooth", "Cast", np.float16, to=10),
    "lie about one": lie_about("active", [7]),
    "lie about the end": lie_about("smooth", [1, 2]),
    "larger image": widen_input,
    "values read": read_all,
    "places behind places": insert_behind("found", "Identity"),
    "places anew": make_anew("found", "Transpose"),
    "renamed": rename("conv"),
    "renamed control flow": rename("chosen"),
}


def drop_output(graph):
    graph.outputs.pop()


def types_in(graph):
    return {
        tensor.name: (tensor.dtype and np.dtype(tensor.dtype), tensor.shape)
        for node in graph.nodes
        for tensor in node.outputs
    }


def types_of(model):
    """Infer the types of all tensors of a model anew; where ONNX does not define an operator, it says them itself."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    if all(node.op_type != "AdaptiveAvgPool2d" for node in model.graph.node):
        del bare.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(bare, data_prop=True).graph
    types = {}
    for info in (*inferred.value_info, *inferred.output):
        kind = info.type.tensor_type
        sizes = [getattr(dim, dim.WhichOneof("value") or "", None) for dim in kind.shape.dim]
        shape = [None if str(size).startswith("unk__") else size for size in sizes]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type) if kind.elem_type else None
        types[info.name] = (dtype, shape if kind.HasField("shape") else None)
    return types


def assert_same_types(seen, expected):
    """Compare types; a dimension without a size and without a name in the file is open."""
    for tensor, (dtype, shape) in seen.items():
        assert (dtype, shape) == expected.get(tensor, (None, None)), tensor


class Models(Instrument):
    """Keeps the models after each pass."""

    def __init__(self):
        self.all = []

    def after(self, item, index, report, before, after):
        self.all.append(after)


def check(model, passes):
    """Hold the types that are seen before each pass against those inferred from the whole model at that place."""
    models, seen = Models(), []
    look = Do(lambda graph: seen.append(types_in(graph)), reported=False)
    watched = [look, *(one for item in passes for one in (item, look))]
    with suppress(PassError):  # an edit may make the graph invalid; the types before it are still compared
        PassManager(watched, verify=False, instruments=[models]).run(model)
    assert seen
    for types, whole in zip(seen, models.all[::2], strict=True):
        assert_same_types(types, types_of(infer_shapes(whole)))


@examples(60)
@given(edits=st.lists(st.sampled_from(sorted(EDITS)), max_size=4))
def test_every_pass_sees_the_types_that_the_whole_graph_gives(edits):
    check(onnx.parser.parse_model(NETWORK), [Do(EDITS[edit]) for edit in edits])


@pytest.mark.parametrize(
    "pipeline",
    [
        "adaptive-avgpool,drop-outputs,argmax-output,fast-argmax,uint8-input",
        "adaptive-avgpool{lower=native},resize-nearest,uint8-input,drop-outputs,fp16-output,remove-noops",
        "static-batch{n=2},drop-outputs,large-avgpool,adaptive-avgpool,fast-argmax{labels=true},uint8-input{layout=nchw}",
    ],
)
def test_real_passes_see_them_on_a_real_network(pipeline):
    check(demo_model(), PassManager(pipeline).passes)


@pytest.mark.parametrize(
    "way",
    [
        "{ row = Unsqueeze(sizes, zero) back = Squeeze(row, zero)",
        "{ row = Unsqueeze(sizes, zero) real = Cast<to=1>(row) flat = Squeeze(real, zero) back = Cast<to=7>(flat)",
    ],
)
def test_sizes_are_followed_through_every_rank_and_type(way):
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] image) => (float[h,w] result)
        <int64[2] sizes = {2,3}, int64[1] zero = {0}>"""
        + way
        + " shaped = Reshape(image, back) active = Relu(shaped) more = Relu(active) result = Neg(more) }"
    )

    def swap(graph):
        graph.nodes[0].inputs[0] = gs.Constant("swapped", np.array([3, 2]))

    seen = []
    look = Do(lambda graph: seen.append(by_output(graph, "active").outputs[0].shape), reported=False)
    PassManager([look, Do(swap), look], verify=False).run(model)
    assert seen == [[2, 3], [3, 2]]


CUSTOM = """
    <ir_version: 8, opset_import: ["" : 17, "custom" : 1]>
    g (float[1,2,4,4] image, float[1,2,4,4] other) => (float[1,2,h,w] result, float[1,2,4,4] aside)
    <float[1,2,4,4] made, float[1,1,4,4] again>
    {
        made = custom.Foo(image)
        active = Relu(made)
        again = custom.Bar(other)
        more = Relu(again)
        result = Add(active, more)
        aside = Neg(active)
    }
"""


def shapes_after(*works):
    result = PassManager([Do(work) for work in works], verify=False).run(onnx.parser.parse_model(CUSTOM)).model
    infos = [*result.graph.value_info, *result.graph.output]
    return {info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim] for info in infos}


@pytest.mark.parametrize("others", [[], [insert_behind("more", "Relu")], [read_all, insert_behind("more", "Relu")]])
def test_shapes_behind_custom_operators_stay(others):
    shapes = shapes_after(drop_output, *others)
    assert [shapes[name] for name in ("made", "active", "again", "more")] == [[1, 2, 4, 4]] * 2 + [[1, 1, 4, 4]] * 2


def test_shapes_behind_a_custom_operator_go_where_it_reads_something_else():
    shapes = shapes_after(lambda graph: setattr(graph.inputs[1], "shape", [1, 2, 8, 8]))
    assert shapes["made"] == [1, 2, 4, 4]
    assert "again" not in shapes


def test_shapes_behind_a_custom_operator_go_where_it_is_another():
    shapes = shapes_after(set_attribute("made", "mode", "half"))
    assert "made" not in shapes
    assert shapes["again"] == [1, 1, 4, 4]
