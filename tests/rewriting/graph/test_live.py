"""The graph between a model and its passes: what comes back is what a pass changed, and nothing else is."""

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import psutil
import pytest
from edits import Do
from graphs import parse

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.contract import Pass
from fastscnn_opt.rewriting.graph import live as live_module
from fastscnn_opt.rewriting.graph.tidying import tidy
from fastscnn_opt.rewriting.manager import PassManager


def run(model, *works):
    return PassManager([work if isinstance(work, Pass) else Do(work) for work in works], verify=False).run(model).model


def rename_first(graph):
    graph.nodes[0].name = "renamed"


def test_all_but_the_change_comes_back_as_it_was(tiny_model):
    tiny_model.domain, tiny_model.model_version = "org.example", 7
    tiny_model.graph.doc_string = "of the graph"
    tiny_model.graph.metadata_props.add(key="trained", value="on scenes")
    node = tiny_model.graph.node[1]
    node.doc_string = "of the node"
    node.metadata_props.add(key="layer", value="3")
    tiny_model.graph.initializer[0].doc_string = "of the weights"
    tiny_model.graph.input[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    expected = onnx.shape_inference.infer_shapes(tiny_model)
    expected.graph.node[0].name = "renamed"
    assert run(tiny_model, rename_first) == expected


def test_attributes_that_graphsurgeon_does_not_know_come_back():
    model = parse("g (float[2] x) => (float[2] y) { a = Relu(x) y = vendor.Custom(a) }", 17)
    sparse = onnx.helper.make_sparse_tensor(
        onnx.helper.make_tensor("v", onnx.TensorProto.FLOAT, [1], [2.0]),
        onnx.helper.make_tensor("i", onnx.TensorProto.INT64, [1], [1]),
        [2],
    )
    kinds = {
        "type": onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [2]),
        "sparse": sparse,
        "none": onnx.AttributeProto(name="none", type=onnx.AttributeProto.INTS),
        "bytes": b"\xff\xfe",
    }
    for name, value in kinds.items():
        attribute = value if isinstance(value, onnx.AttributeProto) else onnx.helper.make_attribute(name, value)
        model.graph.node[1].attribute.append(attribute)

    def rename(graph):
        graph.nodes[1].name = "renamed"
        graph.nodes[1].attrs["added"] = 1

    node = run(model, rename).graph.node[1]
    assert node.name == "renamed"
    assert list(node.attribute[:-1]) == list(model.graph.node[1].attribute)


@pytest.mark.parametrize("ir_version", [3, 8])
def test_initializers_that_are_inputs_stay_inputs_where_that_has_a_meaning(tiny_model, ir_version):
    tiny_model.ir_version = ir_version
    for tensor in tiny_model.graph.initializer:
        value = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        tiny_model.graph.input.append(value)

    def add_bias(graph):
        graph.nodes[0].inputs.append(gs.Constant("bias", np.zeros(3, np.float32)))

    result = run(tiny_model, add_bias)
    names = [value.name for value in result.graph.input]
    assert names == ["image", *(["w", "half", "twice"] if ir_version == 8 else [])]
    assert {"w", "half", "twice", "bias"} <= {tensor.name for tensor in result.graph.initializer}


def test_quantisation_annotations_keep_their_parameters(tiny_model):
    scale = onnx.numpy_helper.from_array(np.float32([0.5]), "image_scale")
    tiny_model.graph.initializer.append(scale)
    annotation = tiny_model.graph.quantization_annotation.add(tensor_name="a")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="image_scale")
    result = run(tiny_model, rename_first)
    assert list(result.graph.quantization_annotation) == [annotation]
    assert "image_scale" in [tensor.name for tensor in result.graph.initializer]


def test_the_graph_is_made_once_for_many_passes(tiny_model, monkeypatch):
    made = []
    original = live_module.import_model
    monkeypatch.setattr(live_module, "import_model", lambda *given: made.append(1) or original(*given))
    quiet = Do(lambda graph: graph.nodes[0].inputs[1].values.sum(), reported=False)
    run(tiny_model, rename_first, quiet, rename_first, quiet, quiet)
    assert len(made) == 1


def set_weight(graph):
    graph.nodes[0].inputs[1].values = np.zeros((3, 3, 1, 1), np.float32)


def write_into_weight(graph):
    graph.nodes[0].inputs[1].values[:] = 0


def set_attribute(graph):
    graph.nodes[2].attrs["mode"] = "nearest"


def drop_node(graph):
    graph.nodes.pop()


def widen_output(graph):
    graph.outputs[0].shape = [9, 9, 9, 9]


