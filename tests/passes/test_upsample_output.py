"""upsample-output: logits at the size of the image against PyTorch's interpolation, and outputs that are left alone."""

import numpy as np
import onnx
import pytest
from graphs import add_initializers, operators, parse, random_input, run, skips

from fastscnn_opt.errors import PassError, PipelineError
from fastscnn_opt.rewriting.manager import PassManager


def network(image="2,3,16,24", logits="2,5,4,6", opset=13, kind="float", stride=4):
    """Return a network whose convolution gives logits of a fourth of the image."""
    rank_first = image.endswith(",3")
    turned = "t = Transpose<perm=[0,3,1,2]>(image)" if rank_first else "t = Identity(image)"
    model = parse(
        f"""g ({kind}[{image}] image) => ({kind}[{logits}] y)
        {{ {turned} [conv] y = Conv<kernel_shape=[{stride},{stride}], strides=[{stride},{stride}]>(t, w) }}""",
        opset,
    )
    return add_initializers(
        model, w=random_input(5, 3, stride, stride, dtype=np.float16 if kind == "float16" else np.float32)
    )


def interpolated(values, size):
    torch = pytest.importorskip("torch", reason="the oracle is PyTorch")
    whole = torch.from_numpy(values.astype(np.float32))
    return torch.nn.functional.interpolate(whole, size=size, mode="bilinear", align_corners=False).numpy()


def declared(model):
    shape = model.graph.output[0].type.tensor_type.shape
    return [dim.dim_param or dim.dim_value for dim in shape.dim]


@pytest.mark.parametrize("opset", [11, 12, 13, 18])
def test_logits_get_the_size_of_the_image(rewrite, opset):
    model = network(opset=opset)
    result = rewrite(model, "upsample-output")
    assert [change.what for change in result.steps[0].changes] == ["4 x 6 -> 16 x 24, that of input image"]
    assert declared(result.model) == [2, 5, 16, 24]
    x = random_input(2, 3, 16, 24)
    np.testing.assert_allclose(run(result.model, x)[0], interpolated(run(model, x)[0], (16, 24)), atol=1e-5)


@pytest.mark.parametrize(
    ("image", "logits", "shape"),
    [
        ("1,16,24,3", "1,5,4,6", (1, 16, 24, 3)),
        ("n,3,h,w", "n,5,p,q", (2, 3, 12, 20)),
        ("n,3,h,w", "n,5,p,q", (1, 3, 16, 16)),
        ("1,3,h,32", "1,5,p,8", (1, 3, 20, 32)),
        ("1,h,w,3", "1,5,p,q", (1, 20, 12, 3)),
    ],
    ids=["channels last", "open", "open, a batch of one", "open height", "open, channels last"],
)
def test_any_image_input_gives_the_size(rewrite, image, logits, shape):
    model = network(image, logits)
    result = rewrite(model, "upsample-output{size=input}")
    assert result.steps[0].verified is True
    x = random_input(*shape)
    size = shape[1:3] if shape[3] == 3 else shape[2:]
    np.testing.assert_allclose(run(result.model, x)[0], interpolated(run(model, x)[0], size), atol=1e-5)


def test_logits_of_half_precision_keep_their_type(rewrite):
    model = network(kind="float16")
    result = rewrite(model, "upsample-output")
    x = random_input(2, 3, 16, 24, dtype=np.float16)
    labels = run(result.model, x)[0]
    assert labels.dtype == np.float16
    np.testing.assert_allclose(labels, interpolated(run(model, x)[0], (16, 24)), rtol=2e-3, atol=1e-2)


def test_fast_argmax_takes_the_resize(rewrite):
    model = network("2,3,64,96", "2,5,16,24")
    result = rewrite(model, "upsample-output,fast-argmax{labels=true}")
    assert [step.verified for step in result.steps] == [True, True]
    assert "If" in operators(result.model)
    x = random_input(2, 3, 64, 96)
    full = interpolated(run(model, x)[0], (64, 96))
    labels = run(result.model, x)[0]
    assert labels.shape == (2, 64, 96)
    chosen = np.take_along_axis(full, labels.astype(np.int64)[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(chosen, full.max(axis=1), atol=1e-4)


def test_logits_that_another_node_reads_stay_as_they_are_for_it(rewrite):
    model = parse("""
        g (float[1,3,4,6] image) => (float[1,3,2,3] y, float[1,3] z)
        { y = AveragePool<kernel_shape=[2,2], strides=[2,2]>(image) z = ReduceMax<axes=[2,3], keepdims=0>(y) }
    """)
    x = random_input(1, 3, 4, 6)
    result = rewrite(model, "upsample-output")
    before, after = run(model, x), run(result.model, x)
    np.testing.assert_array_equal(after[1], before[1])
    np.testing.assert_allclose(after[0], interpolated(before[0], (4, 6)), atol=1e-6)
    assert skips(result) == {"z": "does not have the four dimensions of logits N, C, H, W"}


@pytest.mark.parametrize(
    ("body", "declaration", "why"),
    [
        ("y = Relu(image)", "float[1,3,8,16]", "has the size of the image"),
        (
            "a = ArgMax<axis=1>(image) y = Cast<to=2>(a)",
            "uint8[1,1,8,16]",
            "is not of float32 or float16, as logits are",
        ),
        ("y = Cast<to=11>(image)", "double[1,3,8,16]", "is not of float32 or float16, as logits are"),
        ("y = ReduceMax<axes=[1], keepdims=0>(image)", "float[1,8,16]", "does not have the four dimensions of logits"),
        (
            "p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(image) y = Transpose<perm=[0,2,3,1]>(p)",
            "float[1,4,8,3]",
            "may have its classes along the last axis",
        ),
    ],
    ids=["size of the image", "labels", "double", "three dimensions", "channels last"],
)
def test_another_output_is_left_alone(rewrite, body, declaration, why):
    result = rewrite(parse(f"g (float[1,3,8,16] image) => ({declaration} y) {{ {body} }}"), "upsample-output")
    assert result.steps[0].changes == []
    assert skips(result)["y"].startswith(why)


def test_an_open_output_of_the_size_of_the_image_is_left_alone(rewrite):
    result = rewrite(parse("g (float[1,3,h,w] image) => (float[1,3,h,w] y) { y = Relu(image) }"), "upsample-output")
    assert skips(result) == {"y": "has the size of the image"}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            network("1,3,?,?", "1,5,?,?"),
            r"input 'image' leaves its height or width open, without a name; fix them with static-shape\{shape=",
        ),
        (network(opset=10), "opset 10 has no Resize to a size; export the model with opset 11 or later"),
        (
            parse("g (float[3,4] image) => (float[3,4] y) { y = Relu(image) }"),
            "no input has the four dimensions of images",
        ),
    ],
    ids=["no name", "old opset", "no image"],
)
def test_what_cannot_be_resized_is_an_error_with_its_cure(model: onnx.ModelProto, words):
    with pytest.raises(PassError, match=words):
        PassManager("upsample-output").run(model)


def test_another_size_is_refused():
    with pytest.raises(PipelineError, match="size takes input"):
        PassManager("upsample-output{size=label}")
