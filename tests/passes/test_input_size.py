"""input-size: against exports at the new size, against PyTorch, and what it refuses with the cure."""

import numpy as np
import onnx
import pytest
import torch
from graphs import add_initializers, operators, parse, random_input, run, skips
from networks import Pyramid, Transformer, traced
from torch.nn import functional

from fastscnn_opt.errors import PassError, PipelineError
from fastscnn_opt.model.loading import check_model
from fastscnn_opt.network.export import export_checkpoint
from fastscnn_opt.rewriting.manager import PassManager

SMALLER = "input-size{height=32 width=96}"
HALF = "input-size{scale=0.5 keep=true}"


def shape(value: onnx.ValueInfoProto) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def close(actual: np.ndarray, expected: torch.Tensor) -> None:
    np.testing.assert_allclose(actual, expected.detach().numpy(), atol=1e-5)


@pytest.fixture(scope="module")
def pyramid() -> tuple[Pyramid, onnx.ModelProto]:
    torch.manual_seed(0)
    network = Pyramid().eval()
    return network, traced(network, (1, 3, 64, 128))


@pytest.fixture(scope="module")
def transformer(torch_export) -> tuple[Transformer, onnx.ModelProto]:
    torch.manual_seed(0)
    network = Transformer().eval()
    return network, torch_export(network, (1, 3, 64, 128), input_names=["image"], output_names=["logits"])


@pytest.mark.parametrize(
    "pipeline",
    [
        SMALLER,
        f"simplify,{SMALLER}",
        f"{SMALLER},simplify",
        f"simplify,large-avgpool{{area=0}},{SMALLER}",
        f"{SMALLER},large-avgpool{{area=0}}",
        "input-size{height=128 width=64}",
    ],
)
def test_a_pyramid_computes_what_pytorch_does_at_the_new_size(pyramid, rewrite, pipeline):
    network, model = pyramid
    result = rewrite(model, pipeline)
    image = torch.from_numpy(random_input(*shape(result.model.graph.input[0])))
    close(run(result.model, image.numpy())[0], network(image))


@pytest.mark.parametrize("opset", [11, 16])
def test_other_opsets(opset, rewrite):
    torch.manual_seed(0)
    network = Pyramid().eval()
    result = rewrite(traced(network, (2, 3, 64, 128), opset=opset), SMALLER)
    image = torch.from_numpy(random_input(2, 3, 32, 96))
    close(run(result.model, image.numpy())[0], network(image))


@pytest.mark.parametrize("prepared", ["", "simplify,"])
def test_rows_of_a_transformer_are_counted_anew(transformer, rewrite, prepared):
    network, model = transformer
    result = rewrite(model, prepared + SMALLER)
    image = torch.from_numpy(random_input(1, 3, 32, 96))
    close(run(result.model, image.numpy())[0], network(image))
    assert shape(result.model.graph.output[0]) == [1, 4, 8, 24]


