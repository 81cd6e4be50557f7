"""Quantisation: which nodes, over which ranges, how exactly, and which stay in float."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import add_initializers, initializer, parse, run
from PIL import Image

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.demo.scenes import render_scene
from fastscnn_opt.errors import DataError, ModelError, PassError, PipelineError
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.rewriting.manager import PassManager

SIZE = (64, 128)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
SHAPES = {
    "w_stem": (8, 3, 3, 3), "b_stem": (8,), "w_deep": (8, 1, 3, 3), "b_deep": (8,), "w_point": (8, 8, 1, 1),
    "b_point": (8,), "w_out": (19, 8, 1, 1), "b_out": (19,),
}  # fmt: skip
LAYERS = ["stem", "deep", "point", "out"]


@pytest.fixture
def network() -> onnx.ModelProto:
    """A depthwise separable network for images of `SIZE` with a residual sum, and a Resize of its logits."""
    model = parse("""
        g (float[1,3,64,128] image) => (float[1,19,64,128] logits) <float[4] up = {1, 1, 2, 2}> {
            [stem] a = Conv<strides=[2,2], pads=[1,1,1,1]>(image, w_stem, b_stem)
            [stem_relu] b = Relu(a)
            [deep] c = Conv<group=8, pads=[1,1,1,1]>(b, w_deep, b_deep)
            [deep_relu] d = Relu(c)
            [point] e = Conv(d, w_point, b_point)
            [sum] f = Add(b, e)
            [out] g0 = Conv(f, w_out, b_out)
            [enlarge] logits = Resize<mode="linear">(g0, , up)
        }
    """)
    rng = np.random.default_rng(11)
    for name, shape in SHAPES.items():
        weight = rng.standard_normal(shape).astype(np.float32) / np.sqrt(np.prod(shape[1:]))
        add_initializers(model, **{name: weight.astype(np.float32)})
    return model


def scenes(count: int = 8, seed: int = 0) -> list[np.ndarray]:
    """Return normalised scenes as the network takes them, by the formula."""
    images = [render_scene(seed + index, height=SIZE[0], width=SIZE[1])[0] for index in range(count)]
    return [((image / 255 - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32) for image in images]


def node(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    (found,) = (node for node in model.graph.node if node.name == name)
    return found


def maker(model: onnx.ModelProto, tensor: str) -> onnx.NodeProto:
    (found,) = (node for node in model.graph.node if tensor in node.output)
    return found


def tap(model: onnx.ModelProto, tensor: str) -> onnx.ModelProto:
    """Return a copy of `model` whose only output is an inner tensor."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    return copy


