"""Feeding images and reading outputs, on sessions and datasets made of numpy alone.

The red channel of an image holds ten times the class of its pixel, so a session can tell the right answer.
"""

import threading

import numpy as np
import pytest

from fastscnn_opt.data.dataset import Sample
from fastscnn_opt.data.prefetch import prefetch
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import DataError, ModelError
from fastscnn_opt.measuring.accuracy import evaluate, image_input, model_size
from fastscnn_opt.measuring.session import TensorSpec

SIZE = (4, 6)


class Scenes:
    """Images whose label is known from the red channel; the first pixel of each is ignored."""

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

    def samples(self, workers=1):
        return prefetch(self.load, len(self), workers)

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
    accuracy = evaluate(Engine(input_spec, one_hot()), Scenes(4))
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
    ],
    ids=["float16 logits", "float64 logits", "int64 N,H,W", "int32 N,1,H,W", "uint8 N,H,W"],
)
def test_every_kind_of_output_is_read(answer):
    assert evaluate(Engine((NCHW, "float32"), answer), Scenes(4)).confusion.pix_acc == 1


def test_a_float_input_is_normalised():
    engine = Engine(((1, 3, *SIZE), "float32"), one_hot())
    scenes = Scenes(1)
    evaluate(engine, scenes)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = ((scenes.images / 255 - mean) / std).transpose(0, 3, 1, 2)
    assert np.allclose(engine.feeds[0], expected, rtol=0, atol=1e-6)


def test_the_last_batch_is_filled_up_and_the_filling_is_not_counted():
    engine = Engine(((4, 3, *SIZE), "uint8"), one_hot())
    accuracy = evaluate(engine, Scenes(6))
    assert accuracy.images == 6
    assert accuracy.confusion.pixels == 6 * (SIZE[0] * SIZE[1] - 1)
    assert [feed.shape[0] for feed in engine.feeds] == [4, 4]
    assert (engine.feeds[1][2:] == engine.feeds[1][1]).all()


def test_mistakes_land_in_their_cells():
    scenes = Scenes(3)
    accuracy = evaluate(Engine((NCHW, "uint8"), lambda labels: (labels + 1) % 19), scenes)
    expected = np.zeros((19, 19), np.int64)
    for label in scenes.labels[scenes.labels != 255].tolist():
        expected[label, (label + 1) % 19] += 1
    assert (accuracy.confusion.counts == expected).all()


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_an_open_batch_takes_any_number(batch):
    engine = Engine(((-1, 3, -1, -1), "float32"), one_hot())
    assert evaluate(engine, Scenes(4), batch=batch).confusion.pix_acc == 1
    assert engine.feeds[0].shape == (batch or 1, 3, *SIZE)


def test_progress_adds_up_to_the_images():
    steps = []
    evaluate(Engine((NCHW, "uint8"), one_hot()), Scenes(5), on_image=steps.append)
    assert steps == [2, 2, 1]


def test_json_has_the_figures_of_eval():
    figures = evaluate(Engine((NCHW, "uint8"), one_hot()), Scenes(4)).to_json()
    assert set(figures) == {"pixAcc", "mIoU", "mIoU_all", "iou", "images", "pixels"}
    assert figures["images"] == 4


def test_an_error_of_the_engine_leaves_no_thread():
    def fail(_labels):
        raise RuntimeError("out of order")

    with pytest.raises(RuntimeError, match="out of order"):
        evaluate(Engine((NCHW, "uint8"), fail), Scenes(50))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_a_batch_with_too_few_images_is_filled_up_with_the_last():
    source = image_input((TensorSpec("image", (3, 2, 4, 3), "uint8"),), (2, 4))
    first, last = np.random.default_rng(1).integers(0, 256, (2, 2, 4, 3), dtype=np.uint8)
    assert source.feed([first, last])["image"].tolist() == np.stack([first, last, last]).tolist()