class Plain(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 3, 2, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(self.stem(image), image.shape[2:], mode="bilinear")


def test_open_sizes_become_fixed(rewrite):
    network = Plain()
    result = rewrite(traced(network, (1, 3, 64, 128), open_size=True), SMALLER)
    assert shape(result.model.graph.input[0]) == [1, 3, 32, 96]
    assert shape(result.model.graph.output[0]) == [1, 8, 32, 96]
    image = torch.from_numpy(random_input(1, 3, 32, 96))
    close(run(result.model, image.numpy())[0], network(image))


@pytest.mark.parametrize("prepared", ["", "adaptive-avgpool,", "uint8-input,argmax-output,", "fold-batchnorm,"])
def test_a_size_that_is_there_already_is_left_alone(segmenter, rewrite, prepared):
    result = rewrite(segmenter, f"{prepared}input-size{{height=32 width=64}}")
    assert result.steps[-1].changes == []


@pytest.mark.parametrize(
    "prepared",
    [
        "",
        "adaptive-avgpool",
        "adaptive-avgpool{lower=avgpool}",
        "adaptive-avgpool,uint8-input,argmax-output,fp16-output",
    ],
)
def test_the_small_fastscnn_follows_before_and_after_other_passes(segmenter, prepared):
    after = PassManager(f"{prepared},{SMALLER}" if prepared else SMALLER).run(segmenter).model
    before = PassManager(f"{SMALLER},{prepared}" if prepared else SMALLER).run(segmenter).model
    check_model(after, "after")
    x = random_input(*shape(after.graph.input[0]))
    image = (128 + 40 * x).clip(0, 255).astype(np.uint8) if "uint8" in prepared else x
    for one, other in zip(run(after, image), run(before, image), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("pipeline", [SMALLER, HALF])
@pytest.mark.parametrize(
    "later", ["simplify", "fold-batchnorm", "large-avgpool{area=0}", "fast-argmax{labels=true}", "fp16"]
)
def test_other_passes_go_on_behind_it(segmenter, pipeline, later):
    result = PassManager(f"adaptive-avgpool,{pipeline},{later}").run(segmenter)
    assert result.steps[-1].verified is not False


def test_keep_scales_the_image_and_lets_the_last_resize_make_the_old_size(pyramid, rewrite):
    network, model = pyramid
    result = rewrite(model, HALF)
    assert shape(result.model.graph.input[0]) == [1, 3, 64, 128]
    assert operators(result.model).count("Resize") == operators(model).count("Resize") + 1
    image = torch.from_numpy(random_input(1, 3, 64, 128))
    small = functional.interpolate(image, (32, 64), mode="bilinear")
    last = []
    network.fuse.register_forward_hook(lambda _module, _inputs, output: last.append(output))
    network(small)
    close(run(result.model, image.numpy())[0], functional.interpolate(last[0], (64, 128), mode="bilinear"))


def test_keep_scales_logits_back_bilinearly(transformer, rewrite):
    network, model = transformer
    result = rewrite(model, "input-size{height=32 width=64 keep=true}")
    image = torch.from_numpy(random_input(1, 3, 64, 128))
    small = network(functional.interpolate(image, (32, 64), mode="bilinear"))
    close(run(result.model, image.numpy())[0], functional.interpolate(small, (16, 32), mode="bilinear"))


@pytest.mark.parametrize("kind", ["uint8", "int64"])
def test_keep_scales_label_maps_back_by_nearest_neighbour(rewrite, kind):
    model = parse(f"""
        g (float[1,3,8,8] image) => ({kind}[1,4,4] labels) {{
            x = Conv<strides=[2,2], kernel_shape=[2,2]>(image, w) a = ArgMax<axis=1, keepdims=0>(x)
            labels = Cast<to={onnx.TensorProto.DataType.Value(kind.upper())}>(a)
        }}
    """, w=random_input(4, 3, 2, 2))  # fmt: skip
    result = rewrite(model, HALF)
    image = random_input(1, 3, 8, 8)
    small = functional.interpolate(torch.from_numpy(image), (4, 4), mode="bilinear").numpy()
    small_model = PassManager("input-size{height=4 width=4}").run(model).model
    expected = run(small_model, small)[0].repeat(2, axis=1).repeat(2, axis=2)
    labels = run(result.model, image)[0]
    assert labels.dtype == kind
    np.testing.assert_array_equal(labels, expected)


def test_keep_scales_a_uint8_image_behind_its_cast(segmenter, rewrite):
    raw = rewrite(segmenter, f"adaptive-avgpool,uint8-input,{HALF}").model
    floats = rewrite(segmenter, f"adaptive-avgpool,{HALF}").model
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 64, 3), dtype=np.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    normalised = ((image / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    for one, other in zip(run(raw, image), run(floats, normalised), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("is_open", [True, False], ids=["one side", "all of them"])
def test_keep_finds_the_size_of_an_output_that_does_not_declare_it(rewrite, is_open):
    model = parse("g (float[1,3,8,8] image) => (float[1,4,8,8] y) { y = Conv(image, w) }", w=random_input(4, 3, 1, 1))
    kind = model.graph.output[0].type.tensor_type
    if is_open:
        kind.shape.dim[2].Clear()
    else:
        kind.ClearField("shape")
    assert shape(rewrite(model, HALF).model.graph.output[0]) == [1, 4, 8, 8]


def test_an_empty_window_is_refused_in_a_sentence():
    model = parse("g (float[1,3,8,8] image) => (float[a,b,c,d] y) { [conv] y = Conv<kernel_shape=[1,1]>(image, w) }")
    add_initializers(model, w=random_input(4, 3, 1, 1))
    del model.graph.node[0].attribute[0].ints[:]
    with pytest.raises(PassError, match=r"conv \(Conv\): .*"):
        PassManager(HALF, verify=False).run(model)


def test_keep_twice_scales_once(segmenter, rewrite):
    result = rewrite(rewrite(segmenter, f"adaptive-avgpool,{HALF}").model, HALF)
    assert skips(result) == {"image": "is scaled to 16x32 already"}


BODY = "g (float[1,3,32,32] image) => (float[1,c,h,w] y)"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            "{ [culprit] y = Add(image, map) }", r"do not fit together .* constant 'map' of shape 1x3x32x32", id="map"
        ),
        pytest.param(
            "<int64[1] s = {0}, int64[1] e = {16}, int64[1] a = {2}> { [culprit] y = Slice(image, s, e, a) }",
            "takes a part of the height or width that is fixed for the old size",
            id="crop",
        ),
        pytest.param(
            "<int64[1] s = {0}, int64[1] e = {-16}, int64[1] a = {-1}> { [culprit] y = Slice(image, s, e, a) }",
            "its result has no elements at the new size",
            id="crop from the end",
        ),
        pytest.param(
            "{ [culprit] a, b = Split<axis=-2>(image) y = Add(a, b) }",
            r"culprit \(Split\): splits the height or width",
            id="split from the end",
        ),
        pytest.param(
            "<int64[1] i = {0}> { [culprit] y = Gather<axis=-1>(image, i) }",
            "takes places along the width of the old size",
            id="column from the end",
        ),
        pytest.param(
            "{ f = Flatten<axis=-3>(image) [culprit] y = Gemm(f, classes) }",
            r"culprit \(Gemm\): its inputs do not fit together .* 'classes' of shape 3072x2",
            id="classes",
        ),
        pytest.param(
            "{ [culprit] y = MaxPool<kernel_shape=[3,3], strides=[4,4], ceil_mode=1, pads=[0,0,2,2]>(image) }",
            "engines may differ on the size of its result",
            id="window that lies in the padding",
        ),
        pytest.param(
            "<int64[4] t = {1,3,20,20}> { [culprit] y = Resize<mode='nearest'>(image, , , t) }".replace("'", '"'),
            "its height 20 is that of no other tensor",
            id="size from nowhere",
        ),
        pytest.param(
            "{ [culprit] y = AveragePool<kernel_shape=[8,8], strides=[8,8]>(image) }",
            r"its window 8x8 may be fixed, or made for 4x4 bins; .* run large-avgpool\{area=0\} first",
            id="window or bins",
        ),
        pytest.param(
            "<int64[6] t = {1,3,4,8,4,8}> { x = Reshape(image, t) [culprit] y = ReduceMean<axes=[3,5]>(x) }",
            "splits the height or width",
            id="windows by Reshape",
        ),
        pytest.param(
            "{ [culprit] y = MatMul(image, matrix) }", "its matrix 'matrix' was made for 32 elements", id="matrix"
        ),
        pytest.param(
            "<float[32] s = {" + ", ".join(["1"] * 32) + "}> "
            "{ t = Transpose<perm=[0,2,1,3]>(image) [culprit] y = InstanceNormalization(t, s, s) }",
            "reads the height or width as channels, for which it has weights",
            id="rows as channels",
        ),
        pytest.param(
            "{ [culprit] y = SpaceToDepth<blocksize=32>(image) }",
            "its height would be 16, no multiple of 32",
            id="blocks",
        ),
        pytest.param(
            "{ [culprit] y = vendor.Odd(image) }", "what this operator does with height and width", id="vendor"
        ),
    ],
)
def test_what_is_made_for_the_old_size_is_refused_by_name(body, message):
    model = parse(
        BODY + body, map=random_input(1, 3, 32, 32), matrix=random_input(32, 5), classes=random_input(3072, 2)
    )
    used = {name for node in model.graph.node for name in node.input}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in used]:
        model.graph.initializer.remove(tensor)
    with pytest.raises(PassError, match=message):
        PassManager("input-size{height=16 width=16}", verify=False).run(model)


