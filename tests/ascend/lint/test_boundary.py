"""The rules about inputs and outputs."""

import pytest

from fastscnn_opt.ascend.lint.boundary import needless_output, other_release, unlisted_shape, wide_output

PATCH = {("five_2_four", (1, 19, 8, 16)): "a-patch", ("four_2_five", (1, 3, 8, 16)): "a-patch"}


def test_outputs_after_the_first_are_counted_in_bytes(graph):
    model = graph("""
        g (float[1,19,1024,2048] x) => (float[1,19,1024,2048] a, float[1,19,1024,2048] b, float16[1,19,4,4] c)
        { a = Relu(x) b = Abs(x) c = Cast<to=10>(x) }
    """)
    first, second = needless_output.findings(model)
    assert (first.problem.node, second.problem.node) == ("b", "c")
    assert "159383552 bytes" in first.problem.message
    assert "608 bytes" in second.problem.message


def test_one_output_is_needed(graph, nodes):
    model = graph("g (float[1,19,4,4] x) => (float[1,19,4,4] a) { a = Relu(x) }")
    assert nodes(needless_output, model) == []


@pytest.mark.parametrize(("kind", "code", "wide"), [("float", 1, True), ("float16", 10, False), ("uint8", 2, False)])
def test_an_output_of_float32_is_wide(graph, nodes, kind, code, wide):
    model = graph(f"g (float[1,19,4,4] x) => ({kind}[1,19,4,4] a) {{ a = Cast<to={code}>(x) }}")
    assert nodes(wide_output, model) == (["a"] if wide else [])


def test_a_float32_output_needs_its_shape_on_a_white_list(graph):
    model = graph("g (float[1,19,8,16] x) => (float[1,19,8,16] a) { a = Relu(x) }", patches=PATCH)
    (finding,) = unlisted_shape.findings(model)
    assert finding.problem.node == "a"
    assert "five_2_four" in finding.problem.message
    assert "apply the patch `a-patch`" in finding.problem.cure


def test_a_shape_that_no_patch_has_leads_to_one_that_is_derived(graph):
    model = graph("g (float[1,19,8,17] x) => (float[1,19,8,17] a) { a = Relu(x) }", patches=PATCH)
    (finding,) = unlisted_shape.findings(model)
    assert "patch derive" in finding.problem.cure


def test_a_shape_that_the_compiler_lists_is_fine(graph, nodes):
    model = graph("g (float[1,19,8,16] x) => (float[1,19,8,16] a) { a = Relu(x) }", listed=PATCH)
    assert nodes(unlisted_shape, model) == []


@pytest.mark.parametrize(("kind", "reported"), [("float16", ["image"]), ("float", [])])
def test_only_float16_inputs_have_a_white_list(graph, nodes, kind, reported):
    model = graph(f"g ({kind}[1,3,8,16] image) => (float16[1,3,8,16] y) {{ y = Cast<to=10>(image) }}")
    assert nodes(unlisted_shape, model) == reported


def test_other_ranks_than_4_are_on_no_list(graph, nodes):
    model = graph("g (float[19,8,16] x) => (float[19,8,16] a) { a = Relu(x) }")
    assert nodes(unlisted_shape, model) == []


@pytest.mark.parametrize(
    ("cann", "lists"), [("5.0.2", True), ("5.0.4.alpha005", True), ("5.1.RC2", False), ("6.0", False)]
)
def test_white_lists_are_advice_for_cann_5_0_only(graph, nodes, cann, lists):
    model = graph("g (float[1,19,8,16] x) => (float[1,19,8,16] a) { a = Relu(x) }", patches=PATCH, cann=cann)
    assert nodes(unlisted_shape, model) == (["a"] if lists else [])
    assert nodes(other_release, model) == ([] if lists else ["a"])


def test_the_hint_tells_what_is_published_for_a_later_release(graph):
    model = graph("g (float[1,19,8,16] x) => (float[1,19,8,16] a) { a = Relu(x) }", cann="6.0.RC1")
    (finding,) = other_release.findings(model)
    assert "white lists are of CANN 5.0.x, not 6.0.RC1" in finding.problem.message
    assert "10.21 fps (310, batch 1) with float32 outputs and no patch" in finding.problem.message
    assert "is not known" in wide_output.findings(model)[0].problem.message


def test_an_output_that_no_white_list_is_for_gives_no_hint(graph, nodes):
    model = graph("g (float[1,19,8,16] x) => (uint8[1,19,8,16] a) { a = Cast<to=2>(x) }", cann="6.0")
    assert nodes(other_release, model) == []