@pytest.mark.parametrize("secret", [set_weight, write_into_weight, set_attribute, drop_node, widen_output])
def test_what_a_pass_did_without_saying_so_is_forgotten(tiny_model, secret):
    expected = run(tiny_model, rename_first)
    assert run(tiny_model, Do(secret, reported=False), rename_first) == expected


def test_what_a_pass_did_before_is_not_forgotten(tiny_model):
    idle = Do(lambda graph: graph.nodes[0].inputs[1].values.sum(), reported=False)
    weights = onnx.numpy_helper.to_array(run(tiny_model, set_weight, idle, rename_first).graph.initializer[0])
    np.testing.assert_array_equal(weights, 0)


def test_a_list_that_a_pass_writes_into_counts_as_changed():
    model = parse("""
        g (float[1,1,4,4] x) => (float[1,1,h,w] y) { y = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) }
    """)

    def widen(graph):
        graph.nodes[0].attrs["strides"][1] = 1

    attributes = {attribute.name: list(attribute.ints) for attribute in run(model, widen).graph.node[0].attribute}
    assert attributes["strides"] == [2, 1]


def test_inner_shapes_follow_a_change(tiny_model):
    def halve(graph):
        graph.nodes[2].inputs[2].values = np.float32([1, 1, 0.25, 0.25])
        graph.nodes[3].inputs[2].values = np.float32([1, 1, 4, 4])

    seen = []
    run(tiny_model, halve, lambda graph: seen.append(graph.nodes[2].outputs[0].shape))
    assert seen == [[1, 3, 4, 8]]


def test_two_constants_of_one_name_must_be_the_same(tiny_model):
    def add(*values):
        def work(graph):
            for value in values:
                tensor = graph.nodes[1].inputs[0]
                added = gs.Variable(f"added_{value}_{len(graph.nodes)}", np.float32)
                constant = gs.Constant("offset", np.float32([value]))
                graph.nodes.append(gs.Node("Add", added.name, {}, [tensor, constant], [added]))
                graph.nodes[1].inputs[0] = added

        return work

    twice = run(tiny_model, add(1, 1))
    assert [tensor.name for tensor in twice.graph.initializer].count("offset") == 1
    with pytest.raises(PassError, match="two different initializers are called 'offset'"):
        run(tiny_model, add(1, 2))


def chain(*edges):
    """A graph of nodes n0, n1, ...; an edge (0, 1) lets n1 read what n0 makes."""
    count = 1 + max(map(max, edges))
    tensors = [gs.Variable(f"t{index}", np.float32) for index in range(count)]
    sources = [[tensors[start] for start, end in edges if end == index] for index in range(count)]
    nodes = [gs.Node("Op", f"n{index}", {}, sources[index], [tensors[index]]) for index in range(count)]
    return gs.Graph(nodes=nodes, outputs=[tensors[0]])


def test_a_node_that_is_needed_earlier_comes_right_before_who_needs_it():
    graph = chain((1, 0), (2, 1), (3, 0), (4, 3))
    graph.nodes = [graph.nodes[index] for index in (4, 0, 1, 2, 3)]
    tidy(graph)
    assert [node.name for node in graph.nodes] == ["n4", "n2", "n1", "n3", "n0"]


def test_what_no_output_needs_goes_and_lets_go_of_its_tensors():
    graph = chain((1, 0), (1, 2), (2, 3))
    source = graph.nodes[1].outputs[0]
    tidy(graph)
    assert [node.name for node in graph.nodes] == ["n1", "n0"]
    assert [node.name for node in source.outputs] == ["n0"]


def test_a_cycle_is_named():
    graph = chain((1, 0), (2, 1), (1, 2))
    with pytest.raises(PassError, match=r"the nodes around 'n[12]' form a cycle"):
        tidy(graph)


def test_sorting_is_not_bounded_by_the_depth_of_the_graph():
    graph = chain(*((index + 1, index) for index in range(5000)))
    tidy(graph)
    assert [node.name for node in graph.nodes] == [f"n{index}" for index in range(5000, -1, -1)]


def test_the_weights_of_models_between_passes_are_not_kept():
    count, size = 12, 2**22  # a weight of 16 MiB
    nodes = [onnx.helper.make_node("Add", ["x", "w"], ["t0"], "n0")]
    nodes += [onnx.helper.make_node("Relu", [f"t{i}"], [f"t{i + 1}"], f"n{i + 1}") for i in range(count)]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [size]) for name in ("x", f"t{count}")]
    weight = onnx.numpy_helper.from_array(np.ones(size, np.float32), "w")
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], [weight])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)

    def rename(index):
        return lambda graph: setattr(graph.nodes[index], "name", f"renamed{index}")

    before = psutil.Process().memory_info().rss
    PassManager([Do(rename(index)) for index in range(count)], verify=False).run(model)
    assert psutil.Process().memory_info().rss - before < count / 2 * 4 * size
