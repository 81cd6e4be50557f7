"""A diff as text and HTML."""

from diffs import edited, read, set_attribute

from fastscnn_opt import diff_models


def test_lines_are_limited_and_say_how_many_are_left(resizes):
    def flip(graph):
        for node in graph.node:
            set_attribute(node, "mode", "nearest")

    lines = diff_models(resizes, edited(resizes, flip)).summary(limit=3).splitlines()
    assert lines == [
        "nodes: 8 changed",
        *(f"  ~ up{i} (Resize): mode linear -> nearest" for i in range(3)),
        "    ... and 5 more; --all shows them",
    ]


def test_names_are_escaped_for_terminals_and_notebooks():
    before = read("g (float[2] x) => (float[2] y) { [a] y = Relu(x) }")
    after = edited(before, lambda graph: graph.node.add(op_type="Abs", name="<b>\x1b[31m", input=["x"], output=["t"]))
    diff = diff_models(before, after)
    assert "\x1b" not in diff.summary()
    assert "&lt;b&gt;" in diff._repr_html_()
    assert "<b>" not in diff._repr_html_()
    assert diff.to_json()["nodes"]["added"] == [{"node": "<b>\x1b[31m", "op": "Abs"}]


def test_changed_inputs_come_behind_what_else_has_changed():
    before = read("g (float[2,2] x) => (float[2,2] y) { [a] t = Relu(x) [b] y = Softmax<axis = 0>(t) }")
    after = read("g (float[2,2] x) => (float[2,2] y) { [c] s = Abs(x) [a] t = Relu(s) [b] y = Softmax<axis = 1>(t) }")
    changed = [line for line in diff_models(before, after).summary().splitlines() if "~" in line]
    assert changed == ["  ~ b (Softmax): axis 0 -> 1", "  ~ a (Relu): input 0 input x -> node c"]
