"""Steps in words: equal texts share a line, names are harmless, and notebooks get a table."""

from fastscnn_opt.rewriting.contract import Change, Contract, Skip
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.rewriting.report import PassReport, describe, describe_plan


def report(changes=(), skips=()):
    steps = [Change(node, what) for node, what in changes], [Skip(node, why) for node, why in skips]
    return PassReport("paint", "paint{colour=red}", Contract.EXACT, *steps, seconds=1.5)


def test_nodes_with_one_text_share_a_line():
    step = report([(f"n{i}", "painted") for i in range(6)], [("a", "is red"), ("b", "is wet"), ("c", "is red")])
    assert describe_plan([step]) == [
        "paint{colour=red}: exact; would change 6, leaves 3",
        "  would change n0, n1, n2 and 3 more: painted",
        "  leaves a, c: is red",
        "  leaves b: is wet",
    ]


def test_everything_names_every_node_in_order():
    step = report([("n0", "painted")], [("a", "is red"), ("b", "is wet"), ("c", "is red")])
    assert describe([step], everything=True) == [
        "paint{colour=red}: exact (not checked), 1.50 s",
        "  changed n0: painted",
        "  left a: is red",
        "  left b: is wet",
        "  left c: is red",
    ]


def test_many_different_texts_are_counted():
    lines = describe([report([(f"n{i}", f"coat {i}") for i in range(50)])])
    assert len(lines) == 22
    assert lines[-1] == "  changed more in 30 other ways"


def test_a_pass_that_met_nothing_says_so():
    assert describe_plan([report()])[1:] == ["  the graph has nothing that this pass works on"]


def test_control_characters_of_a_name_stay_out():
    assert "\x1b" not in "".join(describe([report([("\x1b[2J", "a\rb")])]))


def test_a_notebook_shows_a_table_with_names_escaped(tiny_model):
    tiny_model.graph.node[3].name = "<script>alert(1)</script>"
    html = PassManager("resize-nearest", verify=False).run(tiny_model)._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert html.count("<tr>") == 2
