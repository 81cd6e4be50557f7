"""Models that the ONNX checker accepts and that would never end, or fail far from their cause."""

import onnx
import pytest
from graphs import parse

from fastscnn_opt.model.reading.integrity import first_problem


def nested(depth, call="y = local.CALLED(a)"):
    """A model whose function f0 calls the next one twice, and so on; the last one has two nodes."""
    parts = ['<ir_version: 8, opset_import: ["" : 17, "local" : 1]> g (float[2] x) => (float[2] y) { y = local.f0(x) }']
    for level in range(depth):
        body = f"a = local.f{level + 1}(x) {call}".replace("CALLED", f"f{level + 1}")
        parts.append(f'<domain: "local", opset_import: ["" : 17, "local" : 1]> f{level} (x) => (y) {{ {body} }}')
    parts.append(f'<domain: "local", opset_import: ["" : 17]> f{depth} (x) => (y) {{ a = Neg(x) y = Neg(a) }}')
    return onnx.parser.parse_model("\n".join(parts))


@pytest.mark.parametrize(("depth", "nodes"), [(20, 2**21), (60, 2**61)])
def test_functions_that_call_each_other_too_often_are_refused(depth, nodes):
    assert f"that it has {nodes} nodes" in first_problem(nested(depth))


def test_calls_inside_control_flow_count():
    call = "c = Constant<value = bool {1}>() y = If(c) <then_branch = t () => (p) { p = local.CALLED(a) }, "
    call += "else_branch = e () => (q) { q = local.CALLED(a) }>"
    assert "nodes, more than 1000000" in first_problem(nested(14, call))  # 3 ** 14 calls


def test_functions_in_a_usual_number_are_accepted():
    assert first_problem(nested(10)) is None


def test_a_function_that_calls_itself_inside_control_flow_is_refused():
    call = "c = Constant<value = bool {1}>() y = If(c) <then_branch = t () => (p) { p = local.f0(a) }, "
    call += "else_branch = e () => (q) { q = Neg(a) }>"
    assert "calls itself" in first_problem(nested(1, call))


def test_a_constant_without_a_value_is_refused():
    model = parse("g (float[2] x) => (float[2] y) { c = Constant() y = Add(x, c) }")
    assert first_problem(model) == "node 'c' is a Constant without a value"
