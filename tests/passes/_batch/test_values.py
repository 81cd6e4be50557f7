"""Shape arithmetic with a symbol for the batch, against the reference implementation of ONNX."""

import numpy as np
import onnx
import onnx.reference
import onnx_graphsurgeon as gs
import pytest
from fastscnn_opt.passes._batch.values import Symbol, constant_entries, evaluate, shape_entries
from graphs import parse
from hypothesis import given
from hypothesis import strategies as st

N = Symbol.BATCH


def follow(text: str, batch: int | None) -> list[object]:
    """Evaluate the arithmetic of a graph on the shape of x, whose first axis is the batch if `batch` is None."""
    graph = gs.import_onnx(parse(text))
    known = {}
    for node in graph.nodes:
        inputs = [known.get(tensor.name, constant_entries(tensor)) for tensor in node.inputs]
        if node.op == "Shape":
            result = shape_entries([batch or 1, *node.inputs[0].shape[1:]], 0 if batch is None else None)
        else:
            result = evaluate(node, inputs)
        known[node.outputs[0].name] = constant_entries(node.outputs[0]) if result is None else result
    return known[graph.outputs[0].name].ravel().tolist()


PROGRAMS = [
    pytest.param("i = Constant<value_ints=[0,3]>() y = Gather(s, i)", [N, 6], id="gather"),
    pytest.param(
        "a = Constant<value_ints=[0]>() e = Constant<value_ints=[2]>() y = Slice(s, a, e)", [N, 4], id="slice"
    ),
    pytest.param(
        "a = Constant<value_ints=[-1]>() e = Constant<value_ints=[-9223372036854775807]>()"
        " z = Constant<value_ints=[0]>() y = Slice(s, a, e, z, a)",
        [6, 5, 4, N],
        id="reversed slice",
    ),
    pytest.param(
        "i = Constant<value_int=0>() n = Gather(s, i) z = Constant<value_ints=[0]>() y = Unsqueeze(n, z)",
        [N],
        id="unsqueeze",
    ),
    pytest.param("i = Constant<value_ints=[0]>() n = Gather(s, i) y = Squeeze(n)", [N], id="squeeze"),
    pytest.param("c = Constant<value_ints=[7]>() y = Concat<axis=0>(c, s)", [7, N, 4, 5, 6], id="concat"),
    pytest.param("c = Constant<value_ints=[1,2,2,2]>() y = Mul(s, c)", [Symbol.MIXED, 8, 10, 12], id="product"),
    pytest.param("c = Constant<value_int=2>() y = Div(s, c)", [Symbol.MIXED, 2, 2, 3], id="whole quotient"),
    pytest.param(
        "f = Cast<to=1>(s) c = Constant<value_float=1.5>() m = Mul(f, c) d = Floor(m) y = Cast<to=7>(d)",
        [Symbol.MIXED, 6, 7, 9],
        id="scaled size",
    ),
    pytest.param(
        "c = Constant<value_ints=[-1,4,-1,5]>() e = Equal(s, c) y = Where(e, c, s)", [N, 4, 5, 6], id="choice"
    ),
    pytest.param("c = Constant<value_ints=[2,2]>() r = Reshape(s, c) y = Transpose(r)", [N, 5, 4, 6], id="matrix"),
    pytest.param("c = Constant<value_int=5>() y = Max(s, c)", [Symbol.MIXED, 5, 5, 6], id="maximum"),
]


@pytest.mark.parametrize(("body", "entries"), PROGRAMS)
def test_the_batch_is_a_symbol(body, entries):
    assert follow(f"g (float[N,4,5,6] x) => (int64[K] y) {{ s = Shape(x) {body} }}", None) == entries


@pytest.mark.parametrize(("body", "entries"), PROGRAMS)
@given(batch=st.integers(1, 9))
def test_numbers_are_those_of_onnx(body, entries, batch):
    del entries
    text = f"g (float[{batch},4,5,6] x) => (y) {{ s = Shape(x) {body} }}"
    image = np.zeros((batch, 4, 5, 6), np.float32)
    (expected,) = onnx.reference.ReferenceEvaluator(parse(text)).run(None, {"x": image})
    assert follow(text, batch) == expected.ravel().tolist()
