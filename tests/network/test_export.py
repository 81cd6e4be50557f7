from collections import Counter

import numpy as np
import onnx
import pytest
from graphs import run
from onnx import numpy_helper

from fastscnn_opt.errors import CheckpointError, ModelError
from fastscnn_opt.network.export import build_model, export_checkpoint, fold_batch_norm
from fastscnn_opt.network.layout import Outputs, convolutions
from fastscnn_opt.network.layouts import MMSEGMENTATION, SEGMENTRON, TRAMAC

SMALL = (1, 64, 128)


def shapes(values):
    return {value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in values}


def attribute(node, name):
    return onnx.helper.get_attribute_value(next(found for found in node.attribute if found.name == name))


@pytest.fixture
def segmentron(random_state):
    """All three outputs of a SegmenTron network for 1x3x64x128."""
    weights = random_state(SEGMENTRON, SEGMENTRON.heads)
    return build_model(SEGMENTRON, weights, heads=SEGMENTRON.heads, shape=SMALL)


@pytest.mark.parametrize("layout", [SEGMENTRON, TRAMAC], ids=str)
@pytest.mark.parametrize("opset", [11, 13, 17])
def test_the_export_computes_what_the_module_computes(write_checkpoint, image, layout, opset):
    torch = pytest.importorskip("torch", reason="the module needs torch")
    from fastscnn_opt.network.checkpoint import load_checkpoint
    from fastscnn_opt.network.module import FastSCNN

    path = write_checkpoint(layout)
    network = FastSCNN(layout, 19, layout.heads).eval()
    weights = load_checkpoint(path).weights
    network.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()}, strict=True)
    with torch.no_grad():
        expected = network(torch.from_numpy(image), auxiliary=True)
    found = run(export_checkpoint(path, height=64, width=128, outputs=Outputs.ALL, opset=opset), image)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-3, atol=1e-3)


def test_the_real_checkpoint_exports_to_what_the_module_computes(real_data):
    torch = pytest.importorskip("torch", reason="the module needs torch")
    from PIL import Image

    from fastscnn_opt.data.preprocess import normalise
    from fastscnn_opt.network.checkpoint import load_checkpoint
    from fastscnn_opt.network.module import FastSCNN

    path = real_data / "weights" / "fast_scnn_tramac_layout.pth"
    found = load_checkpoint(path)
    network = FastSCNN(found.layout, found.classes).eval()
    network.load_state_dict({key: torch.from_numpy(value) for key, value in found.weights.items()}, strict=True)
    photo = Image.open(min(real_data.glob("cityscapes/leftImg8bit/val/*/*.png"))).convert("RGB")
    pixels = normalise(np.asarray(photo)[None, 256:768, 512:1536])
    with torch.no_grad():
        (expected,) = network(torch.from_numpy(pixels))
    (found,) = run(export_checkpoint(path, height=512, width=1024), pixels)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-3)


@pytest.mark.parametrize(("outputs", "names"), [("main", ["output1"]), ("all", ["output1", "output2", "output3"])])
def test_outputs_are_the_main_one_or_all(write_checkpoint, outputs, names):
    model = export_checkpoint(write_checkpoint(), height=64, width=128, outputs=outputs)
    assert [output.name for output in model.graph.output] == names


def test_input_and_outputs_are_static(random_state):
    model = build_model(TRAMAC, random_state(TRAMAC), shape=(3, 64, 96))
    assert shapes(model.graph.input) == {"image": (3, 3, 64, 96)}
    assert shapes(model.graph.output) == {"output1": (3, 19, 64, 96)}


def test_shapes_of_all_values_agree_with_shape_inference(segmentron):
    bare = onnx.ModelProto()
    bare.CopyFrom(segmentron)
    pooled = [info for info in bare.graph.value_info if "AdaptiveAvgPool2d" in info.name]
    del bare.graph.value_info[:]
    bare.graph.value_info.extend(pooled)
    inferred = onnx.shape_inference.infer_shapes(bare, strict_mode=True)
    assert shapes(inferred.graph.value_info) == shapes(segmentron.graph.value_info)


def test_the_graph_holds_the_operators_of_the_network_and_nothing_else(segmentron):
    assert Counter(node.op_type for node in segmentron.graph.node) == {
        "Conv": 49, "Relu": 18, "Clip": 18, "Add": 7, "AdaptiveAvgPool2d": 4, "Concat": 1, "Resize": 8,
    }  # fmt: skip


def test_adaptive_pooling_stays_one_node_of_the_custom_domain(segmentron):
    pools = [node for node in segmentron.graph.node if node.op_type == "AdaptiveAvgPool2d"]
    assert {node.domain for node in pools} == {"fastscnn_opt"}
    assert [list(attribute(node, "output_size")) for node in pools] == [[1, 1], [2, 2], [3, 3], [6, 6]]
    assert {opset.domain: opset.version for opset in segmentron.opset_import} == {"": 13, "fastscnn_opt": 1}


