"""Which tensors count as the terms of an output."""

import pytest
from graphs import parse

from fastscnn_opt.rewriting.verification.terms import terms_of_outputs


@pytest.mark.parametrize(
    ("nodes", "terms"),
    [
        ("y = Relu(x)", {}),
        ("a = Sin(x) b = Neg(x) y = Add(a, b)", {"y": ["a", "b"]}),
        ("a = Sin(x) b = Neg(x) d = Sub(a, b) t = Transpose(d) y = Relu(t)", {"y": ["a", "b"]}),
        ("a = Sin(x) d = Sub(x, a) e = Exp(x) y = Sum(d, e)", {"y": ["d", "e", "a"]}),
        ("a = Sin(x) d = Sub(x, a) y = Sigmoid(d)", {}),
        ("a = Sin(x) d = Sub(x, a) y = Mul(d, x)", {}),
    ],
)
def test_terms_are_found_through_sums_and_what_passes_them_on(nodes, terms):
    model = parse(f"g (float[2,2] x) => (float[2,2] y) {{ {nodes} }}")
    assert terms_of_outputs(model) == terms
