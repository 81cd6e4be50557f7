"""The rule of every operator: what keeps the images apart is followed, what mixes them is refused by name."""

import numpy as np
import onnx
import pytest
from graphs import parse, random_input, run

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.manager import PassManager


def input_shape(model: onnx.ModelProto) -> list[int]:
    return [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]


@pytest.mark.parametrize(
    ("text", "opset"),
    [
        pytest.param(
            """
                g (float[1,2,4,4] x) => (float[1,3] y) <float[2,3] w = {1,2,3,4,5,6}, float[3] b = {1,2,3}> {
                    p = GlobalAveragePool(x) f = Flatten(p) g = Gemm(f, w, b) y = Softmax(g)
                }
            """,
            13,
            id="pooled classifier",
        ),
        pytest.param(
            "g (float[1,2,4,4] x) => (float[1,2,1,4] y) <float[1,4] w = {1,2,3,4}> { y = MatMul(w, x) }",
            13,
            id="matrix from the left",
        ),
        pytest.param(
            "g (float[1,2,4,4] x) => (float[1,2,4,1] y) <float[4,1] w = {1,2,3,4}> { y = MatMul(x, w) }",
            13,
            id="matrix from the right",
        ),
        pytest.param(
            "g (float[1,4] x) => (float[1,1] y) <float[4,1] w = {1,2,3,4}> { y = MatMul(x, w) }",
            13,
            id="batch in the rows",
        ),
        pytest.param(
            """
                g (float[1,4,4] x) => (float[1,4,4] y) {
                    t = Transpose<perm=[0,2,1]>(x) s = MatMul(x, t) p = Softmax<axis=-1>(s) y = MatMul(p, x)
                }
            """,
            13,
            id="attention",
        ),
        pytest.param(
            """
                g (float[1,2,4,4] x) => (float[1,2,4,4] y) {
                    t = Transpose<perm=[1,2,0,3]>(x) r = Relu(t) y = Transpose<perm=[2,0,1,3]>(r)
                }
            """,
            13,
            id="batch moved and moved back",
        ),
        pytest.param(
            "g (float[1,2,4] x) => (float[1,2,4] y) { t = Transpose(x) y = Transpose(t) }",
            13,
            id="default transposition twice",
        ),
        pytest.param(
            """
                g (float[1,1,4,4] x) => (float[1,4,1,4] y) <int64[1] one = {1}, int64[1] two = {2}> {
                    s = Squeeze(x, one) y = Unsqueeze(s, two)
                }
            """,
            13,
            id="squeeze and unsqueeze by input",
        ),
        pytest.param(
            "g (float[1,1,4,4] x) => (float[1,4,4,1] y) { s = Squeeze<axes=[1]>(x) y = Unsqueeze<axes=[-1]>(s) }",
            11,
            id="squeeze and unsqueeze by attribute",
        ),
        pytest.param(
            "g (float[1,4,2,2] x) => (float[1,4,2,2] y) { a, b = Split<axis=1>(x) y = Concat<axis=1>(b, a) }",
            13,
            id="split and join",
        ),
        pytest.param(
            """
                g (float[1,4,2,2] x) => (float[1,2,2,1] y)
                <int64[2] starts = {1,0}, int64[2] ends = {3,1}, int64[2] axes = {1,-1}> {
                    y = Slice(x, starts, ends, axes)
                }
            """,
            13,
            id="slice by input",
        ),
        pytest.param(
            "g (float[1,4,2,2] x) => (float[1,2,2,2] y) { y = Slice<axes=[1], starts=[1], ends=[3]>(x) }",
            9,
            id="slice by attribute",
        ),
        pytest.param(
            """
                g (float[1,4] x) => (float[1,4] y) <int64[1] zero = {0}, int64[1] far = {9223372036854775807}> {
                    y = Slice(x, zero, far)
                }
            """,
            13,
            id="whole slice of the batch",
        ),
        pytest.param(
            "g (float[1,4,2,2] x) => (float[1,2,2,2] y) <int64[2] i = {3,0}> { y = Gather<axis=1>(x, i) }",
            13,
            id="gather channels",
        ),
        pytest.param(
            "g (float[1,2,2,2] x) => (float[1,2,3,4] y) <int64[8] p = {0,0,1,1,0,0,0,1}> { y = Pad(x, p) }",
            13,
            id="pad by input",
        ),
        pytest.param(
            "g (float[1,2,2,2] x) => (float[1,2,3,4] y) { y = Pad<pads=[0,0,1,1,0,0,0,1]>(x) }",
            9,
            id="pad by attribute",
        ),
        pytest.param(
            """
                g (float[1,2,2,2] x) => (float[1,2,2,4] y) <int64[2] p = {1,1}, int64[1] a = {-1}> {
                    y = Pad(x, p, , a)
                }
            """,
            18,
            id="pad some axes",
        ),
        pytest.param(
            "g (float[1,2,1,1] x) => (float[1,2,3,4] y) <int64[4] s = {1,2,3,4}> { y = Expand(x, s) }",
            13,
            id="expand by a constant",
        ),
        pytest.param(
            """
                g (float[1,2] x) => (float[1,2] y) <int64[3] s = {5,1,2}> {
                    e = Expand(x, s) y = ReduceMax<axes=[0], keepdims=0>(e)
                }
            """,
            13,
            id="expand to more axes",
        ),
        pytest.param(
            """
                g (float[1,2,1] x) => (float[1,2,3] y)
                <int64[1] two = {2}, int64[1] three = {3}, int64[3] minus = {-1,-1,-1}> {
                    whole = Shape(x) zero = Constant<value_ints=[0]>() n = Gather(whole, zero)
                    sizes = Concat<axis=0>(n, two, three)
                    is_minus = Equal(sizes, minus) rank = Shape(sizes)
                    ones = ConstantOfShape<value=int64[1] {1}>(rank)
                    target = Where(is_minus, ones, sizes) y = Expand(x, target)
                }
            """,
            13,
            id="expand with -1 for what stays",
        ),
        pytest.param(
            """
                g (float[1,2] x) => (float[1,2] y) <float[1,2] token = {1,2}, int64[1] one = {1}> {
                    whole = Shape(x) zero = Constant<value_ints=[0]>() n = Gather(whole, zero)
                    times = Concat<axis=0>(n, one) t = Tile(token, times) y = Add(x, t)
                }
            """,
            13,
            id="a constant repeated for the batch",
        ),
        pytest.param(
            """
                g (float[1,2] x) => (float[1,4] y) <int64[1] two = {2}> {
                    whole = Shape(x) zero = Constant<value_ints=[0]>() n = Gather(whole, zero)
                    size = Concat<axis=0>(n, two) z = ConstantOfShape(size) y = Concat<axis=1>(x, z)
                }
            """,
            13,
            id="zeros of the batch",
        ),
        pytest.param(
            "g (float[1,2,3] x) => (float[1,4,3] y) <int64[3] t = {1,2,1}> { y = Tile(x, t) }", 13, id="tile channels"
        ),
        pytest.param(
            "g (float[1,2,3] x) => (float[1,2] y) { y = ReduceMean<axes=[-1], keepdims=0>(x) }",
            11,
            id="reduce by attribute",
        ),
        pytest.param(
            "g (float[1,2,3] x) => (float[1,1,1] y) <int64[2] a = {1,2}> { y = ReduceSum(x, a) }",
            13,
            id="reduce by input",
        ),
        pytest.param("g (float[1,2,3] x) => (int64[1,3] y) { y = ArgMax<axis=1, keepdims=0>(x) }", 13, id="argmax"),
        pytest.param("g (float[1,2,3] x) => (float[1,2,3] y) { y = Softmax<axis=1>(x) }", 11, id="old softmax"),
        pytest.param(
            """
                g (float[1,2,3] x) => (float[1,2,3] y) <float[3] s = {1,2,3}> { y = LayerNormalization(x, s) }
            """,
            17,
            id="layer normalisation",
        ),
        pytest.param(
            """
                g (float[1,2,3,3] x) => (float[1,2,6,6] y) <float[4] s = {1,1,2,2}> {
                    y = Upsample<mode="nearest">(x, s)
                }
            """,
            9,
            id="old upsampling",
        ),
        pytest.param(
            "g (float[1,2,3,3] x) => (float[1,2,6,6] y) <float[4] s = {1,1,2,2}> { y = Resize(x, s) }",
            10,
            id="resize of opset 10",
        ),
        pytest.param(
            """
                g (float[1,2,3,3] x) => (float[1,2,6,6] y) <int64[2] s = {6,6}> { y = Resize<axes=[2,3]>(x, , , s) }
            """,
            18,
            id="resize of some axes",
        ),
        pytest.param(
            """
                g (float[1,2,3,3] x) => (float[1,2,6,3] y) <int64[3] s = {1,6,2}> {
                    y = Resize<axes=[-4,-2,-3]>(x, , , s)
                }
            """,
            18,
            id="resize of axes from the end, in another order",
        ),
        pytest.param(
            "g (float[1,4] x) => (float[1,4] y) <float[1] c = {2}> { k = CastLike(c, x) y = Mul(x, k) }",
            15,
            id="type of the image",
        ),
        pytest.param(
            "g (float[1,4] x) => (float[1,4] y) { y = Flatten<axis=-1>(x) }", 13, id="flatten with an axis from the end"
        ),
        pytest.param(
            """
                g (float[1,4,2] x) => (float[1,8,2] y) <int64[1] p = {-1}, int64[1] c = {-2}> {
                    l, r = Split<axis=-2>(x) u = Unsqueeze(l, p) q = Squeeze(u, p)
                    a = Gather<axis=-2>(x, p) m = ReduceSum<keepdims=0>(x, c) k = Unsqueeze(m, c)
                    i = ArgMax<axis=-2>(x) f = Cast<to=1>(i) h = Softmax<axis=-2>(q)
                    n = Neg(k) y = Concat<axis=-2>(h, r, a, k, f, n)
                }
            """,
            13,
            id="all axes from the end",
        ),
        pytest.param(
            """
                g (float[1,3,2] x) => (float[1,3,2] y) <float[3] s = {0.5, 0.25, 0.125}, uint8[3] z = {1,2,3}> {
                    q = QuantizeLinear<axis=-2>(x, s, z) y = DequantizeLinear<axis=-2>(q, s, z)
                }
            """,
            13,
            id="scales of channels",
        ),
        pytest.param(
            """
                g (float[1,2,3] x) => (float[1,2,3] y) <float[1] zero = {0}, float[2,1] c = {1,2}> {
                    positive = Greater(x, zero) y = Where(positive, x, c)
                }
            """,
            13,
            id="comparison and choice",
        ),
    ],
)
def test_every_image_gives_what_it_gave(rewrite, text, opset):
    model = parse(text, opset)
    result = rewrite(model, "static-batch{n=3}")
    x = random_input(3, *input_shape(model)[1:])
    expected = [run(model, x[index : index + 1])[0] for index in range(3)]
    np.testing.assert_allclose(run(result.model, x)[0], np.concatenate(expected), atol=1e-6)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            "<int64[2] t = {3, 8}> { z = Transpose<perm=[1,0,2,3]>(x) y = Reshape(z, t) }",
            "mixes the batch",
            id="fold into a part of an axis",
        ),
        pytest.param("<int64[3] t = {2, 3, 4}> { y = Reshape(x, t) }", "2 rows for every image", id="folded output"),
        pytest.param("{ y = Flatten<axis=2>(x) }", "mixes the batch", id="flatten all"),
        pytest.param(
            """
                {
                    s = Shape(x) a = Constant<value_ints=[0]>() n = Gather(s, a)
                    b = Constant<value_ints=[1]>() c = Gather(s, b) m = Mul(n, c)
                    r = Constant<value_ints=[-1]>() t = Concat<axis=0>(m, r) y = Reshape(x, t)
                }
            """,
            "mixes the batch",
            id="product with a size",
        ),
        pytest.param("{ y = ReduceMean<axes=[0]>(x) }", "reduces over the batch", id="mean over the batch"),
        pytest.param("{ y = ReduceMean(x) }", "reduces over the batch", id="mean over all"),
        pytest.param("{ y = Concat<axis=0>(x, x) }", "joins along the batch", id="joined images"),
        pytest.param(
            "<float[1,1,3,4] w = {0,0,0,0,0,0,0,0,0,0,0,0}> { y = Concat<axis=1>(x, w) }",
            "to others",
            id="joined constant",
        ),
        pytest.param("<int64[1] i = {0}> { y = Gather<axis=0>(x, i) }", "some images", id="first image"),
        pytest.param(
            "<int64[1] s = {0}, int64[1] e = {1}> { y = Slice(x, s, e) }", "some images", id="range of images"
        ),
        pytest.param("{ y = Squeeze(x) }", "removes the batch axis", id="squeeze of everything"),
        pytest.param("<int64[8] p = {1,0,0,0,0,0,0,0}> { y = Pad(x, p) }", "pads along the batch", id="padded batch"),
        pytest.param("<int64[4] t = {2,1,1,1}> { y = Tile(x, t) }", "repeats along the batch", id="repeated batch"),
        pytest.param("{ t = Transpose<perm=[1,0,2,3]>(x) y = Add(x, t) }", "different axes", id="batched twice"),
        pytest.param(
            "{ s = Shape(x) a = Constant<value_ints=[0]>() n = Gather(s, a) f = Cast<to=1>(n) y = Div(x, f) }",
            "depends on the others",
            id="divided by the batch",
        ),
        pytest.param(
            """
                {
                    s = Shape(x) a = Constant<value_int=0>() n = Gather(s, a)
                    o = Constant<value_int=1>() y = Range(a, n, o)
                }
            """,
            "computes with the batch size",
            id="range up to the batch",
        ),
        pytest.param("{ y = vendor.Thing(x) }", "is not known", id="unknown operator"),
        pytest.param(
            "{ y = Transpose<perm=[1,0,2,3]>(x) }", "output 'y' does not carry the batch in front", id="batch behind"
        ),
        pytest.param("{ y = Shape(x) }", "output 'y' does not carry the batch in front", id="its own shape"),
        pytest.param("{ y = Softmax<axis=0>(x) }", "works along the batch", id="softmax over images"),
        pytest.param(
            "<float[2] s = {1,2}> { y, m, v, n, w = BatchNormalization(x, s, s, s, s) }",
            "statistics over the batch",
            id="normalisation in training",
        ),
        pytest.param(
            "<float[1,1,1,1] w = {1}> { t = Transpose<perm=[1,0,2,3]>(x) y = Conv(t, w) }",
            "not the first axis",
            id="convolution over the batch",
        ),
        pytest.param(
            "{ a = Constant<value_ints=[0,-1]>() f = Reshape(x, a) t = Transpose(f) y = MatMul(f, t) }",
            "multiplies images",
            id="images multiplied",
        ),
        pytest.param(
            "{ a = Constant<value_ints=[0,-1]>() f = Reshape(x, a) t = Transpose(f) y = MatMul(t, f) }",
            "sums over the batch",
            id="sum of images",
        ),
        pytest.param(
            "<int64[4] s = {2,2,3,4}> { y = Resize(x, , , s) }", "resizes along the batch", id="resized batch"
        ),
        pytest.param(
            "<int64[1] s = {2}> { y = Resize<axes=[-4]>(x, , , s) }",
            "resizes along the batch",
            id="resized batch from the end",
        ),
        pytest.param("{ y = Concat<axis=-4>(x, x) }", "joins along the batch", id="joined from the end"),
        pytest.param("{ y = Flatten<axis=-1>(x) }", "mixes the batch", id="flattened from the end"),
        pytest.param("{ y = Softmax<axis=-4>(x) }", "works along the batch", id="softmax from the end"),
        pytest.param("{ y = ArgMax<axis=-4>(x) }", "works along the batch", id="argmax from the end"),
        pytest.param("<int64[1] a = {-4}> { y = ReduceSum(x, a) }", "reduces over the batch", id="sum from the end"),
        pytest.param("<int64[1] a = {-4}> { y = Squeeze(x, a) }", "removes the batch axis", id="squeezed from the end"),
        pytest.param(
            "<int64[1] s = {0}, int64[1] e = {1}, int64[1] a = {-4}> { y = Slice(x, s, e, a) }",
            "some images",
            id="range from the end",
        ),
        pytest.param(
            "<int64[2] p = {0,1}, int64[1] a = {-4}> { y = Pad(x, p, , a) }", "pads along", id="padded from the end"
        ),
        pytest.param(
            "<float[1,1,1,2] g = {0, 0}> { y = GridSample(x, g) }", "not the first axis of both", id="one grid for all"
        ),
        pytest.param(
            "{ p, y = MaxPool<kernel_shape=[2,2]>(x) }", "its indices count through the whole batch", id="indices"
        ),
        pytest.param(
            "<float[1] r, bool t = {1}> { y = Dropout(x, r, t) }", "in training mode", id="dropout in training"
        ),
        pytest.param(
            """
                {
                    s = Shape(x) a = Constant<value_ints=[0]>() n = Gather(s, a) r = Constant<value_ints=[1,1,1]>()
                    t = Concat<axis=0>(r, n) y = Tile(x, t)
                }
            """,
            "makes the size of another axis out of the batch size",
            id="repeated as often as there are images",
        ),
    ],
)
def test_what_mixes_images_is_refused_by_name(body, message):
    model = parse(
        f"g (float[1,2,3,4] x) => (y) {body}",
        18 if any(new in body for new in ("x, p, , a", "axes=[-4]", "Grid")) else 13,
    )
    model.graph.node[-1].name = "culprit"
    with pytest.raises(PassError, match=message) as caught:
        PassManager("static-batch{n=3}", verify=False).run(model)
    assert "culprit" in str(caught.value) or "output 'y'" in str(caught.value)


