"""Models to compare: Resize nodes in a row, branches that join, and subgraphs."""

import numpy as np
import onnx
import pytest
from diffs import read


@pytest.fixture
def resizes():
    """Eight bilinear Resize nodes in a row."""
    lines = [f'[up{i}] t{i + 1} = Resize<mode="linear">(t{i}, , s)' for i in range(8)]
    return read(f"""
        g (float[1,3,4,4] t0) => (float[1,3,4,4] t8) <float[4] s = {{1, 1, 1, 1}}> {{ {" ".join(lines)} }}
    """)


@pytest.fixture
def network():
    """Two branches with weights that join, a Constant, and nodes of one kind that only their place tells apart."""
    model = read("""
        g (float[1,4,8,8] image) => (float[1,4,8,8] sum, float[1,4,8,8] side)
        <float[1] half = {0.5}, float[1] twice = {2}>
        {
            [c1] a = Conv(image, w1)
            [r1] b = Relu(a)
            [c2] c = Conv(b, w2)
            [r2] d = Relu(c)
            [k] k = Constant<value = float[1] {3}>()
            [m1] e = Mul(d, k)
            [m2] f = Mul(b, half)
            [m3] h = Mul(f, twice)
            [add] sum = Add(e, h)
            [r3] side = Relu(f)
        }
    """)
    rng = np.random.default_rng(1)
    for name in ("w1", "w2"):
        weights = rng.standard_normal((4, 4, 1, 1)).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    return model


@pytest.fixture
def branching():
    """An If whose branches read a tensor from outside, and a call of a local function."""
    return read(
        """
        g (float[2] x, bool c) => (float[2] y) <float[2] w = {1, 2}> {
            [outer] t = Relu(x)
            [if] u = If<
                then_branch = then () => (float[2] a) { [inner] s = Abs(t) [scale] a = Mul(s, w) },
                else_branch = otherwise () => (float[2] b) { [other] b = Neg(t) }
            >(c)
            [call] y = local.twice(u)
        }
        <domain: "local", opset_import: ["" : 13]>
        twice (v) => (r) { [sum] r = Add(v, v) }
    """,
        '<ir_version: 10, opset_import: ["" : 13, "local" : 1]>',
    )