def quantisation(model: onnx.ModelProto, layer: str, index: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and zero point with which a node reads one of its inputs."""
    dequantise = maker(model, node(model, layer).input[index])
    assert dequantise.op_type == "DequantizeLinear"
    return initializer(model, dequantise.input[1]), initializer(model, dequantise.input[2])


def test_it_is_lossy_and_reports_the_layers(network, rewrite):
    step = rewrite(network, "int8{images=2}").steps[0]
    assert (step.contract, step.verified) == (Contract.LOSSY, None)
    assert [(change.node, change.what) for change in step.changes] == [(name, "computes in int8") for name in LAYERS]


def test_scales_follow_from_the_smallest_and_largest_value(network, rewrite):
    model = rewrite(network, "int8{images=3 equalise=false}").model
    for layer, tensor in (("stem", "image"), ("deep", "b"), ("point", "d"), ("out", "f")):
        values = scenes(3) if tensor == "image" else [run(tap(network, tensor), image)[0] for image in scenes(3)]
        low, high = min(0, np.min(values)), max(0, np.max(values))
        scale, zero = quantisation(model, layer)
        assert scale == pytest.approx((high - low) / 255, rel=1e-5)
        assert zero == round(-low / scale)
        assert zero.dtype == np.uint8


def test_weights_have_a_symmetric_scale_per_output_channel(network, rewrite):
    model = rewrite(network, "int8{images=1 equalise=false}").model
    scale, zero = quantisation(model, "point", 1)
    weight = initializer(network, "w_point")
    np.testing.assert_allclose(scale, np.abs(weight).max(axis=(1, 2, 3)) / 127, rtol=1e-5)
    assert zero.dtype == np.int8
    assert not zero.any()
    stored = initializer(model, maker(model, node(model, "point").input[1]).input[0])
    np.testing.assert_array_equal(stored, np.round(weight / scale[:, None, None, None]).astype(np.int8))


def test_the_result_is_close_to_float_on_an_image_that_was_not_used(network, rewrite):
    (image,) = scenes(1, seed=100)
    expected, actual = (run(model, image)[0] for model in (network, rewrite(network, "int8{images=4}").model))
    assert np.abs(actual - expected).max() < 0.1 * np.abs(expected).max()
    assert (actual.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.95


def test_a_relu_becomes_the_clipping_of_its_layer(network, rewrite):
    model = rewrite(network, "int8{images=1}").model
    assert "Relu" not in {node.op_type for node in model.graph.node}
    assert quantisation(model, "deep")[1] == 0


def test_the_sum_between_layers_works_on_int8_and_the_tail_does_not(network, rewrite):
    model = rewrite(network, "int8{images=1}").model
    assert all(maker(model, tensor).op_type == "DequantizeLinear" for tensor in node(model, "sum").input)
    readers = {node.op_type for node in model.graph.node if "logits" in node.input}
    assert readers == set()
    assert maker(model, "logits").op_type == "Resize"


def test_the_last_layer_multiplies_bytes_and_hands_its_sums_to_the_tail_in_float(network, rewrite):
    model = rewrite(network, "int8{images=1}").model
    image = scenes(1)[0]
    read = run(tap(model, node(model, "out").input[0]), image)[0]
    weight = run(tap(model, node(model, "out").input[1]), image)[0]
    wanted = np.einsum("nhwc,cf->nfhw", read.astype(np.float64), weight) + initializer(network, "b_out")[:, None, None]
    assert node(model, "out").op_type == "MatMul"
    np.testing.assert_allclose(run(tap(model, "g0"), image)[0], wanted, atol=1e-3)


def test_labels_from_an_if_are_those_of_the_same_quantised_logits(network, rewrite):
    image = scenes(1)[0]
    logits = run(rewrite(network, "int8{images=1}").model, image)[0]
    labels = run(rewrite(network, "fast-argmax{labels=true},int8{images=1}").model, image)[0]
    chosen = np.take_along_axis(logits, labels[:, None].astype(np.int64), axis=1)[:, 0]
    assert (logits.max(axis=1) - chosen).max() <= 1e-4 * np.abs(logits).max()


def test_equalised_channels_leave_the_function_as_it_is(network):
    import onnx_graphsurgeon as gs
    from fastscnn_opt.passes._int8.body import find_body
    from fastscnn_opt.passes._int8.equalising import find_links

    graph = gs.import_onnx(onnx.shape_inference.infer_shapes(network))
    links = {link.tensor: link for link in find_links(find_body(graph).layers, graph.outputs)}
    assert {name: link.depthwise for name, link in links.items()} == {"d": False}  # b goes into a sum, too
    (image,) = scenes(1)
    expected = run(network, image)[0]
    links["d"].scale(run(tap(network, "d"), image)[0].max(axis=(0, 2, 3)).astype(np.float64))
    scaled = gs.export_onnx(graph)
    np.testing.assert_allclose(run(scaled, image)[0], expected, atol=1e-4)
    assert not np.allclose(run(tap(scaled, "d"), image)[0], run(tap(network, "d"), image)[0])


def test_depthwise_readers_get_equal_ranges():
    import onnx_graphsurgeon as gs
    from fastscnn_opt.passes._int8.body import find_body
    from fastscnn_opt.passes._int8.equalising import find_links

    model = parse("""
        g (float[1,3,8,8] x) => (float[1,3,8,8] y) {
            a = Conv(x, w1)
            b = Relu(a)
            y = Conv<group=3>(b, w2)
        }
    """)
    rng = np.random.default_rng(2)
    for name, shape in (("w1", (3, 3, 1, 1)), ("w2", (3, 1, 1, 1))):
        weight = (rng.uniform(0.5, 1, shape) * np.array([0.1, 1, 5]).reshape(3, 1, 1, 1)).astype(np.float32)
        add_initializers(model, **{name: weight})
    image = rng.uniform(0, 1, (1, 3, 8, 8)).astype(np.float32)
    graph = gs.import_onnx(onnx.shape_inference.infer_shapes(model))
    (link,) = find_links(find_body(graph).layers, graph.outputs)
    link.scale(run(tap(model, "b"), image)[0].max(axis=(0, 2, 3)).astype(np.float64))
    scaled = gs.export_onnx(graph)
    largest = run(tap(scaled, "b"), image)[0].max(axis=(0, 2, 3))
    np.testing.assert_allclose(largest, largest[0], rtol=1e-5)
    np.testing.assert_allclose(run(scaled, image)[0], run(model, image)[0], rtol=1e-5)


@pytest.mark.parametrize("activation", ["d = LeakyRelu<alpha=0.5>(c)", "d = Identity(c)"])
def test_channels_are_measured_by_magnitude_whatever_their_sign(activation):
    import onnx_graphsurgeon as gs
    from fastscnn_opt.passes._int8.calibration import channel_maxima
    from fastscnn_opt.passes._int8.images import CalibrationImages

    model = parse(f"""
        g (float[1,3,64,128] image) => (float[1,3,64,128] d)
        <float[3,3,1,1] w = {{1, 0, 0, 0, 1, 0, 0, 0, 1}}, float[3] b = {{-20, 0, 20}}>
        {{ c = Conv(image, w, b) {activation} }}
    """)
    images = CalibrationImages(DataSource(synthetic=2, seed=0), gs.import_onnx(model).inputs)
    values = np.concatenate([run(model, image)[0] for image in scenes(2)])
    assert values[:, 0].max() < 0
    np.testing.assert_allclose(channel_maxima(model, ["d"], images)["d"], np.abs(values).max(axis=(0, 2, 3)), rtol=1e-6)


def test_bytes_are_read_without_error_and_without_a_node(rewrite):
    model = parse("""
        g (uint8[1,64,128,3] image) => (float[1,8,62,126] y) {
            a = Transpose<perm=[0,3,1,2]>(image)
            [cast] b = Cast<to=1>(a)
            [first] c = Conv(b, w)
            [second] y = Conv(c, v)
        }
    """)
    for name, shape in (("w", (8, 3, 3, 3)), ("v", (8, 8, 1, 1))):
        add_initializers(model, **{name: np.random.default_rng(1).standard_normal(shape).astype(np.float32)})
    result = rewrite(model, "int8{images=1}").model
    assert quantisation(result, "first") == (1.0, 0)
    assert maker(result, maker(result, node(result, "first").input[0]).input[0]).op_type == "Transpose"
    assert not {"Cast"} & {node.op_type for node in result.graph.node}
    assert result.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_keep_leaves_a_layer_and_what_follows_it_in_float(network, rewrite):
    result = rewrite(network, "int8{images=1 keep=stem}")
    assert [(skip.node, skip.why) for skip in result.steps[0].skips] == [
        ("stem", "is named by keep"),
        ("graph", "calibrated on generated scenes (1); data=DIR takes images of your own"),
    ]
    assert node(result.model, "stem").input[0] == "image"
    assert maker(result.model, node(result.model, "stem_relu").input[0]).name == "stem"


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_other_methods_leave_out_rare_values(network, rewrite, capsys, method):
    widest, narrower = (
        quantisation(rewrite(network, f"int8{{images=2 equalise=false method={name}}}").model, "out")[0]
        for name in ("minmax", method)
    )
    assert 0.2 * widest < narrower < widest
    assert capsys.readouterr().out == ""


def test_a_graph_without_layers_is_left_alone(rewrite):
    model = parse("g (float[1,3,8,8] x) => (float[1,3,8,8] y) { y = Relu(x) }")
    step = rewrite(model, "int8").steps[0]
    assert [(skip.node, skip.why) for skip in step.skips] == [
        ("graph", "has no Conv or Gemm with constant float32 weights")
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("float[4,3,1,1] w", "its weights are computed in the graph, so it stays in float"),
        ("float16[4,3,1,1] w", "its weights are computed in the graph, so it stays in float"),
    ],
)
def test_computed_weights_are_no_layer(rewrite, text, reason):
    model = parse(f"g (float[1,3,8,8] x, {text}) => (float[1,4,8,8] y) {{ v = Cast<to=1>(w) [conv] y = Conv(x, v) }}")
    assert ("conv", reason) in [(skip.node, skip.why) for skip in rewrite(model, "int8").steps[0].skips]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ("keep=stern", PassError, r"keep: 'stern' matches no layer; did you mean 'stem'"),
        ("data=/nowhere", DataError, r"/nowhere: no such folder"),
        ("images=0", PipelineError, "images=0 leaves nothing to calibrate on"),
        ("max_drop=0", PipelineError, "max_drop=0 leaves no room"),
        ("method=minimax", PipelineError, "did you mean 'minmax'"),
    ],
)
def test_mistakes_are_told(network, options, error, message):
    with pytest.raises(error, match=message):
        PassManager(f"int8{{{options}}}").run(network)


def test_an_older_opset_is_an_error():
    model = parse(
        "g (float[1,3,8,8] x) => (float[1,1,8,8] y) <float[1,3,1,1] w = {1,1,1}> { y = Conv(x, w) }",
        11,
    )
    with pytest.raises(PassError, match="opset 11, and scales per channel need 13"):
        PassManager("int8").run(model)


def test_what_takes_no_images_is_an_error():
    model = parse("g (float[1,1,8,8] x) => (float[1,1,8,8] y) <float[1,1,1,1] w = {1}> { y = Conv(x, w) }")
    with pytest.raises(ModelError, match="images need 3 channels"):
        PassManager("int8").run(model)


@pytest.fixture
def dataset(tmp_path) -> Path:
    """A Cityscapes tree of two labelled scenes in the split `train`."""
    for number in range(2):
        image, label = render_scene(number, height=SIZE[0], width=SIZE[1])
        for kind, suffix, pixels in (
            ("leftImg8bit", "leftImg8bit", image), ("gtFine", "gtFine_labelTrainIds", label),
        ):  # fmt: skip
            folder = tmp_path / "city" / kind / "train" / "town"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"town_{number:06d}_000000_{suffix}.png")
    return tmp_path / "city"


def test_images_of_a_dataset_calibrate_as_the_same_scenes_do(network, rewrite, dataset):
    of_files = rewrite(network, f"int8{{data={dataset} images=2}}").model
    assert of_files.SerializeToString() == rewrite(network, "int8{images=2}").model.SerializeToString()


def test_a_wrong_split_is_an_error_with_the_nearest(network, dataset):
    with pytest.raises(DataError, match="did you mean 'train'"):
        PassManager(f"int8{{data={dataset} split=trian}}").run(network)


def test_images_of_another_size_are_an_error(dataset):
    model = parse("g (float[1,3,8,8] x) => (float[1,1,8,8] y) <float[1,3,1,1] w = {1,1,1}> { y = Conv(x, w) }")
    with pytest.raises(ModelError, match="but the images are 64 x 128"):
        PassManager(f"int8{{data={dataset}}}").run(model)


def test_what_was_measured_is_not_measured_again(network, rewrite, monkeypatch):
    from onnxruntime.quantization import calibrate

    first = rewrite(network, "int8{images=2}").model.SerializeToString()
    monkeypatch.delattr(calibrate, "create_calibrator")
    assert rewrite(network, "int8{images=2}").model.SerializeToString() == first


def test_other_processes_write_the_same_bytes(network, tmp_path):
    onnx.save(network, tmp_path / "network.onnx")
    for number in range(2):
        command = ["apply", "network.onnx", "--passes", "int8{images=2}", "-o", f"{number}.onnx", "--no-verify"]
        environment = {
            **os.environ,
            "PYTHONHASHSEED": str(number),
            "FASTSCNN_OPT_CACHE": str(tmp_path / f"cache{number}"),
        }
        subprocess.run([sys.executable, "-m", "fastscnn_opt", *command], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "0.onnx").read_bytes() == (tmp_path / "1.onnx").read_bytes()


def class_iou(labels: list[np.ndarray], predictions: list[np.ndarray]) -> np.ndarray:
    """Return the IoU of each of 19 classes over all images, NaN where a class is absent, straight from the formula."""
    valid = [label != 255 for label in labels]
    label = np.concatenate([label[mask] for label, mask in zip(labels, valid, strict=True)])
    prediction = np.concatenate([each[mask] for each, mask in zip(predictions, valid, strict=True)])
    both = np.array([((label == index) & (prediction == index)).sum() for index in range(19)])
    either = np.array([((label == index) | (prediction == index)).sum() for index in range(19)])
    return np.where(either > 0, both / np.maximum(either, 1), np.nan)


def test_the_figure_of_a_layer_is_the_change_that_it_makes_alone(network):
    step = PassManager("int8{images=2 max_drop=100}", verify=False).run(network).steps[0]
    (told,) = (change.what for change in step.changes if change.node == "out")
    alone = PassManager("int8{images=2 keep=stem|deep|point}", verify=False).run(network).model
    labels = [render_scene(seed, height=SIZE[0], width=SIZE[1])[1] for seed in range(2)]
    before, after = (
        class_iou(labels, [run(model, image)[0][0].argmax(axis=0) for image in scenes(2)]) for model in (network, alone)
    )
    change = 100 * np.nanmean(np.abs(after - before))
    assert change > 0
    assert f"changes the IoU of a class by {change:.3f} points" in told


@pytest.mark.parametrize("layer", ["stem", "point", "out"])
def test_an_empty_bias_is_none(network, rewrite, layer):
    plain = onnx.ModelProto()
    plain.CopyFrom(network)
    del node(plain, layer).input[2]
    del node(network, layer).input[2]
    node(network, layer).input.append("")
    result = rewrite(network, "int8{images=1}")
    assert [change.node for change in result.steps[0].changes] == LAYERS
    assert result.model.SerializeToString() == rewrite(plain, "int8{images=1}").model.SerializeToString()


def test_a_computed_bias_is_told(rewrite):
    model = parse("""
        g (float[1,3,8,8] x, float16[4] h) => (float[1,4,8,8] y) <float[4,3,1,1] w = {1,2,3,4,5,6,7,8,9,10,11,12}>
        { b = Cast<to=1>(h) [conv] y = Conv(x, w, b) }
    """)
    (skip, _) = rewrite(model, "int8").steps[0].skips
    assert (skip.node, skip.why) == ("conv", "its bias is computed in the graph, so it stays in float")


def test_a_budget_that_nothing_fits_leaves_the_graph_as_it_was_and_tells_the_ranking(network):
    result = PassManager("int8{images=1 max_drop=1e-9}", verify=False).run(network)
    assert result.model.SerializeToString() == network.SerializeToString()
    *layers, graph = result.steps[0].skips
    assert sorted(skip.node for skip in layers) == sorted(LAYERS)
    assert [skip.why.split(":")[0] for skip in layers] == [f"kept in float, rank {rank}" for rank in (1, 2, 3, 4)]
    figures = [float(skip.why.split(" by ")[1].split()[0]) for skip in layers]
    assert figures == sorted(figures, reverse=True)
    assert (graph.node, graph.why) == ("graph", "no layer fits max_drop in int8")


def test_what_was_scored_is_not_scored_again(network, monkeypatch):
    from fastscnn_opt.passes._int8 import images

    text = "int8{images=1 max_drop=1}"
    first = PassManager(text, verify=False).run(network)
    monkeypatch.delattr(images, "evaluate")
    again = PassManager(text, verify=False).run(network)
    assert again.model.SerializeToString() == first.model.SerializeToString()
    assert list(map(repr, again.steps[0].changes)) == list(map(repr, first.steps[0].changes))


def with_weights(model: onnx.ModelProto, **shapes: tuple[int, ...]) -> onnx.ModelProto:
    rng = np.random.default_rng(5)
    for name, shape in shapes.items():
        weight = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        add_initializers(model, **{name: weight})
    return model


@pytest.fixture
def classifier() -> onnx.ModelProto:
    """A network that gives an image ten scores."""
    model = parse("""
        g (float[1,3,64,128] image) => (float[1,10] scores) {
            [stem] a = Conv<strides=[2,2]>(image, w1)
            b = Relu(a)
            c = MaxPool<kernel_shape=[2,2], strides=[2,2]>(b)
            [deep] d = Conv(c, w2)
            e = GlobalAveragePool(d)
            f = Flatten(e)
            [full] scores = Gemm<transB=1>(f, w3, b3)
        }
    """)
    return with_weights(model, w1=(8, 3, 3, 3), w2=(16, 8, 3, 3), w3=(10, 16), b3=(10,))


def test_a_classifier_is_quantised_to_its_scores(classifier, rewrite):
    result = rewrite(classifier, "int8{images=4}")
    assert [change.node for change in result.steps[0].changes] == ["stem", "deep", "full"]
    (image,) = scenes(1, seed=50)
    expected, actual = (run(model, image)[0] for model in (classifier, result.model))
    assert np.abs(actual - expected).max() < 0.05 * np.abs(expected).max()


def test_max_drop_needs_the_classes_of_street_scenes(classifier):
    with pytest.raises(PassError, match="max_drop needs a network that labels street scenes with the 19"):
        PassManager("int8{images=1 max_drop=1}").run(classifier)


def test_a_u_net_keeps_its_transposed_convolution_in_float(rewrite):
    model = parse("""
        g (float[1,3,64,128] image) => (float[1,5,64,128] logits) {
            [enter] a = Conv<pads=[1,1,1,1]>(image, w1)
            b = Relu(a)
            c = MaxPool<kernel_shape=[2,2], strides=[2,2]>(b)
            [deep] d = Conv<pads=[1,1,1,1]>(c, w2)
            e = LeakyRelu<alpha=0.1>(d)
            [up] f = ConvTranspose<strides=[2,2], kernel_shape=[2,2]>(e, w3)
            h = Concat<axis=1>(b, f)
            [leave] logits = Conv(h, w4)
        }
    """)
    model = with_weights(model, w1=(8, 3, 3, 3), w2=(8, 8, 3, 3), w3=(8, 8, 2, 2), w4=(5, 16, 1, 1))
    result = rewrite(model, "int8{images=4}")
    assert [change.node for change in result.steps[0].changes] == ["enter", "deep", "leave"]
    (image,) = scenes(1, seed=50)
    expected, actual = (run(each, image)[0] for each in (model, result.model))
    assert np.abs(actual - expected).max() < 0.1 * np.abs(expected).max()


def test_a_subgraph_behind_the_logits_does_not_end_the_process(rewrite):
    model = with_weights(
        parse("""
            g (float[1,3,64,128] image) => (float[a,b,c,d] y) <int64 none = {0}> {
                [conv] l = Conv(image, w)
                t = Transpose<perm=[0,2,3,1]>(l)
                size = Size(t)
                some = Greater(size, none)
                y = If(some) <then_branch = p () => (float[a,b,c,d] q) { q = Exp(t) },
                              else_branch = r () => (float[a,b,c,d] s) { s = Neg(t) }>
            }
        """),
        w=(4, 3, 1, 1),
    )
    assert [change.node for change in rewrite(model, "int8{images=1}").steps[0].changes] == ["conv"]


def test_real_weights_lose_at_most_half_a_point_on_real_images(real_data, tmp_path, capsys):
    pytest.importorskip("torch", reason="reading a checkpoint needs torch")
    from fastscnn_opt.cli.main import run as command

    data, exported = str(real_data / "cityscapes"), str(tmp_path / "exported.onnx")
    checkpoint = str(real_data / "weights" / "fast_scnn_tramac_layout.pth")
    assert command(["export", checkpoint, "-o", exported]) == 0
    exact = "adaptive-avgpool,drop-outputs,uint8-input,fast-argmax{labels=true}"
    figures = []
    for number, passes in enumerate((exact, f"{exact},int8{{data={data} images=6}}")):
        rewritten = str(tmp_path / f"{number}.onnx")
        assert command(["apply", exported, "--passes", passes, "-o", rewritten, "--no-verify"]) == 0
        capsys.readouterr()
        assert command(["eval", rewritten, "--data", data, "--format", "json"]) == 0
        figures.append(json.loads(capsys.readouterr().out))
    assert figures[0]["mIoU_all"] - figures[1]["mIoU_all"] <= 0.005
    assert figures[0]["pixAcc"] - figures[1]["pixAcc"] <= 0.001