def test_an_operand_of_the_old_batch_size_is_refused():
    model = parse("g (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1,2,3,4}> { [add] y = Add(x, w) }")
    with pytest.raises(PassError, match=r"add \(Add\): its operand 'w' has size 2 where the batch is"):
        PassManager("static-batch{n=3}").run(model)


def test_a_loop_is_not_cured_by_simplify():
    model = parse("""
        g (float[1,2] x, int64 n, bool c) => (float[1,2] y) {
            [loop] y = Loop(n, c, x) <body = b (int64 i, bool c1, float[1,2] a) => (bool c2, float[1,2] r) {
                c2 = Identity(c1) r = Relu(a)
            }>
        }
    """)
    with pytest.raises(PassError, match=r"loop \(Loop\): .*; export the model with the batch size that you need"):
        PassManager("static-batch{n=3}").run(model)


def test_axes_that_are_an_input_are_not_known():
    model = parse("g (float[1,2,3] x, int64[1] a) => (float[1,2,1] y) { [sum] y = ReduceSum(x, a) }")
    with pytest.raises(PassError, match=r"sum \(ReduceSum\): its list of axes depends on the values of the input 'a'"):
        PassManager("static-batch{n=3}").run(model)


BRANCHES = """[branch] y = If(c) <
    then_branch = t () => (float[N,2] a) { a = Relu(x) }, else_branch = e () => (float[N,2] b) { b = Neg(x) }>"""


