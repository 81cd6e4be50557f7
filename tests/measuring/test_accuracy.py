"""Counting what a model answers, on sessions and datasets made of numpy alone.

The red channel of an image holds ten times the class of its pixel, so a session can tell the right answer.
"""

import threading
from typing import ClassVar

import numpy as np
import pytest

from fastscnn_opt.data.dataset import Sample
from fastscnn_opt.data.preprocess import Interface
from fastscnn_opt.data.presets import preset_classes
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import DataError, ModelError
from fastscnn_opt.measuring.accuracy import evaluate_session
from fastscnn_opt.measuring.predicting import Setup
from fastscnn_opt.measuring.session import TensorSpec

SIZE = (4, 6)


class Scenes:
    """Images whose label is known from the red channel; the first pixel of each is ignored."""

    classes = preset_classes("cityscapes")
    prediction_map: ClassVar[dict[int, int]] = {}
    threshold = None

    def __init__(self, count, size=SIZE, ignore=False):
        self.size = size
        rng = np.random.default_rng(0)
        self.labels = rng.integers(0, 19, (count, *size), dtype=np.uint8)
        self.images = np.stack([self.labels * 10, *rng.integers(0, 256, (2, count, *size), dtype=np.uint8)], axis=-1)
        self.labels[:, 0, 0] = 255
        if ignore:
            self.labels[:] = 255
        self.names = tuple(f"scene {index}" for index in range(count))

    def __len__(self):
        return len(self.names)

    def load(self, index):
        return Sample(self.names[index], self.images[index], self.labels[index])

    def fingerprint(self):
        return "scenes"


class Engine:
    """Reads the red channel back and answers as a model of the given signature would."""

    def __init__(self, input_spec, answer, output="output1"):
        self.inputs = (TensorSpec("image", *input_spec),)
        self.outputs = (TensorSpec(output, (), ""), TensorSpec("auxiliary", (), ""))
        self.answer = answer
        self.feeds = []

    def run(self, feeds):
        feed = feeds["image"]
        self.feeds.append(feed.copy())
        channels_last = feed.shape[3] == 3
        red = (feed[..., 0] if channels_last else feed[:, 0]).astype(np.float64)
        value = red if feed.dtype == np.uint8 else (red * 0.229 + 0.485) * 255
        return {"output1": self.answer(np.rint(value / 10).astype(np.int64)), "auxiliary": np.zeros(3)}

    def close(self):
        pass


def one_hot(dtype=np.float32, classes=19):
    return lambda labels: np.eye(classes, dtype=dtype)[labels].transpose(0, 3, 1, 2)


NCHW, NHWC = (2, 3, *SIZE), (2, *SIZE, 3)


@pytest.mark.parametrize(
    "input_spec", [(NCHW, "float32"), (NCHW, "float16"), (NCHW, "uint8"), (NHWC, "uint8")], ids=str
)
def test_every_kind_of_input_gets_the_images(input_spec):
    accuracy = evaluate_session(Engine(input_spec, one_hot()), Scenes(4))
    assert accuracy.confusion.pix_acc == 1
    assert accuracy.confusion.pixels == 4 * (SIZE[0] * SIZE[1] - 1)


@pytest.mark.parametrize(
    "answer",
    [
        one_hot(np.float16),
        one_hot(np.float64),
        lambda labels: labels,
        lambda labels: labels[:, None].astype(np.int32),
        lambda labels: labels.astype(np.uint8),
        lambda labels: labels.astype(np.uint16),
        lambda labels: one_hot()(labels).repeat(2, axis=2).repeat(2, axis=3),
        lambda labels: labels.repeat(3, axis=1).repeat(3, axis=2),
    ],
    ids=[
        *("float16 logits", "float64 logits", "int64 N,H,W", "int32 N,1,H,W", "uint8 N,H,W", "uint16 N,H,W"),
        *("larger logits", "larger labels"),
    ],
)
def test_every_kind_of_output_is_read(answer):
    assert evaluate_session(Engine((NCHW, "float32"), answer), Scenes(4)).confusion.pix_acc == 1


def test_a_float_input_is_normalised():
    engine = Engine(((1, 3, *SIZE), "float32"), one_hot())
    scenes = Scenes(1)
    evaluate_session(engine, scenes)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = ((scenes.images / 255 - mean) / std).transpose(0, 3, 1, 2)
    assert np.allclose(engine.feeds[0], expected, rtol=0, atol=1e-6)


