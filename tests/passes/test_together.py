"""All passes one after another, in many orders, on one network."""

import inspect
import random

import numpy as np
import onnx
import pytest
from graphs import add_initializers, parse, run

from fastscnn_opt.model.metadata import Metadata, add_metadata, metadata_of
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.rewriting.registry import entry_points, pass_class

PASSES = {
    "adaptive-avgpool": "adaptive-avgpool",
    "argmax-output": "argmax-output",
    "constant-inputs": "constant-inputs",
    "conv-before-concat": "conv-before-concat{every=true}",
    "conv-before-resize": "conv-before-resize",
    "deduplicate": "deduplicate",
    "drop-outputs": "drop-outputs{keep=output1}",
    "fast-argmax": "fast-argmax{labels=true}",
    "fold-batchnorm": "fold-batchnorm",
    "fp16": "fp16{keep_io=inputs}",
    "fp16-output": "fp16-output",
    "input-size": "input-size{scale=0.5 keep=true}",
    "int8": "int8{images=1}",
    "large-avgpool": "large-avgpool{area=0}",
    "remove-noops": "remove-noops",
    "resize-nearest": "resize-nearest{only=head}",
    "simplify": "simplify",
    "space-to-depth": "space-to-depth",
    "static-batch": "static-batch{n=2}",
    "static-shape": "static-shape{shape=image:2x3x32x64}",
    "uint8-input": "uint8-input{layout=nchw}",
    "upsample-output": "upsample-output",
}
IN_ORDER = ["static-batch", "static-shape", "uint8-input", "input-size", "fast-argmax", "fp16-output", "fp16"]
"""fast-argmax makes nodes for one size and in float32; uint8-input wants float32 weights, and the image itself."""


def shuffled(seed: int) -> list[str]:
    order = random.Random(seed)
    others = [name for name in PASSES if name != "int8"]
    names = order.sample(others, len(others))
    places = sorted(names.index(name) for name in IN_ORDER)
    for place, name in zip(places, IN_ORDER, strict=True):
        names[place] = name
    # what conv-before-concat splits, conv-before-resize may move, which makes equal sizes for deduplicate
    chain = ["conv-before-concat", "conv-before-resize", "deduplicate"]
    for place, name in zip(sorted(map(names.index, chain)), chain, strict=True):
        names[place] = name
    # simplify joins what int8 and fast-argmax transpose, so it would find work again if it stood before one of them
    names.remove("simplify")
    names.insert(order.randint(names.index("fast-argmax") + 1, len(names)), "simplify")
    names.insert(order.randrange(names.index("simplify") + 1), "int8")
    return [PASSES[name] for name in names]


ORDERS = [shuffled(seed) for seed in range(12)]


def test_every_built_in_pass_is_here():
    built_in = [name for name, point in entry_points().items() if point.value.startswith("fastscnn_opt.passes.")]
    assert sorted(PASSES) == built_in


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "-".join(text.split("-")[0] for text in order))
def test_any_order_keeps_every_contract(segmenter, rewrite, order):
    result = rewrite(segmenter, ",".join(order))
    assert all(step.verified is not False for step in result.steps)
    (output,) = result.model.graph.output
    assert output.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [dim.dim_value for dim in output.type.tensor_type.shape.dim] == [2, 32, 64]


@pytest.mark.parametrize("order", ORDERS[:4], ids=lambda order: "-".join(text.split("-")[0] for text in order))
def test_without_the_lossy_pass_the_labels_stay(segmenter, rewrite, order):
    exact = [text for text in order if not text.startswith(("input-size", "int8", "resize-nearest"))]
    pixels = np.random.default_rng(7).integers(0, 256, (2, 3, 32, 64), dtype=np.uint8)
    labels = run(rewrite(segmenter, ",".join(exact)).model, pixels)[0]
    mean, std = (np.array(values).reshape(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x = ((pixels / 255 - mean) / std).astype(np.float32)
    logits = np.concatenate([run(segmenter, x[index : index + 1])[0] for index in range(2)])
    assert (labels == logits.argmax(axis=1)).mean() > 0.999


def test_a_pipeline_gives_the_same_bytes_every_time(segmenter):
    text = ",".join(ORDERS[0])
    first, second = (PassManager(text, verify=False).run(segmenter).model.SerializeToString() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", list(PASSES))
def test_the_manual_of_a_pass_numbers_its_rules(name):
    manual = inspect.getdoc(pass_class(name)) or ""
    assert manual.splitlines()[0].endswith(".")
    assert "\n1. " in manual


def test_an_export_that_folded_nothing_ends_as_one_that_folded(rewrite):
    """Batch normalisation behind every convolution, and nodes that do nothing between the layers."""
    model = parse("""
        g (float[1,3,8,8] x) => (float[1,3,8,8] y) <int64[8] none = {0, 0, 0, 0, 0, 0, 0, 0}> {
            padded = Pad(x, none)
            c = Conv<pads=[1,1,1,1]>(padded, w)
            a = BatchNormalization(c, scale, shift, mean, variance)
            r = Relu(a)
            same = Identity(r)
            b = Dropout(same)
            d = Conv(b, v)
            y = BatchNormalization(d, scale, shift, mean, variance)
        }
    """)
    rng = np.random.default_rng(5)
    shapes = {"w": (3, 3, 3, 3), "v": (3, 3, 1, 1), **dict.fromkeys(("scale", "shift", "mean", "variance"), (3,))}
    for name, shape in shapes.items():
        weights = rng.uniform(0.5, 2, shape).astype(np.float32)
        add_initializers(model, **{name: weights})
    result = rewrite(model, "remove-noops,fold-batchnorm").model
    assert [node.op_type for node in result.graph.node] == ["Conv", "Relu", "Conv"]


@pytest.mark.parametrize("name", PASSES)
def test_every_pass_keeps_what_the_model_says_of_itself(segmenter, name):
    said = Metadata(("road", "car"), ((1, 2, 3), (4, 5, 6)), {"image_mean": [0.5], "image_std": [0.25]})
    add_metadata(segmenter, said)
    pipeline = f"static-batch{{n=2}},{PASSES[name]}"  # static-shape names that batch
    metadata = metadata_of(PassManager(pipeline, verify=False).run(segmenter).model)
    assert (metadata.names, metadata.palette) == (said.names, said.palette)
    bytes_in = {"image_mean": [0.0], "image_std": [1.0], "rescale_factor": 1.0}
    assert metadata.preprocess == (bytes_in if name == "uint8-input" else said.preprocess)