@pytest.mark.parametrize("batch", ["1", "N"])
def test_a_subgraph_whose_branch_is_settled_is_left_to_simplify(batch):
    model = parse(f"g (float[{batch},2] x) => (float[{batch},2] y) <bool c = {{1}}> {{ {BRANCHES} }}")
    with pytest.raises(PassError, match=r"branch \(If\): .*run simplify first"):
        PassManager("static-batch{n=3}").run(model)
    assert input_shape(PassManager("simplify,static-batch{n=3}").run(model).model) == [3, 2]


def test_a_subgraph_whose_branch_an_input_chooses_needs_an_export():
    model = parse(f"g (float[1,2] x, bool c) => (float[1,2] y) {{ {BRANCHES} }}")
    with pytest.raises(PassError, match=r"branch \(If\): .*export the model with the batch size that you need"):
        PassManager("static-batch{n=3}").run(model)


def test_a_subgraph_in_a_graph_of_open_batch_is_left_to_static_shape():
    model = parse(f"g (float[N,2] x, bool c) => (float[N,2] y) {{ {BRANCHES} }}")
    with pytest.raises(PassError, match=r"branch \(If\): .*run static-shape, which sets sizes"):
        PassManager("static-batch{n=3}").run(model)
    assert input_shape(PassManager("static-shape{shape=x:3x2}").run(model).model) == [3, 2]


