"""The verb `eval` on datasets that a user describes, held against independent computations."""

import json

import numpy as np
import onnx
import pytest
from graphs import parse
from PIL import Image

from fastscnn_opt.cli.main import run

pytestmark = pytest.mark.usefixtures("brief_timing")

CLASSES, HEIGHT, WIDTH = 20, 32, 64
MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
WEIGHTS = np.random.default_rng(3).standard_normal((CLASSES, 3, 1, 1)).astype(np.float32)


def network():
    """Return a network of 20 classes that takes images of half the size and gives logits of an eighth of it."""
    model = parse(f"""
        other (float[1,3,{HEIGHT // 2},{WIDTH // 2}] image) => (float[1,{CLASSES},{HEIGHT // 8},{WIDTH // 8}] logits)
        {{
            pooled = AveragePool<kernel_shape=[4,4], strides=[4,4]>(image)
            logits = Conv(pooled, w)
        }}
    """)
    model.graph.initializer.append(onnx.numpy_helper.from_array(WEIGHTS, "w"))
    return model


def predicted(image):
    """Return what the network sees in an image, at the image's size, computed with Pillow, numpy and torch alone."""
    torch = pytest.importorskip("torch", reason="the oracle is PyTorch")
    small = Image.fromarray(image).resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.BILINEAR)
    values = ((np.asarray(small)[..., ::-1].astype(np.float64) - MEAN) / STD).astype(np.float32)
    feed = torch.from_numpy(values.transpose(2, 0, 1)[None].copy())
    logits = torch.nn.functional.conv2d(torch.nn.functional.avg_pool2d(feed, 4), torch.from_numpy(WEIGHTS))
    return torch.nn.functional.interpolate(logits, size=(HEIGHT, WIDTH), mode="bilinear").argmax(1)[0].numpy()