@pytest.mark.parametrize(
    ("other", "body", "message"),
    [
        ("float[32,32] m", "[culprit] y = Mul(image, m)", "do not fit together at the new size"),
        ("float[32] m", "[culprit] y = MatMul(image, m)", "do not fit together at the new size"),
        ("int64[4] s", "[culprit] y = Resize(image, , , s)", "depends on the values of the input 's'"),
        ("int64[8] p", "[culprit] y = Pad(image, p)", "depends on the values of the input 'p'"),
        (
            "float[4] s",
            "[culprit] r = Resize(image, , s) y = Add(r, r)",
            "the size of its result depends on the values of the input 's'",
        ),
        (
            "int64[4] s",
            "t = Abs(s) [culprit] y = Slice(image, t, t)",
            "its range depends on the values of the input 's'",
        ),
    ],
)
def test_what_a_second_input_fixes_is_refused_by_name(other, body, message):
    model = parse(f"g (float[1,3,32,32] image, {other}) => (float[A,B,C,D] y) {{ {body} }}")
    with pytest.raises(PassError, match=rf"culprit \(\w+\): .*({message})"):
        PassManager("input-size{height=16 width=16}").run(model)


def test_scales_that_an_input_gives_are_not_left_to_simplify():
    model = parse("g (float[1,3,32,32] image, float[4] s) => (float[1,3,16,16] y) { [culprit] y = Resize(image, , s) }")
    with pytest.raises(PassError, match="its size depends on the values of the input 's'; export the model at the new"):
        PassManager("input-size{height=16 width=16}").run(model)