@pytest.mark.parametrize("batch", ["1", "N"])
def test_a_subgraph_beside_the_batch_stays_as_it_is(batch):
    model = parse(f"""
        g (float[{batch},2] x, bool c, float w) => (float[{batch},2] y) {{
            s = If(c) <then_branch = t () => (float a) {{ a = Exp(w) }},
                       else_branch = e () => (float b) {{ b = Neg(w) }}>
            y = Mul(x, s)
        }}
    """)
    result = PassManager("static-batch{n=3}").run(model).model
    x = random_input(3, 2)
    for choice in (True, False):
        expected = x * (np.exp(2.0) if choice else -2.0)
        actual = run(result, x, np.array(choice), np.array(2, np.float32))[0]
        np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_a_subgraph_that_reads_the_size_of_the_batch_is_refused():
    model = parse(
        """
        g (float[1,2] x, bool c) => (float[1,2] y) {
            z = Shape<end=1>(x)
            [branch] s = If(c) <then_branch = t () => (float[1] a) { a = Cast<to=1>(z) },
                                else_branch = e () => (float[1] b) { d = Neg(z) b = Cast<to=1>(d) }>
            y = Mul(x, s)
        }
    """,
        15,
    )
    with pytest.raises(PassError, match=r"branch \(If\): the batch is not followed into its subgraph"):
        PassManager("static-batch{n=3}").run(model)
