"""The verb `eval`, from the outside."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import parse
from onnx.reference import ReferenceEvaluator

from fastscnn_opt.cli.main import run
from fastscnn_opt.demo.scene_files import write_cityscapes
from fastscnn_opt.demo.scenes import render_scene

HEIGHT, WIDTH = 32, 64


def linear_model(inputs="float[1,3,32,64] image", output="float[1,19,32,64] output1", classes=19) -> onnx.ModelProto:
    """Logits as a linear function of the colours, with fixed weights that tell classes apart somehow."""
    weights = np.random.default_rng(3).standard_normal((classes, 3, 1, 1)).astype(np.float32)
    model = parse(f"linear ({inputs}) => ({output}) {{ output1 = Conv(image, w) }}")
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    return model


@pytest.fixture
def model(tmp_path) -> Path:
    onnx.save(linear_model(), tmp_path / "linear.onnx")
    return tmp_path / "linear.onnx"


@pytest.fixture
def tree(tmp_path) -> Path:
    write_cityscapes(tmp_path / "tree", "val", range(3), height=HEIGHT, width=WIDTH)
    return tmp_path / "tree"


def expected_counts(count: int) -> np.ndarray:
    """Count the pixels of scenes in plain numpy, with the reference implementation of ONNX."""
    evaluator = ReferenceEvaluator(linear_model())
    counts = np.zeros((19, 19), np.int64)
    for seed in range(count):
        image, label = render_scene(seed, height=HEIGHT, width=WIDTH)
        feed = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        logits = evaluator.run(None, {"image": feed.transpose(2, 0, 1)[None].astype(np.float32)})[0]
        valid = label != 255
        np.add.at(counts, (label[valid], logits.argmax(axis=1)[0][valid]), 1)
    return counts


def evaluated(capsys, *arguments) -> dict:
    code = run(["eval", *map(str, arguments), "--format", "json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


def failed(capsys, *arguments, code=1) -> str:
    assert run(["eval", *map(str, arguments)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert code == 2 or captured.err.count("\n") == 1
    return captured.err


def test_the_figures_of_a_tree_follow_from_one_confusion_matrix(capsys, model, tree):
    figures = evaluated(capsys, model, "--data", tree, "--split", "val")
    counts = expected_counts(3)
    union = counts.sum(0) + counts.sum(1) - counts.diagonal()
    iou = counts.diagonal()[union > 0] / union[union > 0]
    assert set(figures) == {"pixAcc", "mIoU", "mIoU_all", "iou", "images", "pixels"}
    assert figures["pixAcc"] == pytest.approx(counts.trace() / counts.sum(), abs=1e-3)
    assert figures["mIoU"] == pytest.approx(iou.mean(), abs=1e-3)
    assert figures["mIoU_all"] == pytest.approx(iou.sum() / 19, abs=1e-3)
    assert (figures["images"], figures["pixels"]) == (3, counts.sum())
    assert len(figures["iou"]) == 19


def test_scenes_in_memory_score_as_the_same_scenes_on_disk(capsys, model, tree):
    on_disk = evaluated(capsys, model, "--data", tree)
    assert evaluated(capsys, model, "--synthetic", 3) == on_disk


def test_the_seed_chooses_the_scenes(capsys, model):
    first = evaluated(capsys, model, "--synthetic", 1)
    assert evaluated(capsys, model, "--synthetic", 1, "--seed", 5) != first


def test_a_limit_scores_the_first_images(capsys, model, tree):
    assert evaluated(capsys, model, "--data", tree, "--limit", 2)["images"] == 2


def test_an_open_batch_scores_alike_for_any_number(capsys, tmp_path, tree):
    onnx.save(linear_model("float[N,3,H,W] image", "float[N,19,H,W] output1"), tmp_path / "open.onnx")
    alone = evaluated(capsys, tmp_path / "open.onnx", "--data", tree)
    assert evaluated(capsys, tmp_path / "open.onnx", "--data", tree, "--batch", 2) == alone


def test_the_table_shows_every_class_and_both_means(capsys, model):
    assert run(["eval", str(model), "--synthetic", "1"]) == 0
    shown = capsys.readouterr().out
    for word in ("linear.onnx on 1 synthetic scene from seed 0", "traffic light", "pixAcc", "mIoU ", "mIoU_all"):
        assert word in shown


@pytest.mark.parametrize("sources", [[], ["--data", "tree", "--synthetic", "1"]])
def test_exactly_one_source_is_wanted(capsys, model, sources):
    assert "--data ROOT or --synthetic N" in failed(capsys, model, *sources, code=2)


def test_markdown_is_one_table_with_the_outcome_of_the_gate(capsys, model):
    assert run(["eval", str(model), "--synthetic", "1", "--format", "md", "--min-miou", "99"]) == 3
    printed = capsys.readouterr().out
    found = evaluated(capsys, model, "--synthetic", 1)
    assert f"| mIoU | {100 * found['mIoU']:.2f} |" in " ".join(printed.split(" ")).replace("  ", " ")
    assert f"| IoU road | {100 * found['iou']['road']:.2f} |" in printed
    assert "**Gate: failed**" in printed


def test_a_missing_model_is_named(capsys, tmp_path):
    assert "nothing.onnx" in failed(capsys, tmp_path / "nothing.onnx", "--synthetic", 1)


def test_a_misspelt_split_is_answered_before_any_engine_starts(capsys, model, tree):
    assert "did you mean 'val'?" in failed(capsys, model, "--data", tree, "--split", "vall")


def test_a_damaged_image_is_named(capsys, model, tree):
    image = sorted(tree.glob("leftImg8bit/*/*/*.png"))[1]
    image.write_bytes(image.read_bytes()[:300])
    assert image.name in failed(capsys, model, "--data", tree)


def test_a_misspelt_target_is_answered_with_the_nearest(capsys, model):
    assert "did you mean 'onnxruntime'?" in failed(capsys, model, "--synthetic", 1, "--target", "onnxruntme")


def test_a_batch_beside_the_models_is_refused(capsys, model):
    assert "batch is fixed at 1" in failed(capsys, model, "--synthetic", 2, "--batch", 2)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (linear_model("float[1,3,16,64] image", "float[1,19,16,64] output1"), "but the images are 32 x 64"),
        (
            parse("flat (float[1,3,32,64] image) => (float[1,6144] y) { y = Flatten(image) }"),
            "float32 (1, 6144), which is",
        ),
        (linear_model("float[1,3,32,64] image, float[1] scale"), "2 inputs ('image', 'scale')"),
    ],
    ids=["size", "output", "inputs"],
)
def test_a_model_that_does_not_fit_is_refused(capsys, tmp_path, tree, broken, words):
    onnx.save(broken, tmp_path / "broken.onnx")
    message = failed(capsys, tmp_path / "broken.onnx", "--data", tree)
    assert words in message
    assert "broken.onnx: " in message


def test_a_pooling_that_no_engine_has_is_named_with_its_cure(capsys, tmp_path):
    model = parse("""
        pooled (float[1,3,32,64] image) => (float[1,3,2,2] output1)
        { [pyramid] output1 = AdaptiveAvgPool2d<output_size = [2, 2]>(image) }
    """)
    (tmp_path / "pooled.onnx").write_bytes(model.SerializeToString())
    message = failed(capsys, tmp_path / "pooled.onnx", "--synthetic", 1)
    assert "'pyramid'" in message
    assert "--passes adaptive-avgpool" in message


def test_a_failure_while_running_is_one_error(capsys, tmp_path):
    model = parse("""
        failing (float[1,3,32,64] image) => (float[1,19,32,64] output1)
        {
            size = Shape(image)
            twice = Add(size, size)
            [misfit] output1 = Reshape(image, twice)
        }
    """)
    onnx.save(model, tmp_path / "failing.onnx")
    assert "failing.onnx" in failed(capsys, tmp_path / "failing.onnx", "--synthetic", 1)


def test_the_real_network_scores_as_measured_independently(capsys, tmp_path, real_data):
    from fastscnn_opt.model.adaptive_pooling import expand_adaptive_pooling
    from fastscnn_opt.model.loading import load_model
    from fastscnn_opt.model.saving import save_model
    from fastscnn_opt.network.export import export_checkpoint

    checkpoint = real_data / "weights" / "fast_scnn_tramac_layout.pth"
    save_model(export_checkpoint(checkpoint), tmp_path / "exported.onnx")
    save_model(expand_adaptive_pooling(load_model(tmp_path / "exported.onnx")), tmp_path / "runnable.onnx")
    figures = evaluated(capsys, tmp_path / "runnable.onnx", "--data", real_data / "cityscapes")
    # PyTorch with true adaptive pooling, on the same eight images.
    assert figures["pixAcc"] == pytest.approx(0.9596, abs=1e-4)
    assert figures["mIoU_all"] == pytest.approx(0.5472, abs=1e-4)