IF = """[culprit] b = If(cond)<
    then_branch = g1 () => (float[N,3,4,4] p) { p = Relu(x) }, else_branch = g2 () => (float[N,3,4,4] q) { q = Neg(x) }
> y = Add(b, x)"""


def test_a_branch_that_is_settled_is_left_to_simplify(rewrite):
    model = parse(f"g (float[1,3,4,4] x) => (float[1,3,4,4] y) <bool cond = {{1}}> {{ {IF} }}")
    with pytest.raises(PassError, match="not followed into its subgraph; run simplify first"):
        PassManager("input-size{height=8 width=8}").run(model)
    assert shape(rewrite(model, "simplify,input-size{height=8 width=8}").model.graph.output[0]) == [1, 3, 8, 8]


def test_a_branch_that_an_input_chooses_needs_an_export():
    model = parse(f"g (float[1,3,4,4] x, bool cond) => (float[1,3,4,4] y) {{ {IF} }}")
    with pytest.raises(PassError, match="not followed into its subgraph; export the model at the new size"):
        PassManager("input-size{height=8 width=8}").run(model)


def test_simplify_cures_sizes_that_only_constants_give(rewrite):
    model = parse("""g (float[1,3,32,32] image) => (float[1,3,16,16] y) <float[4] halves = {1, 1, -0.5, -0.5}> {
        s = Abs(halves) [culprit] y = Resize(image, , s)
    }""")
    with pytest.raises(PassError, match="its size cannot be followed; run simplify first"):
        PassManager("input-size{height=16 width=16}").run(model)
    result = rewrite(model, "simplify,input-size{height=16 width=16}").model
    assert shape(result.graph.output[0]) == [1, 3, 8, 8]