@pytest.mark.parametrize(("count", "words"), [(1, "1 image"), (2, "2 images")])
def test_images_without_any_labelled_pixel_are_no_basis(count, words):
    with pytest.raises(DataError, match=f"there is no labelled pixel in {words};"):
        evaluate(Engine((NCHW, "uint8"), one_hot()), Scenes(count, ignore=True))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (one_hot(classes=21), r"float32 \(2, 21, 4, 6\), but logits .* \(2, 19, 4, 6\)"),
        (lambda labels: one_hot()(labels)[:, :, ::2], r"\(2, 19, 2, 6\), but logits"),
        (lambda labels: labels[:, ::2], r"int64 \(2, 2, 6\), which is neither logits nor label maps"),
        (lambda labels: labels > 3, r"bool \(2, 4, 6\), which is neither"),
        (lambda labels: labels + 19, "holds class 37, but the classes are 0 to 18"),
        (lambda labels: labels - 20, "holds class -20, but the classes are 0 to 18"),
    ],
)
def test_an_output_that_is_no_segmentation_is_refused(answer, words):
    with pytest.raises(ModelError, match=f"output 'output1' .*{words}|output 'output1' {words}"):
        evaluate(Engine((NCHW, "uint8"), answer), Scenes(2))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (((1, 1, *SIZE), "float32"), "images need 3 channels"),
        (((1, *SIZE, 3), "float32"), "images need 3 channels"),
        (((1, -1, -1, -1), "uint8"), "images need 3 channels"),
        (((1, 3, 24), "float32"), "with four dimensions"),
        (((1, 3, *SIZE), "int64"), "images need float32, float16 or uint8"),
        (((1, 3, 8, 6), "float32"), r"float32 \(1, 3, 8, 6\), but the images are 4 x 6 \(height x width\)"),
        (((1, 8, 6, 3), "uint8"), "but the images are 4 x 6"),
    ],
)
def test_an_input_that_takes_no_such_images_is_refused(spec, words):
    with pytest.raises(ModelError, match=f"input 'image' is .*{words}"):
        image_input((TensorSpec("image", *spec),), SIZE)


def test_several_inputs_are_refused_by_name():
    specs = tuple(TensorSpec(name, (1, 3, *SIZE), "float32") for name in ("left", "right"))
    with pytest.raises(ModelError, match="2 inputs \\('left', 'right'\\)"):
        image_input(specs, SIZE)


@pytest.mark.parametrize(("batch", "words"), [(4, "batch is fixed at 2"), (0, "holds no image")])
def test_a_batch_that_does_not_fit_is_refused(batch, words):
    with pytest.raises(ModelError, match=words):
        image_input((TensorSpec("image", NCHW, "float32"),), SIZE, batch)


@pytest.mark.parametrize(
    ("shape", "dtype", "size"),
    [
        ((1, 3, 32, 64), "float32", (32, 64)),
        ((1, 32, 64, 3), "uint8", (32, 64)),
        ((-1, 3, -1, 64), "float32", None),
        ((1, 10), "float32", None),
    ],
)
def test_the_size_of_a_model_is_known_where_it_is_fixed(shape, dtype, size):
    assert model_size((TensorSpec("image", shape, dtype),)) == size


def test_scenes_are_scored_in_the_size_of_the_model():
    dataset = DataSource(synthetic=2).open(scene_size=(32, 64))
    engine = Engine(((1, 3, 32, 64), "uint8"), np.zeros_like)
    accuracy = evaluate(engine, dataset)
    labels = np.stack([dataset.load(index).label for index in range(2)])
    assert accuracy.confusion.pix_acc == pytest.approx((labels == 0).sum() / (labels != 255).sum())


def test_every_stage_is_timed_once_per_image_or_batch():
    scenes = Scenes(3)
    accuracy = evaluate(Engine((NCHW, "uint8"), one_hot()), scenes)
    assert {stage: len(times) for stage, times in accuracy.stages.samples_ms.items()} == {
        "decode": 3,
        "preprocess": 3,
        "infer": 2,
        "post": 2,
    }


def test_predictions_are_handed_on_in_order():
    scenes, seen = Scenes(3), []
    evaluate(Engine((NCHW, "uint8"), one_hot()), scenes, on_prediction=seen.append)
    assert len(seen) == 3
    for prediction, image in zip(seen, scenes.images, strict=True):
        np.testing.assert_array_equal(prediction, image[..., 0] // 10)
