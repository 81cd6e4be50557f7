"""The training of the demo network: its schedule, its average, and what it writes."""

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

torch = pytest.importorskip("torch", reason="training needs torch")

from fastscnn_opt.demo import training  # noqa: E402 - only where torch is
from fastscnn_opt.demo.network import fold_casts  # noqa: E402 - only where torch is
from fastscnn_opt.network.checkpoint import load_checkpoint  # noqa: E402 - only where torch is
from fastscnn_opt.network.export import build_model  # noqa: E402 - only where torch is


@pytest.fixture
def small(monkeypatch):
    """Train on crops and frames of 64x64."""
    for name in ("CROP", "FRAME"):
        monkeypatch.setattr(training, name, (64, 64))
    monkeypatch.setattr(training, "CROP_BATCH", 2)


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
def test_batch_norm_is_frozen_on_whole_frames(scenes):
    ending = training.Training(minutes=1)
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


@pytest.fixture(scope="module")
def trained(tmp_path_factory, scenes):
    """Train for one step into a folder."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "CROP", (64, 64))
        patch.setattr(training, "rendered", lambda *_: scenes)
        patch.setattr(training, "evaluate", lambda *_: {"mIoU": 0.5})
        patch.setattr(training, "LOG_STEPS", 1)
        training.train(folder, minutes=1e-6, scenes=3, threads=torch.get_num_threads())
    return folder


def test_the_log_has_losses_and_the_final_figures(trained):
    rows = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert [set(row) for row in rows] == [{"step", "minutes", "loss", "lr"}, {"step", "minutes", "phase", "mIoU"}]


def test_the_written_network_is_the_written_checkpoint_in_float16(trained):
    written = load_checkpoint(trained / "demo.pth")
    exact = build_model(written.layout, written.weights, heads=written.heads)
    expected = {tensor.name: numpy_helper.to_array(tensor) for tensor in exact.graph.initializer}
    for tensor in fold_casts(onnx.load(trained / "demo.onnx")).graph.initializer:
        values = expected.pop(tensor.name)
        rounded = values.astype(np.float16).astype(np.float32) if values.ndim and values.dtype == np.float32 else values
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), rounded)
    assert expected == {}