def test_the_last_batch_is_filled_up_and_the_filling_is_not_counted():
    engine = Engine(((4, 3, *SIZE), "uint8"), one_hot())
    accuracy = evaluate_session(engine, Scenes(6))
    assert accuracy.images == 6
    assert accuracy.confusion.pixels == 6 * (SIZE[0] * SIZE[1] - 1)
    assert [feed.shape[0] for feed in engine.feeds] == [4, 4]
    assert (engine.feeds[1][2:] == engine.feeds[1][1]).all()


def test_mistakes_land_in_their_cells():
    scenes = Scenes(3)
    accuracy = evaluate_session(Engine((NCHW, "uint8"), lambda labels: (labels + 1) % 19), scenes)
    expected = np.zeros((19, 20), np.int64)
    for label in scenes.labels[scenes.labels != 255].tolist():
        expected[label, (label + 1) % 19] += 1
    assert (accuracy.confusion.counts == expected).all()


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_an_open_batch_takes_any_number(batch):
    engine = Engine(((-1, 3, -1, -1), "float32"), one_hot())
    assert evaluate_session(engine, Scenes(4), batch=batch).confusion.pix_acc == 1
    assert engine.feeds[0].shape == (batch or 1, 3, *SIZE)


def test_progress_adds_up_to_the_images():
    steps = []
    evaluate_session(Engine((NCHW, "uint8"), one_hot()), Scenes(5), on_image=steps.append)
    assert steps == [2, 2, 1]


def test_json_has_the_figures_of_eval():
    figures = evaluate_session(Engine((NCHW, "uint8"), one_hot()), Scenes(4)).to_json()
    assert set(figures) == {"pixAcc", "mIoU", "mIoU_all", "iou", "images", "pixels"}
    assert figures["images"] == 4


def test_an_error_of_the_engine_leaves_no_thread():
    def fail(_labels):
        raise RuntimeError("out of order")

    with pytest.raises(RuntimeError, match="out of order"):
        evaluate_session(Engine((NCHW, "uint8"), fail), Scenes(50))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.mark.parametrize(("count", "words"), [(1, "1 image"), (2, "2 images")])
def test_images_without_any_labelled_pixel_are_no_basis(count, words):
    with pytest.raises(DataError, match=f"there is no labelled pixel in {words};"):
        evaluate_session(Engine((NCHW, "uint8"), one_hot()), Scenes(count, ignore=True))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda labels: labels > 3, r"is bool \(4, 6\) for each image, which is neither logits"),
        (lambda labels: labels[:, None, None], r"is int64 \(1, 1, 4, 6\) for each image, which is neither"),
        (lambda labels: labels[..., 0].astype(np.float32), r"is float32 \(2, 4\), which is neither logits N, C, H, W"),
        (lambda labels: labels[:1], r"is int64 \(1, 4, 6\), which is neither .* of 2 images"),
        (lambda labels: labels - 20, "holds the class -20"),
    ],
)
def test_an_output_that_is_no_segmentation_is_refused(answer, words):
    with pytest.raises(ModelError, match=f"output 'output1' {words}"):
        evaluate_session(Engine((NCHW, "uint8"), answer), Scenes(2))


@pytest.mark.parametrize("answer", [lambda labels: labels + 19, lambda labels: one_hot(classes=40)(labels + 19)])
def test_classes_beyond_those_of_the_data_are_wrong_everywhere(answer):
    confusion = evaluate_session(Engine((NCHW, "uint8"), answer), Scenes(2)).confusion
    assert confusion.pix_acc == 0
    assert confusion.counts[:, 19].sum() == confusion.pixels


def test_another_output_is_read_by_name():
    setup = Setup.of(Scenes(1), interface=Interface(output="auxiliary"))
    engine = Engine((NCHW, "uint8"), one_hot())
    engine.run = lambda _feeds: {"output1": np.zeros(3), "auxiliary": one_hot()(np.zeros((2, *SIZE), np.int64))}
    assert evaluate_session(engine, Scenes(2), setup).confusion.counts[:, 1:].sum() == 0


@pytest.mark.parametrize("classes", [19, 4])
def test_logits_with_their_classes_last_are_read_where_that_is_stated(classes):
    def answer(labels):
        return np.eye(40, dtype=np.float32)[labels][..., :classes]

    stated = Setup.of(Scenes(2), interface=Interface(output_layout="nhwc"))
    confusion = evaluate_session(Engine((NCHW, "uint8"), answer), Scenes(2), stated).confusion
    labels = Scenes(2).labels[Scenes(2).labels < 19]
    assert confusion.counts.trace() == np.count_nonzero(labels < classes)
    with pytest.raises(
        ModelError, match=rf"is 2 x 4 x 6 x {classes}, which may be N, H, W, C; say output_layout = .nhwc"
    ):
        evaluate_session(Engine((NCHW, "uint8"), answer), Scenes(2))