def test_a_second_input_of_the_same_open_size_follows(rewrite):
    model = parse("g (float[1,3,H,W] image, float[H,W] m) => (float[1,3,H,W] y) { y = Mul(image, m) }")
    result = rewrite(model, "input-size{height=4 width=6}")
    assert [shape(value) for value in result.model.graph.input] == [[1, 3, 4, 6], [4, 6]]
    x, m = random_input(1, 3, 4, 6), random_input(4, 6)
    np.testing.assert_array_equal(run(result.model, x, m)[0], x * m)


def test_constants_inside_a_graph_of_open_size_are_named():
    model = parse("""
        g (float[1,3,H,W] image) => (float[1,K] y) <int64[2] t = {1, 192}> { [culprit] y = Reshape(image, t) }
    """)
    with pytest.raises(PassError, match=r"culprit \(Reshape\): .*; fix the size that .* with static-shape, and run"):
        PassManager("input-size{height=4 width=6}").run(model)


def test_what_fast_argmax_makes_is_refused_with_the_order_that_works(segmenter):
    with pytest.raises(PassError, match="fast-argmax"):
        PassManager(f"adaptive-avgpool,fast-argmax{{labels=true}},{SMALLER}").run(segmenter)


def test_the_pooling_that_pytorch_writes_out_names_the_pass_that_knows_it(torch_export):
    class Pool(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return functional.adaptive_avg_pool2d(image, 3)

    model = torch_export(Pool(), (1, 3, 16, 16))
    with pytest.raises(PassError, match="run adaptive-avgpool first"):
        PassManager("input-size{height=8 width=8}").run(model)
    after = PassManager("adaptive-avgpool,input-size{height=8 width=8}").run(model).model
    image = torch.from_numpy(random_input(1, 3, 8, 8))
    close(run(after, image.numpy())[0], Pool()(image))


def test_small_windows_keep_their_size(rewrite):
    model = parse("""
        g (float[1,3,32,32] image) => (float[1,3,16,16] y) {
            y = AveragePool<kernel_shape=[2,2], strides=[2,2]>(image)
        }
    """)
    after = rewrite(model, "input-size{height=64 width=16}").model
    assert shape(after.graph.output[0]) == [1, 3, 32, 8]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("height=3", "height and width are needed"),
        ("height=0 width=4", "height=0 width=4 is no size"),
        ("scale=0.5", "goes with keep=true"),
        ("scale=0.5 keep=true width=3", "takes the place of height and width"),
        ("scale=0 keep=true", "scale=0 is not above 0"),
        ("height=4 width=16385", "height=4 width=16385 is beyond 16384 a side"),
    ],
)
def test_options_that_contradict_each_other(options, message):
    with pytest.raises(PipelineError, match=message):
        PassManager(f"input-size{{{options}}}")


def test_a_scale_beyond_any_size_is_refused():
    model = parse("g (float[1,3,32,32] image) => (float[1,3,32,32] y) { y = Relu(image) }")
    with pytest.raises(PassError, match="scale=1e\\+300 makes input 'image' of 32x32 larger than 16384 a side"):
        PassManager("input-size{scale=1e300 keep=true}").run(model)


def test_a_partly_open_input_names_what_fixes_it():
    model = parse("g (float[N,3,32,32] image) => (float[N,3,32,32] y) { y = Relu(image) }")
    with pytest.raises(PassError, match=r"not fixed; run static-shape\{shape=1x3x32x32\} first"):
        PassManager(SMALLER).run(model)


def test_real_weights_equal_the_export_at_that_size(real_data):
    """With the matrices of the pyramid, before and after the general passes; a quarter of the pixels, to be quick."""
    weights = real_data / "weights" / "fast_scnn_tramac_layout.pth"
    large = export_checkpoint(weights, height=512, width=1024)
    image = random_input(1, 3, 256, 512)
    expected = run(export_checkpoint(weights, height=256, width=512), image)[0]
    for pipeline in (
        "input-size{height=256 width=512},simplify,fold-batchnorm,large-avgpool",
        "simplify,fold-batchnorm,large-avgpool,input-size{height=256 width=512}",
    ):
        actual = run(PassManager(pipeline, verify=False).run(large).model, image)[0]
        np.testing.assert_allclose(actual, expected, atol=1e-4)
