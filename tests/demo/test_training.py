import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

torch = pytest.importorskip("torch", reason="training needs torch")

from fastscnn_opt.data.preprocess import normalise  # noqa: E402 - only where torch is
from fastscnn_opt.demo import training  # noqa: E402 - only where torch is
from fastscnn_opt.demo.network import fold_casts  # noqa: E402 - only where torch is
from fastscnn_opt.demo.scenes import render_scene  # noqa: E402 - only where torch is
from fastscnn_opt.demo.training_loss import interpolated_at, segmentation_loss, total_loss  # noqa: E402 - only where torch is
from fastscnn_opt.demo.training_scenes import Scenes, class_frequencies, normalised, random_crops, rendered  # noqa: E402 - only where torch is
from fastscnn_opt.network.checkpoint import load_checkpoint  # noqa: E402 - only where torch is
from fastscnn_opt.network.export import build_model  # noqa: E402 - only where torch is


@pytest.fixture
def scenes():
    """Three scenes of 64x96 whose pixels tell their scene, row and column."""
    scene, row, column = np.indices((3, 64, 96), dtype=np.uint8)
    return Scenes(np.stack([scene, row, column], axis=-1), (column // 6).astype(np.uint8))


@pytest.fixture
def small(monkeypatch):
    """Train on crops and frames of 64x64."""
    for name in ("CROP", "FRAME"):
        monkeypatch.setattr(training, name, (64, 64))
    monkeypatch.setattr(training, "CROP_BATCH", 2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_crop_is_a_part_of_a_scene_or_its_mirror_image(scenes):
    images, labels = random_crops(scenes, (32, 48), 16, generator())
    mirrored = 0
    for image, label in zip(images.numpy(), labels.numpy(), strict=True):
        scene, row, column = image[:, 0, :].min(axis=1)
        part = scenes.images[scene, row : row + 32, column : column + 48].transpose(2, 0, 1)
        expected = scenes.labels[scene, row : row + 32, column : column + 48]
        if image[2, 0, 0] > image[2, 0, 1]:
            mirrored += 1
            part, expected = part[..., ::-1], expected[..., ::-1]
        np.testing.assert_array_equal(image, part)
        np.testing.assert_array_equal(label, expected)
    assert 0 < mirrored < 16


def test_scenes_are_rendered_once(tmp_path, monkeypatch):
    first = rendered(tmp_path, 2_000_000, 1, processes=1)
    image, label = render_scene(2_000_000)
    np.testing.assert_array_equal(first.images[0], image)
    np.testing.assert_array_equal(first.labels[0], label)
    monkeypatch.setattr("fastscnn_opt.demo.training_scenes.ProcessPoolExecutor", None)
    assert len(rendered(tmp_path, 2_000_000, 1, processes=1)) == 1


def test_class_frequencies_leave_ignored_pixels_out():
    labels = np.full((1, 8, 8), 255, dtype=np.uint8)
    labels[0, :1], labels[0, 1:4] = 3, 18
    frequencies = class_frequencies(Scenes(np.zeros((1, 8, 8, 3), np.uint8), labels), step=1)
    assert {index: share for index, share in enumerate(frequencies) if share} == {3: 0.25, 18: 0.75}


def test_images_are_normalised_as_in_evaluation():
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    found = normalised(torch.from_numpy(images).permute(0, 3, 1, 2))
    np.testing.assert_allclose(found.numpy(), normalise(images), rtol=0, atol=1e-5)


def test_interpolation_at_some_pixels_is_that_of_the_whole_image():
    logits = torch.randn(2, 3, 8, 16, generator=generator())
    rows, columns = torch.tensor([0, 5, 63]), torch.tensor([1, 2, 77, 127])
    whole = torch.nn.functional.interpolate(logits, size=(64, 128), mode="bilinear", align_corners=True)
    found = interpolated_at(logits, (64, 128), rows, columns)
    torch.testing.assert_close(found, whole[:, :, rows][..., columns], rtol=1e-4, atol=1e-5)


def test_the_loss_is_weighted_cross_entropy_plus_mean_dice():
    random = np.random.default_rng(5)
    logits = random.normal(size=(2, 19, 3, 4))
    labels = random.choice([0, 4, 255], size=(2, 3, 4))
    weights = random.uniform(0.5, 2, 19)
    exponentials = np.exp(logits)
    probabilities = (exponentials / exponentials.sum(axis=1, keepdims=True)).transpose(0, 2, 3, 1)[labels != 255]
    truth = labels[labels != 255]
    right = probabilities[np.arange(len(truth)), truth]
    entropy = -(weights[truth] * np.log(right)).sum() / weights[truth].sum()
    sizes = {label: probabilities[:, label].sum() + (truth == label).sum() for label in (0, 4)}
    dice = [1 - 2 * right[truth == label].sum() / size for label, size in sizes.items()]
    found = segmentation_loss(*(torch.from_numpy(value) for value in (logits, labels, weights)))
    assert float(found) == pytest.approx(entropy + np.mean(dice))


def test_a_perfect_answer_costs_next_to_nothing():
    labels = torch.arange(16).view(1, 4, 4)
    logits = torch.nn.functional.one_hot(labels, 19).permute(0, 3, 1, 2).float() * 50
    assert float(total_loss((logits, logits, logits), labels, torch.ones(19), 1, generator())) < 1e-4


def test_auxiliary_heads_count_two_fifths():
    labels = torch.arange(16).view(1, 4, 4)
    perfect = torch.nn.functional.one_hot(labels, 19).permute(0, 3, 1, 2).float() * 50
    undecided = torch.zeros(1, 19, 4, 4)
    loss = total_loss((perfect, undecided, undecided), labels, torch.ones(19), 1, generator())
    assert float(loss) == pytest.approx(0.8 * np.log(19), abs=1e-4)


def test_the_learning_rate_rises_and_falls_to_zero():
    rates = [training.learning_rate(progress / 100) for progress in range(101)]
    peak = rates.index(max(rates))
    assert max(rates) == training.LEARNING_RATE
    assert rates == sorted(rates[:peak]) + sorted(rates[peak:], reverse=True)
    assert rates[-1] == 0


def test_the_average_moves_towards_the_network():
    average, network = torch.nn.BatchNorm2d(1), torch.nn.BatchNorm2d(1)
    network.running_mean.fill_(10)
    network.num_batches_tracked.fill_(4)
    training.update_average(average, network, 0.9)
    assert float(average.running_mean) == pytest.approx(1)
    assert int(average.num_batches_tracked) == 4


def test_class_weights_leave_the_mean_weight_of_a_pixel_at_one():
    frequencies = np.array([0.64, 0.36])
    weights = training.weights_of(frequencies).numpy()
    assert (weights * frequencies).sum() == pytest.approx(1)
    assert weights[1] / weights[0] == pytest.approx(0.8 / 0.6)


@pytest.mark.usefixtures("small")
def test_a_resumed_training_goes_on_as_if_never_interrupted(tmp_path, scenes):
    whole = training.Training(tmp_path, minutes=1)
    whole.advance(scenes, torch.ones(19))
    whole.save()
    expected = whole.advance(scenes, torch.ones(19))
    resumed = training.Training(tmp_path, minutes=1)
    resumed.restore()
    assert resumed.advance(scenes, torch.ones(19)) == pytest.approx(expected, rel=1e-3)
    assert resumed.step == whole.step == 2


@pytest.mark.usefixtures("small")
def test_batch_norm_is_frozen_on_whole_frames(tmp_path, scenes):
    ending = training.Training(tmp_path, minutes=1)
    ending.elapsed = 0.9
    before = ending.network.state_dict()["learning_to_downsample.conv.bn.running_mean"].clone()
    ending.advance(scenes, torch.ones(19))
    torch.testing.assert_close(ending.network.state_dict()["learning_to_downsample.conv.bn.running_mean"], before)


def test_evaluation_counts_pixels_in_one_confusion_matrix(scenes):
    class Constant(torch.nn.Module):
        def forward(self, image):
            return (torch.nn.functional.one_hot(torch.full(image.shape[2:], 2), 19).permute(2, 0, 1)[None].float(),)

    figures = training.evaluate(Constant(), scenes)
    assert figures["pixAcc"] == pytest.approx(1 / 16)
    assert figures["mIoU"] == pytest.approx(1 / 16 / 16, abs=1e-4)
    assert figures["iou"]["building"] == pytest.approx(1 / 16)
    assert "bicycle" not in figures["iou"]


@pytest.fixture
def trained(tmp_path, scenes, monkeypatch):
    """Train for one step into a folder."""
    monkeypatch.setattr(training, "CROP", (64, 64))
    monkeypatch.setattr(training, "rendered", lambda *_: scenes)
    monkeypatch.setattr(training, "evaluate", lambda *_: {"mIoU": 0.5})
    monkeypatch.setattr(training, "LOG_STEPS", 1)
    training.train(training.Options(tmp_path, minutes=1e-6, threads=torch.get_num_threads()))
    return tmp_path


def test_the_log_has_losses_and_the_final_figures(trained):
    rows = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert [set(row) for row in rows] == [{"step", "minutes", "loss", "lr"}, {"step", "minutes", "phase", "mIoU"}]


def test_the_written_network_is_the_written_checkpoint_in_float16(trained):
    layout, state = load_checkpoint(trained / "demo.pth")
    weights = {key: value.numpy() for key, value in state.items()}
    exact = build_model(layout, weights, heads=layout.auxiliary_heads)
    expected = {tensor.name: numpy_helper.to_array(tensor) for tensor in exact.graph.initializer}
    for tensor in fold_casts(onnx.load(trained / "demo.onnx")).graph.initializer:
        values = expected.pop(tensor.name)
        rounded = values.astype(np.float16).astype(np.float32) if values.ndim and values.dtype == np.float32 else values
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), rounded)
    assert expected == {}