def test_as_many_classes_as_rows_are_read_as_stated():
    scenes = Scenes(2, size=(19, 19))
    answers = {"nchw": one_hot(), "nhwc": lambda labels: np.eye(19, dtype=np.float32)[labels]}
    for layout, answer in answers.items():
        setup = Setup.of(scenes, interface=Interface(output_layout=layout))
        assert evaluate_session(Engine(((2, 19, 19, 3), "uint8"), answer), scenes, setup).confusion.pix_acc == 1


def test_labels_with_a_channel_behind_are_read_where_that_is_stated():
    setup = Setup.of(Scenes(2), interface=Interface(output_layout="nhwc"))
    assert (
        evaluate_session(Engine((NCHW, "uint8"), lambda labels: labels[..., None]), Scenes(2), setup).confusion.pix_acc
        == 1
    )


def test_more_than_256_classes_are_told_apart():
    setup = Setup.of(Scenes(2))
    answer = one_hot(classes=300)
    confusion = evaluate_session(
        Engine((NCHW, "uint8"), lambda labels: answer(labels + 256)), Scenes(2), setup
    ).confusion
    assert confusion.counts[:, 19].sum() == confusion.pixels


def test_an_output_that_is_not_there_is_answered_with_the_nearest():
    with pytest.raises(ModelError, match="unknown output 'auxilary'; did you mean 'auxiliary'"):
        evaluate_session(
            Engine((NCHW, "uint8"), one_hot()), Scenes(2), Setup.of(Scenes(1), interface=Interface(output="auxilary"))
        )


def test_images_of_several_sizes_are_fed_one_by_one_to_an_open_input():
    scenes = Scenes(4)
    small = Sample("small", scenes.images[1][:2], scenes.labels[1][:2])
    load = scenes.load
    scenes.load = lambda index: small if index == 1 else load(index)
    engine = Engine(((-1, -1, -1, 3), "uint8"), one_hot())
    assert evaluate_session(engine, scenes, batch=2).confusion.pix_acc == 1
    assert [feed.shape[1] for feed in engine.feeds] == [4, 2, 4]


def test_images_of_several_sizes_are_not_timed_twice():
    scenes = Scenes(2)
    small = Sample("small", scenes.images[1][:2], scenes.labels[1][:2])
    load = scenes.load
    scenes.load = lambda index: small if index == 1 else load(index)
    engine = Engine(((-1, -1, -1, 3), "uint8"), one_hot())
    times = evaluate_session(engine, scenes, batch=2).stages.samples_ms
    assert {stage: len(samples) for stage, samples in times.items()} == {
        "decode": 2,
        "preprocess": 2,
        "infer": 2,
        "post": 2,
    }


def test_scenes_are_scored_in_the_size_of_the_model():
    dataset = DataSource(synthetic=2).open(scene_size=(32, 64))
    engine = Engine(((1, 3, 32, 64), "uint8"), np.zeros_like)
    accuracy = evaluate_session(engine, dataset)
    labels = np.stack([dataset.load(index).label for index in range(2)])
    assert accuracy.confusion.pix_acc == pytest.approx((labels == 0).sum() / (labels != 255).sum())


def test_every_stage_is_timed_once_per_image_or_batch():
    scenes = Scenes(3)
    accuracy = evaluate_session(Engine((NCHW, "uint8"), one_hot()), scenes)
    assert {stage: len(times) for stage, times in accuracy.stages.samples_ms.items()} == {
        "decode": 3,
        "preprocess": 2,
        "infer": 2,
        "post": 2,
    }


def test_predictions_are_handed_on_in_order():
    scenes, seen = Scenes(3), []
    evaluate_session(Engine((NCHW, "uint8"), one_hot()), scenes, on_prediction=seen.append)
    assert len(seen) == 3
    for prediction, image in zip(seen, scenes.images, strict=True):
        np.testing.assert_array_equal(prediction, image[..., 0] // 10)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(("value", "infinite"), [(np.inf, True), (-np.inf, True), (60000, False)])
def test_runs_whose_output_holds_infinities_are_counted(dtype, value, infinite):
    def answer(labels):
        logits = one_hot(dtype)(labels)
        logits[0, 3, 0, 0] = value
        return logits

    engine = Engine(((1, 3, *SIZE), "float32"), answer)
    assert list(evaluate_session(engine, Scenes(2)).infinite) == [infinite, infinite]