@pytest.fixture
def tree(tmp_path, add_pair):
    """A Cityscapes tree of three images, and a description of what the network expects."""
    rng = np.random.default_rng(7)
    for index in range(3):
        image, label = add_pair(f"ulm_{index:06d}_000019", size=(HEIGHT, WIDTH))
        blocks = rng.integers(0, 256, (4, 8, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(image)
        ids = rng.choice(np.array([0, 7, 8, 11, 21, 23, 24, 26, 33], np.uint8), (8, 8))
        Image.fromarray(ids.repeat(4, axis=0).repeat(8, axis=1)).save(label)
    onnx.save(network(), tmp_path / "other.onnx")
    (tmp_path / "own.toml").write_text(f"""
        [data]
        root = "."

        [data.preprocess]
        image_mean = {list(MEAN)}
        image_std = {list(STD)}
        rescale_factor = 1.0
        channel_order = "bgr"
        resize = "stretch"
    """)
    return tmp_path


def evaluated(capsys, *arguments):
    code = run(["eval", *map(str, arguments), "--format", "json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


def test_another_network_is_evaluated_at_label_resolution_to_the_pixel(capsys, tree):
    counts = np.zeros((19, CLASSES), np.int64)
    label_ids = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
    for file in sorted(tree.glob("leftImg8bit/val/ulm/*.png")):
        ids = np.asarray(
            Image.open(str(file).replace("leftImg8bit.png", "gtFine_labelIds.png").replace("leftImg8bit/", "gtFine/"))
        )
        found = predicted(np.asarray(Image.open(file)))
        for index, label_id in enumerate(label_ids):
            counts[index] += np.bincount(found[ids == label_id], minlength=CLASSES)
    assert counts[:, 19].sum() > 0, "the class that the data do not have should be predicted somewhere"
    figures = evaluated(capsys, tree / "other.onnx", "--data", tree / "own.toml")
    right = counts.diagonal()
    union = counts[:, :19].sum(axis=0) + counts.sum(axis=1) - right
    iou = [float(hit / every) if every else None for hit, every in zip(right, union, strict=True)]
    assert list(figures["iou"].values()) == iou
    assert figures["pixels"] == counts.sum()
    assert figures["pixAcc"] == right.sum() / counts.sum()
    assert figures["mIoU"] == pytest.approx(np.mean([value for value in iou if value is not None]))


def test_other_preprocessing_gives_other_figures(capsys, tree):
    right = evaluated(capsys, tree / "other.onnx", "--data", tree / "own.toml")
    description = (tree / "own.toml").read_text()
    (tree / "wrong.toml").write_text(description.replace('"bgr"', '"rgb"'))
    assert evaluated(capsys, tree / "other.onnx", "--data", tree / "wrong.toml")["pixAcc"] != right["pixAcc"]


def test_a_size_that_nothing_explains_is_refused_with_the_key(capsys, tree):
    assert run(["eval", str(tree / "other.onnx"), "--data", str(tree)]) == 1
    message = capsys.readouterr().err
    assert "input 'image' takes 16 x 32, but the images are 32 x 64" in message
    assert 'resize = "stretch"' in message


def with_other_ends():
    """Return the network with an auxiliary head in front, logits whose classes come last, and two other inputs."""
    model = parse(f"""
        other (float[{CLASSES}] factor, int64[4] form, float[1,3,{HEIGHT // 2},{WIDTH // 2}] image)
            => (float[1,{CLASSES},2,4] auxiliary, float[1,{HEIGHT // 8},{WIDTH // 8},{CLASSES}] main)
        {{
            pooled = AveragePool<kernel_shape=[4,4], strides=[4,4]>(image)
            logits = Conv(pooled, w)
            turned = Transpose<perm=[0,2,3,1]>(logits)
            scaled = Mul(turned, factor)
            main = Reshape(scaled, form)
            negative = Neg(logits)
            auxiliary = MaxPool<kernel_shape=[2,2], strides=[2,2]>(negative)
        }}
    """)
    model.graph.initializer.append(onnx.numpy_helper.from_array(WEIGHTS, "w"))
    return model


def test_an_output_is_chosen_by_name_and_other_inputs_get_their_value(capsys, tree):
    onnx.save(with_other_ends(), tree / "ends.onnx")
    description = (tree / "own.toml").read_text()
    ends = description.replace(
        'root = "."', 'root = "."\noutput_layout = "nhwc"\ninputs = { factor = 2.5, form = [1, 4, 8, 20] }'
    )
    (tree / "ends.toml").write_text(ends)
    expected = evaluated(capsys, tree / "other.onnx", "--data", tree / "own.toml")
    assert evaluated(capsys, tree / "ends.onnx", "--data", tree / "ends.toml", "--output", "main") == expected
    (tree / "named.toml").write_text(ends.replace('root = "."', 'root = "."\noutput = "main"'))
    assert evaluated(capsys, tree / "ends.onnx", "--data", tree / "named.toml") == expected


@pytest.mark.parametrize(
    ("keys", "arguments", "words"),
    [
        (
            "inputs = { factor = 1, form = [1, 4, 8, 20] }",
            ["--output", "mian"],
            "unknown output 'mian'; did you mean 'main'?",
        ),
        (
            "inputs = { factor = 1, form = [1, 4, 8, 20] }",
            ["--output", "main"],
            "output 'main' is 1 x 4 x 8 x 20, which may be N, H, W, C",
        ),
        (
            "",
            [],
            "the model has 3 inputs ('factor', 'form', 'image'), but images need exactly one; give every other input",
        ),
        (
            "inputs = { factor = [1, 2], form = [1, 4, 8, 20] }",
            [],
            "the value of input 'factor' does not fit float32 (20)",
        ),
        ('inputs = { factor = "1" }', [], "inputs.factor should be a number, or a list of numbers or lists"),
        ('output_layout = "hwc"', [], "output_layout"),
    ],
    ids=["output", "layout", "no value", "shape", "text", "unknown layout"],
)
def test_what_is_wrong_with_the_ends_of_a_model_is_one_sentence(capsys, tree, keys, arguments, words):
    onnx.save(with_other_ends(), tree / "ends.onnx")
    description = (tree / "own.toml").read_text().replace('root = "."', f'root = "."\n{keys}')
    (tree / "ends.toml").write_text(description)
    assert run(["eval", str(tree / "ends.onnx"), "--data", str(tree / "ends.toml"), *arguments]) == 1
    assert words in capsys.readouterr().err


def test_score_reads_the_output_and_feeds_the_inputs_that_the_description_states(capsys, tree):
    onnx.save(with_other_ends(), tree / "ends.onnx")
    ends = (tree / "own.toml").read_text()
    stated = ends.replace(
        'root = "."',
        'root = "."\noutput = "main"\noutput_layout = "nhwc"\ninputs = { factor = 2.5, form = [1, 4, 8, 20] }',
    )
    (tree / "variants.toml").write_text(f"""
        {stated}
        [model]
        path = "ends.onnx"
        [score]
        batch = [1]
        [[variant]]
        name = "as it is"
    """)
    expected = evaluated(capsys, tree / "other.onnx", "--data", tree / "own.toml")
    code = run(["score", str(tree / "variants.toml"), "--run", str(tree / "run"), "--rounds", "5", "--format", "json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    (row,) = json.loads(captured.out)["rows"]
    assert (row["status"], row["pixAcc"]) == ("ok", expected["pixAcc"])
    assert row["fps"] == pytest.approx(1000 / row["median_ms"], rel=0.01)


def test_fastscnn_on_camvid_scores_as_measured_independently(capsys, tmp_path, real_data):
    pytest.importorskip("torch", reason="reading a checkpoint needs torch")
    checkpoint, model = real_data / "weights" / "fast_scnn_tramac_layout.pth", tmp_path / "model.onnx"
    assert run(["export", str(checkpoint), "-o", str(model), "--height", "768", "--width", "1024"]) == 0
    (tmp_path / "camvid.toml").write_text(f"""
        [data]
        preset = "camvid"
        root = "{real_data / "camvid"}"
        classes = "cityscapes"
        label_map = {{ 0=10, 1=2, 2=5, 3=0, 4=1, 5=8, 6=7, 7=4, 8=13, 9=11, 10=12 }}

        [data.preprocess]
        resize = "stretch"
    """)
    capsys.readouterr()
    figures = evaluated(capsys, model, "--data", tmp_path / "camvid.toml")
    assert figures["images"] == 12
    assert figures["pixAcc"] == pytest.approx(0.8859, abs=0.0005)
    assert figures["mIoU"] == pytest.approx(0.4241, abs=0.0005)
    assert figures["mIoU_all"] == pytest.approx(0.3348, abs=0.0005)
