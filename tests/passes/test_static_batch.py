"""static-batch: the new graph against the old one image by image, what must not change, and what it refuses."""

import io
import warnings

import numpy as np
import onnx
import pytest
import torch
from graphs import initializer, parse, random_input, run
from networks import Attention, Transformer, traced
from torch import nn

from fastscnn_opt.errors import PassError, PipelineError
from fastscnn_opt.rewriting.manager import PassManager


def shape(value: onnx.ValueInfoProto) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def changes(result) -> dict[str, str]:
    return {change.node: change.what for change in result.steps[0].changes}


@pytest.fixture
def check(rewrite):
    """Rewrite a batch-1 model to a batch and compare every output with the old model, image by image."""

    def compare(model: onnx.ModelProto, batch: int = 3):
        result = rewrite(model, f"static-batch{{n={batch}}}")
        x = random_input(batch, *shape(model.graph.input[0])[1:])
        singles = [run(model, x[index : index + 1]) for index in range(batch)]
        for index, output in enumerate(run(result.model, x)):
            np.testing.assert_allclose(output, np.concatenate([single[index] for single in singles]), atol=1e-6)
        assert all(shape(value)[0] == batch for value in (*result.model.graph.input, *result.model.graph.output))
        return result

    return compare


class OldStyle(nn.Module):
    """What exporters make of a pyramid: padding and sizes by arithmetic, views with constants."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2)
        self.bin = nn.Conv2d(8, 4, 1)
        self.head = nn.Conv2d(12, 5, 1)

    def forward(self, image):
        x = nn.functional.relu6(self.stem(image))
        pooled = nn.functional.avg_pool2d(nn.functional.pad(x, (0, 0, 0, 0)), (4, 8), (4, 8))
        pooled = nn.functional.interpolate(self.bin(pooled), x.shape[2:], mode="bilinear", align_corners=True)
        y = self.head(torch.cat([x, pooled], 1))
        y = y.view(y.size(0), -1).reshape(y.shape)
        return nn.functional.interpolate(y, image.shape[2:], mode="bilinear", align_corners=True)


def exported(network: nn.Module, batch: int, opset: int, *, dynamic: bool = False) -> onnx.ModelProto:
    buffer = io.BytesIO()
    axes = {"image": {0: "N"}, "output1": {0: "N"}} if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(batch, 3, 17, 33),),
            buffer,
            opset_version=opset,
            dynamo=False,
            input_names=["image"],
            output_names=["output1"],
            dynamic_axes=axes,
        )
    return onnx.load_from_string(buffer.getvalue())


@pytest.mark.parametrize(("opset", "old", "new"), [(11, 1, 4), (11, 4, 1), (13, 1, 16), (16, 3, 2)])
def test_an_export_with_shape_arithmetic_gets_another_batch(rewrite, opset, old, new):
    network = OldStyle().eval()
    model = exported(network, old, opset)
    assert {"Shape", "Slice", "Concat", "Pad", "Reshape"} <= {node.op_type for node in model.graph.node}
    result = rewrite(model, f"static-batch{{n={new}}}")
    assert result.steps[0].verified is True
    x = random_input(new, 3, 17, 33)
    with torch.no_grad():
        expected = network(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(run(result.model, x)[0], expected, atol=1e-5)


@pytest.mark.parametrize(("old", "new"), [(1, 4), (4, 1), (2, 3)])
@pytest.mark.parametrize("network", [Transformer, Attention])
def test_a_batch_that_transformers_fold_into_rows_and_heads(rewrite, network, old, new):
    """Simplified, so that every shape is a constant; a batch of 1 shows in none of them."""
    torch.manual_seed(0)
    module = network().eval()
    result = rewrite(traced(module, (old, 3, 16, 24)), f"simplify,static-batch{{n={new}}}")
    x = random_input(new, 3, 16, 24)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(run(result.model, x)[0], expected, atol=1e-5)


@pytest.mark.parametrize("network", [Transformer, Attention])
def test_rows_of_all_images_in_one_product(rewrite, torch_export, network):
    """The default exporter folds the batch into the rows before every linear layer, and takes it out behind it."""
    torch.manual_seed(0)
    module = network().eval()
    result = rewrite(torch_export(module, (1, 3, 16, 24)), "static-batch{n=4}")
    x = random_input(4, 3, 16, 24)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(run(result.model, x)[0], expected, atol=1e-5)


def test_a_folded_batch_without_its_own_axis(rewrite):
    """Folded into the axis in front of it, and into one behind it; the batch of 3 leaves no doubt."""
    model = parse("""
        g (float[3,4,8] x) => (float[3,4,8] y)
        <int64[2] rows = {12, 8}, int64[3] heads = {4, 6, 4}, int64[3] back = {4, 3, 8}, float[8,8] w> {
            t = Transpose<perm=[1,0,2]>(x) r = Reshape(t, rows) m = MatMul(r, w)
            h = Reshape(m, heads) s = Softmax<axis=2>(h) b = Reshape(s, back) y = Transpose<perm=[1,0,2]>(b)
        }
    """, w=random_input(8, 8))  # fmt: skip
    result = rewrite(model, "static-batch{n=2}")
    assert initializer(result.model, "rows").tolist() == [8, 8]
    assert initializer(result.model, "heads").tolist() == [4, 4, 4]
    assert initializer(result.model, "back").tolist() == [4, 2, 8]


def test_a_dynamic_batch_becomes_fixed(rewrite):
    network = OldStyle().eval()
    result = rewrite(exported(network, 1, 13, dynamic=True), "static-batch{n=2}")
    assert changes(result) == {"image": "batch dynamic -> 2", "output1": "batch dynamic -> 2"}
    assert shape(result.model.graph.input[0])[0] == shape(result.model.graph.output[0])[0] == 2
    x = random_input(2, 3, 17, 33)
    with torch.no_grad():
        expected = network(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(run(result.model, x)[0], expected, atol=1e-5)


def test_a_last_part_that_is_not_full_is_filled_up(segmenter, rewrite):
    four = rewrite(segmenter, "static-batch{n=4}").model
    step = rewrite(four, "static-batch{n=6}").steps[0]
    assert (step.verified, step.max_abs_diff) == (True, 0.0)


def test_an_output_without_the_dynamic_batch_is_refused():
    model = parse("g (float[N,2] x) => (float[N,2] y, float[1,2] w) { y = Relu(x) w = ReduceMax<axes=[0]>(x) }")
    with pytest.raises(PassError, match=r"ReduceMax_1 \(ReduceMax\): reduces over the batch; run static-shape"):
        PassManager("static-batch{n=3}").run(model)


def test_what_drops_an_output_without_the_batch_is_a_pipeline_that_works():
    model = parse("""g (float[1,3,2,2] x) => (float[3,1,2,2] a, float[1,3,2,2] y) {
        y = Relu(x) a = Transpose<perm=[1,0,2,3]>(y)
    }""")
    with pytest.raises(PassError, match=r"'a' does not carry the batch .*; drop it with drop-outputs\{keep=y\}"):
        PassManager("static-batch{n=2}").run(model)
    result = PassManager("drop-outputs{keep=y},static-batch{n=2}").run(model).model
    assert [value.name for value in result.graph.output] == ["y"]


def test_the_only_output_cannot_be_dropped():
    model = parse("g (float[1,3] x) => (float[3,1] a) { a = Transpose(x) }")
    with pytest.raises(PassError, match=r"'a' does not carry the batch .*; export the model with the batch size"):
        PassManager("static-batch{n=2}").run(model)


def test_sizes_that_several_nodes_share_change_once(segmenter, check):
    result = check(segmenter, 4)
    assert initializer(result.model, "inner").tolist() == [4, 4, 8, 16]
    assert initializer(result.model, "outer").tolist() == [4, 5, 32, 64]
    assert changes(result) == {
        **dict.fromkeys(("up1", "up3", "main_up", "aux_up"), "sizes: batch 1 -> 4"),
        **dict.fromkeys(("image", "output1", "output2"), "batch 1 -> 4"),
    }


def test_labels_are_compared_with_their_logits(segmenter, rewrite):
    result = rewrite(segmenter, "argmax-output,static-batch{n=3}")
    assert [step.verified for step in result.steps] == [True, True]
    assert shape(result.model.graph.output[0]) == [3, 32, 64]


def test_a_batch_that_is_there_already_is_left_alone(segmenter, rewrite):
    result = rewrite(segmenter, "static-batch{n=1}")
    assert [(skip.node, skip.why) for skip in result.steps[0].skips] == [("image", "the batch is 1 already")]
    assert result.model.SerializeToString() == segmenter.SerializeToString()


def test_an_input_that_carries_no_batch_is_reported(rewrite):
    model = parse("g (float[2,4] x, float[4] shift) => (float[2,4] y) { [add] y = Add(x, shift) }")
    result = rewrite(model, "static-batch{n=3}")
    assert [(skip.node, skip.why) for skip in result.steps[0].skips] == [
        ("shift", "has fewer than two dimensions, so it carries no batch")
    ]
    assert changes(result) == dict.fromkeys(("x", "y"), "batch 2 -> 3")


@pytest.mark.parametrize("target", ["1, -1", "0, -1", "-1, 24", "1, 24", "1, 2, 12", "0, 0, -1", "1, 1, 24"])
def test_reshape_keeps_one_row_per_image(check, target):
    check(
        parse(f"""
            g (float[1,2,3,4] x) => (float[{", ".join("abc"[: target.count(",") + 1])}] y)
            <int64[{target.count(",") + 1}] target = {{{target}}}> {{ y = Reshape(x, target) }}
        """)
    )


def test_the_batch_of_a_shape_that_is_put_together_is_changed(check):
    result = check(
        parse("""
            g (float[1,2,3,4] x) => (float[1,6,4] y) <int64[1] one = {1}, int64[1] six = {6}> {
                shape = Shape(x)
                place = Constant<value_int=3>()
                width = Gather(shape, place)
                axes = Constant<value_ints=[0]>()
                widths = Unsqueeze(width, axes)
                target = Concat<axis=0>(one, six, widths)
                [view] y = Reshape(x, target)
            }
        """)
    )
    assert changes(result)["view"] == "shape: batch 1 -> 3"
    assert initializer(result.model, "one").tolist() == [3]


def test_a_constant_that_means_something_else_too_is_copied(check):
    model = parse("""
        g (float[1,2,1,4] x) => (float[1,1,8] y, float[1,1,1,4] z) <int64[1] one = {1}, int64[1] rest = {-1}> {
            target = Concat<axis=0>(one, one, rest)
            y = Reshape(x, target)
            zero = Constant<value_ints=[0]>()
            z = Slice(x, zero, one, one)
        }
    """)
    result = check(model)
    assert initializer(result.model, "one").tolist() == [1]


def test_arithmetic_that_other_nodes_share_is_copied(check):
    result = check(
        parse("""
            g (float[1,2,3,4] x) => (float[1,2,12] y, float[1,2,12] z)
            <int64[1] one = {1}, float[24] weights = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24}> {
                whole = Shape(x)
                start = Constant<value_ints=[1]>()
                end = Constant<value_ints=[2]>()
                channels = Slice(whole, start, end)
                rest = Constant<value_ints=[-1]>()
                target = Concat<axis=0>(one, channels, rest)
                [of_image] y = Reshape(x, target)
                [of_weights] w = Reshape(weights, target)
                z = Add(y, w)
            }
        """)
    )
    assert changes(result)["of_image"] == "shape: batch 1 -> 3"
    assert initializer(result.model, "one").tolist() == [1]


def test_an_input_of_parameters_stays(rewrite):
    model = parse("g (float[1,3,4,2] x, float[2] scale) => (float[1,3,4,2] y) { y = Mul(x, scale) }")
    result = rewrite(model, "static-batch{n=3}")
    x, scale = random_input(3, 3, 4, 2), random_input(2)
    np.testing.assert_allclose(run(result.model, x, scale)[0], x * scale, rtol=1e-6)


def test_a_side_input_where_the_batch_is_cannot_be_kept():
    model = parse("g (float[1,2] x, float[2,2] z) => (float[2,2] y) { [add] y = Add(x, z) }")
    with pytest.raises(PassError, match=r"add \(Add\): its operand 'z' has size 2 where the batch is"):
        PassManager("static-batch{n=3}").run(model)


def test_a_graph_without_a_batch_is_refused():
    with pytest.raises(PassError, match="none carries a batch"):
        PassManager("static-batch{n=3}").run(parse("g (float[2] x) => (float[2] y) { y = Relu(x) }"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("static-batch", "needs the option 'n'"),
        ("static-batch{n=0}", "n=0 is no batch size; it must be 1 or more"),
        ("static-batch{n=99999999999999999999}", "n=99999999999999999999 is beyond 2147483647"),
        ("static-batch{n=two}", "n takes a whole number"),
    ],
)
def test_a_wrong_batch_size_is_an_error_of_the_pipeline(text, message):
    with pytest.raises(PipelineError, match=message):
        PassManager(text)


@pytest.mark.parametrize(
    ("inputs", "body", "message"),
    [
        ("float[N,3] x, float[N,3] z", "y = Concat<axis=-2>(x, z)", "joins along the batch; run static-shape"),
        ("float[N,4] x", "s = Constant<value_ints=[-1,2]>() y = Reshape(x, s)", "'y' has 2 rows for every image"),
        ("float[N,4] x", "s = Constant<value_ints=[2,4]>() y = Reshape(x, s)", "2x4 was made for another batch size"),
        ("float[N,4] x", "p = Constant<value_ints=[0,0,1,0]>() y = Pad(x, p)", "pads along the batch"),
        ("float[N,3,4] x", "y = Flatten<axis=-1>(x)", "mixes the batch"),
        ("float[N,3,4] x", "y = Flatten<axis=0>(x)", "mixes the batch"),
        ("float[N,N] x", "y = Relu(x)", "'N' is the batch of input 'x' and also the size of axis 1 of input 'x'"),
        ("float[N,3] x, float[3,N] z", "y = MatMul(x, z)", "also the size of axis 1 of input 'z'"),
        ("float[N,3] x", "y = vendor.Thing(x)", "is not known; run static-shape, which sets sizes without following"),
        (
            "float[N,C,H] x",
            "s = Constant<value_ints=[-1,6]>() y = Reshape(x, s)",
            "run static-shape{shape=1x1x1} first",
        ),
    ],
)
def test_what_an_open_batch_would_break_is_refused(inputs, body, message):
    model = parse(f"g ({inputs}) => (float[M,K] y) {{ {body} }}")
    with pytest.raises(PassError) as caught:
        PassManager("static-batch{n=3}").run(model)
    assert message in str(caught.value)


@pytest.mark.parametrize("batch", ["1", "N"])
def test_a_constant_for_one_image_is_changed_in_an_open_graph_too(check, batch):
    model = parse(f"""
        g (float[{batch},2,4] x) => (float[{batch},3] y) <int64[2] one = {{1, 8}}> {{
            [flat] r = Reshape(x, one) y = MatMul(r, w)
        }}
    """, w=random_input(8, 3))  # fmt: skip
    assert changes(check(model))["flat"] == "shape: batch 1 -> 3"


def test_a_sequence_in_front_keeps_its_order(check):
    model = parse("""
        g (float[N,2,4] x) => (float[N,2,4] y) {
            t = Transpose<perm=[1,0,2]>(x) whole = Shape(t) r = Reshape(t, whole) y = Transpose<perm=[1,0,2]>(r)
        }
    """)
    check(model)


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ("float[1,3,2,2] x, float[2,2] s", "its first dimension is 2 while the batch is 1 in input 'x'"),
        ("float[N,3,2,2] x, float[1,2] s", "its first dimension is 1 while the batch is open in input 'x'"),
        ("float[N,3,H,W] x, float[H,W] s", "its first dimension 'H' is that of another axis too"),
        ("float[2,2] s, float[1,3,2,2] x", "its first dimension is 2 while the batch is 1 in input 'x'"),
    ],
)
def test_a_side_input_stays_as_it_is(rewrite, inputs, why):
    model = parse(f"g ({inputs}) => (float[B,3,P,Q] y) {{ y = Add(x, s) }}")
    result = rewrite(model, "static-batch{n=3}")
    assert [(skip.node, skip.why) for skip in result.steps[0].skips] == [("s", f"{why}, so it carries no batch")]
    side = next(value for value in result.model.graph.input if value.name == "s")
    assert side == next(value for value in model.graph.input if value.name == "s")


def test_a_vector_of_the_batch_follows_it(rewrite):
    model = parse("""
        g (float[N,3] x, float[N] gain) => (float[N,3] y) <int64[1] one = {1}> {
            column = Unsqueeze(gain, one) y = Mul(x, column)
        }
    """)
    result = rewrite(model, "static-batch{n=3}")
    assert [shape(value) for value in result.model.graph.input] == [[3, 3], [3]]
    x, gain = random_input(3, 3), random_input(3)
    np.testing.assert_array_equal(run(result.model, x, gain)[0], x * gain[:, None])
