"""The differences of paired nodes: operators, inputs, attributes and their defaults, also in subgraphs."""

from diffs import changes, edited, only, read, set_attribute

from fastscnn_opt import diff_models


def test_eight_flipped_resize_nodes_are_eight_changed_attributes(resizes):
    def flip(graph):
        for node in graph.node:
            set_attribute(node, "mode", "nearest")

    diff = diff_models(resizes, edited(resizes, flip))
    assert changes(diff) == [(f"up{i}", "mode", "linear", "nearest") for i in range(8)]
    assert only(diff, "nodes")
    assert [entry.kind for entry in diff.nodes.changed] == ["attribute"] * 8


def test_a_swap_of_two_inputs_is_two_changed_inputs(network):
    def swap(graph):
        node = next(node for node in graph.node if node.name == "add")
        node.input[:] = reversed(node.input)

    assert changes(diff_models(network, edited(network, swap))) == [
        ("add", "input 0", "node m1", "node m3"),
        ("add", "input 1", "node m3", "node m1"),
    ]


def test_an_operator_replaced_under_its_name_is_a_changed_operator():
    before = read(
        "g (float[1,2,4,4] x) => (float[1,2,1,1] y) { [pool] y = vendor.AdaptiveAvgPool2d<output_size=[1,1]>(x) }"
    )
    after = read("g (float[1,2,4,4] x) => (float[1,2,1,1] y) { [pool] y = AveragePool<kernel_shape=[4,4]>(x) }")
    assert changes(diff_models(before, after)) == [
        ("pool", "operator", "vendor.AdaptiveAvgPool2d", "AveragePool"),
        ("pool", "kernel_shape", None, [4, 4]),
        ("pool", "output_size", [1, 1], None),
    ]


def test_a_default_that_is_written_out_is_noted_and_no_change():
    before = read("g (float[2,2] x) => (float[2,2] y) { [s] y = Softmax(x) }")
    after = read("g (float[2,2] x) => (float[2,2] y) { [s] y = Softmax<axis=-1>(x) }")
    diff = diff_models(before, after)
    assert not diff
    assert diff.notes == ["1 attribute is written in one model and left at the same default in the other (s: axis)"]


def test_inputs_left_out_at_the_end_are_the_same_as_empty_names():
    before = read("g (float[2] x) => (float[2] y) { [c] y = Clip(x) }")
    after = read("g (float[2] x) => (float[2] y) { [c] y = Clip(x, ,) }")
    assert not diff_models(before, after)


def test_a_change_in_a_subgraph_says_where_it_is(branching):
    def change(graph):
        body = graph.node[1].attribute[0].g
        body.node[0].op_type = "Neg"
        body.node[1].input[1] = "t"

    found = changes(diff_models(branching, edited(branching, change)))
    assert found == [
        ("if > then_branch > inner", "operator", "Abs", "Neg"),
        ("if > then_branch > scale", "input 1", "initializer w", "node outer"),
    ]