def test_every_resize_is_bilinear_with_aligned_corners_and_a_constant_size(segmentron):
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in segmentron.graph.initializer}
    known = shapes(segmentron.graph.value_info) | shapes(segmentron.graph.output)
    for node in segmentron.graph.node:
        if node.op_type == "Resize":
            assert attribute(node, "mode") == b"linear"
            assert attribute(node, "coordinate_transformation_mode") == b"align_corners"
            assert tuple(constants[node.input[3]].tolist()) == known[node.output[0]]


def test_resizes_at_half_pixels_are_of_the_kind_that_ascend_honours(random_state):
    model = build_model(MMSEGMENTATION, random_state(MMSEGMENTATION), shape=SMALL)
    modes = {attribute(node, "coordinate_transformation_mode") for node in model.graph.node if node.op_type == "Resize"}
    assert modes == {b"pytorch_half_pixel"}


def test_nodes_have_unique_readable_names(segmentron):
    names = [node.name for node in segmentron.graph.node]
    assert len(set(names)) == len(names)
    assert "/classifier/dsconv1/depthwise/Conv" in names
    assert "/feature_fusion/resize/Resize" in names


def test_the_layout_is_written_into_the_model(segmentron):
    assert {prop.key: prop.value for prop in segmentron.metadata_props} == {"layout": "segmentron"}
    assert segmentron.producer_name == "fastscnn-opt"


def test_the_same_weights_give_the_same_bytes(random_state):
    state = random_state(TRAMAC)
    first, second = (build_model(TRAMAC, state, shape=SMALL).SerializeToString() for _ in range(2))
    assert first == second


def test_batch_norm_is_folded_by_its_definition():
    name = "feature_fusion.conv_lower_res"
    convolution = convolutions(SEGMENTRON, 19)[name]
    random = np.random.default_rng(1)
    state = {key: random.uniform(0.5, 2, shape).astype(np.float32) for key, shape in convolution.entries() if shape}
    weight, bias = fold_batch_norm(convolution, state)
    x = random.normal(size=128)
    gamma, beta, mean, variance = (
        state[f"{name}.1.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    plain = state[f"{name}.0.weight"][:, :, 0, 0] @ x + state[f"{name}.0.bias"]
    expected = (plain - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    np.testing.assert_allclose(weight[:, :, 0, 0] @ x + bias, expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 100, 128), (1, 64, 130), (1, 0, 64), (1, 64, -32), (0, 64, 64)])
def test_a_size_that_the_network_cannot_have_is_refused(random_state, shape):
    with pytest.raises(ModelError, match=r"cannot build FastSCNN for (batch|height|width) -?\d+: it must be"):
        build_model(TRAMAC, random_state(TRAMAC), shape=shape)


@pytest.mark.parametrize(("height", "nearest"), [(360, "352 or 384"), (33, "32 or 64"), (31, "32"), (-5, "32")])
def test_the_nearest_sizes_are_named(random_state, height, nearest):
    with pytest.raises(ModelError, match=f"height {height}: it must be a multiple of 32; use {nearest}$"):
        build_model(TRAMAC, random_state(TRAMAC), shape=(1, height, 64))


def test_a_padding_that_no_stem_has_is_refused(write_checkpoint):
    with pytest.raises(ModelError, match="stem padding 2: it must be 0 or 1"):
        export_checkpoint(write_checkpoint(), stem_padding=2)


@pytest.mark.parametrize("opset", [10, 1000])
def test_an_opset_that_cannot_hold_the_network_is_refused(random_state, opset):
    with pytest.raises(ModelError, match=f"opset {opset}: it must be between 11 and"):
        build_model(TRAMAC, random_state(TRAMAC), shape=SMALL, opset=opset)


@pytest.mark.parametrize(
    "changed",
    [{"auxlayer2.0.weight": (32, 64, 3, 3)}, {"auxlayer.classify.weight": (19, 32, 1, 1)}, {}],
    ids=["other width", "other names", "incomplete"],
)
def test_auxiliary_heads_of_another_kind_do_not_hinder_the_main_output(write_checkpoint, changed):
    torch = pytest.importorskip("torch", reason="checkpoints need torch")

    def change(state):
        kept = {key: value for key, value in state.items() if key != "auxlayer2.0.weight"}
        return kept | {key: torch.zeros(shape) for key, shape in changed.items()}

    path = write_checkpoint(wrap=change)
    assert len(export_checkpoint(path, height=64, width=64).graph.output) == 1
    with pytest.raises(CheckpointError, match="its auxiliary heads are of another kind, export the main output alone"):
        export_checkpoint(path, height=64, width=64, outputs=Outputs.ALL)


def test_a_bad_checkpoint_is_refused(tmp_path):
    path = tmp_path / "bad.pth"
    path.write_text("no")
    with pytest.raises(CheckpointError):
        export_checkpoint(path)
