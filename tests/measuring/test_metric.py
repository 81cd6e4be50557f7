"""The confusion matrix and its figures, compared with two independent implementations and a count by hand."""

import json
import math

import numpy as np
import pytest
from cityscapes import CLASSES, LABEL_ID_OF
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from fastscnn_opt.measuring.metric import ConfusionMatrix

SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, max_side=12)


@st.composite
def maps(draw):
    """A label map and a prediction of one shape, of few classes so that some are absent."""
    shape = draw(SHAPES)
    classes = draw(st.lists(st.integers(0, 18), min_size=1, max_size=5, unique=True))
    label = draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from([*classes, 255])))
    prediction = draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from(classes)))
    return label, prediction


def counted(label, prediction) -> ConfusionMatrix:
    matrix = ConfusionMatrix.empty(CLASSES)
    matrix.update(np.asarray(label, np.uint8), np.asarray(prediction, np.uint8))
    return matrix


@given(maps())
def test_every_labelled_pixel_is_counted_in_its_cell(pair):
    label, prediction = pair
    expected = np.zeros((19, 20), np.int64)
    for row, column in zip(label.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if row != 255:
            expected[row, column] += 1
    assert (counted(label, prediction).counts == expected).all()


def test_pixels_beyond_one_block_are_counted():
    rng = np.random.default_rng(0)
    label, prediction = rng.integers(0, 19, (2, 500, 700)), rng.integers(0, 19, (2, 500, 700))
    expected = np.zeros((19, 20), np.int64)
    np.add.at(expected, (label.ravel(), prediction.ravel()), 1)
    assert (counted(label, prediction).counts == expected).all()


@given(maps())
def test_figures_agree_with_torchmetrics(pair):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    functional = pytest.importorskip("torchmetrics.functional.classification", reason="torchmetrics is not installed")
    label, prediction = (torch.from_numpy(array.ravel().astype(np.int64)) for array in pair)
    options = {"num_classes": 19, "ignore_index": 255}
    matrix = counted(*pair)
    theirs = functional.multiclass_confusion_matrix(prediction, label, **options)
    assert (matrix.counts[:, :19] == theirs.numpy()).all()
    if matrix.pixels:
        accuracy = functional.multiclass_accuracy(prediction, label, average="micro", **options)
        assert matrix.pix_acc == pytest.approx(float(accuracy), abs=1e-6)
        iou = functional.multiclass_jaccard_index(prediction, label, average=None, **options)
        assert [value or 0.0 for value in matrix.iou.values()] == pytest.approx(iou.tolist(), abs=1e-6)
        assert matrix.miou_all == pytest.approx(float(iou.sum()) / 19, abs=1e-6)


def test_figures_agree_with_the_official_scripts(tmp_path, monkeypatch):
    official = pytest.importorskip(
        "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling", reason="cityscapesscripts is not installed"
    )
    monkeypatch.setattr(official.args, "evalInstLevelScore", False)
    rng = np.random.default_rng(5)
    matrix, theirs = ConfusionMatrix.empty(CLASSES), official.generateMatrix(official.args)
    for index in range(3):
        label = rng.choice(np.array([0, 2, 5, 11, 18, 255], np.uint8), (20, 30))
        prediction = np.where(rng.random((20, 30)) < 0.6, np.minimum(label, 18), 13).astype(np.uint8)
        matrix.update(label, prediction)
        files = [tmp_path / f"{index}_{name}.png" for name in ("prediction", "label")]
        for file, ids in zip(files, (prediction, label), strict=True):
            Image.fromarray(LABEL_ID_OF[ids]).save(file)
        official.evaluatePair(*map(str, files), theirs, {}, {}, official.args)
    scores = {
        name: official.getIouScoreForLabel(official.name2label[name].id, theirs, official.args) for name in CLASSES
    }
    ours = {name: math.nan if value is None else value for name, value in matrix.iou.items()}
    assert ours == pytest.approx(scores, nan_ok=True, abs=1e-12)
    assert matrix.miou == pytest.approx(official.getScoreAverage(scores, official.args), abs=1e-12)


def test_predictions_of_a_narrow_type_are_counted_for_many_classes():
    matrix = ConfusionMatrix.empty([f"class {index}" for index in range(300)])
    matrix.update(np.array([0, 299, 65535, 7], np.uint16), np.array([0, 255, 1, 7], np.uint8))
    assert {(row, column) for row, column in zip(*np.nonzero(matrix.counts), strict=True)} == {
        (0, 0),
        (299, 255),
        (7, 7),
    }


def test_a_label_beyond_many_classes_is_refused():
    matrix = ConfusionMatrix.empty([f"class {index}" for index in range(300)])
    with pytest.raises(ValueError, match="a label lies outside 0 to 299 and 65535"):
        matrix.update(np.array([300], np.uint16), np.array([0], np.uint16))


def test_an_absent_class_is_left_out_of_one_mean_and_zero_in_the_other():
    matrix = counted([0, 0, 1, 255], [0, 1, 1, 7])
    assert matrix.iou["road"] == matrix.iou["sidewalk"] == 0.5
    assert matrix.iou["person"] is None
    assert matrix.miou == 0.5
    assert matrix.miou_all == pytest.approx(2 * 0.5 / 19)
    assert matrix.pix_acc == pytest.approx(2 / 3)
    assert matrix.pixels == 3


def test_a_class_that_is_only_predicted_counts_as_zero():
    matrix = counted([0, 0], [0, 13])
    assert matrix.iou["car"] == 0.0
    assert matrix.miou == 0.25


def test_a_class_predicted_on_ignored_pixels_only_stays_absent():
    assert counted([0, 255], [0, 13]).iou["car"] is None


@given(maps(), maps())
def test_merging_is_counting_both(first, second):
    both = counted(*first)
    both.update(*second)
    assert (counted(*first).merge(counted(*second)).counts == both.counts).all()


def test_merging_leaves_both_matrices_as_they_were():
    matrix = counted([0], [0])
    matrix.merge(matrix)
    assert matrix.pixels == 1


@given(maps(), st.randoms())
def test_the_order_of_pixels_does_not_matter(pair, random):
    label, prediction = (array.ravel() for array in pair)
    order = list(range(len(label)))
    random.shuffle(order)
    assert (counted(label, prediction).counts == counted(label[order], prediction[order]).counts).all()


@given(maps())
def test_figures_are_fractions_and_a_perfect_prediction_scores_one(pair):
    label, prediction = pair
    matrix = counted(label, prediction)
    if matrix.pixels:
        assert 0 <= matrix.miou_all <= matrix.miou <= 1
        assert 0 <= matrix.pix_acc <= 1
        perfect = counted(label, np.where(label == 255, 0, label))
        assert perfect.miou == perfect.pix_acc == 1


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint16])
def test_predictions_of_any_integer_type_are_counted(dtype):
    matrix = ConfusionMatrix.empty(CLASSES)
    matrix.update(np.array([3, 4], np.uint8), np.array([3, 18], dtype))
    assert matrix.counts[3, 3] == matrix.counts[4, 18] == 1


@pytest.mark.parametrize(
    ("label", "prediction", "words"),
    [
        ([0, 1], [0], "differ in shape"),
        ([19], [0], "label lies outside"),
        ([254], [0], "label lies outside"),
    ],
)
def test_values_out_of_range_are_refused_and_nothing_is_counted(label, prediction, words):
    matrix = ConfusionMatrix.empty(CLASSES)
    with pytest.raises(ValueError, match=words):
        matrix.update(np.array(label, np.uint8), np.array(prediction, np.uint8))
    assert matrix.pixels == 0


def test_a_negative_prediction_is_refused():
    with pytest.raises(ValueError, match="a prediction is negative"):
        ConfusionMatrix.empty(CLASSES).update(np.zeros(1, np.uint8), np.array([-1]))


def test_counts_do_not_overflow_32_bits():
    matrix = ConfusionMatrix(CLASSES, np.full((19, 20), 2**31, np.int64))
    assert matrix.merge(matrix).pixels == 380 * 2**32


def test_without_any_pixel_there_are_no_figures():
    matrix = ConfusionMatrix.empty(CLASSES)
    assert math.isnan(matrix.pix_acc)
    assert math.isnan(matrix.miou)
    assert json.loads(json.dumps(matrix.to_json(), allow_nan=False))["mIoU"] is None


def test_json_has_the_keys_that_eval_prints():
    figures = counted([0, 1], [0, 1]).to_json()
    assert list(figures) == ["pixAcc", "mIoU", "mIoU_all", "iou", "pixels"]
    assert list(figures["iou"]) == list(CLASSES)
    assert figures["iou"]["road"] == 1.0
    assert figures["iou"]["sky"] is None


def test_a_prediction_of_no_class_of_the_data_is_wrong_and_belongs_to_no_class():
    matrix = counted([0, 0, 1, 255], [0, 19, 40, 25])
    assert matrix.counts[:2, 19].tolist() == [1, 1]
    assert matrix.pix_acc == pytest.approx(1 / 3)
    assert matrix.iou["road"] == 0.5
    assert matrix.iou["sidewalk"] == 0.0
    assert matrix.miou == 0.25


@given(maps())
def test_a_twentieth_class_is_counted_as_in_a_matrix_of_twenty(pair):
    label, prediction = pair
    prediction = np.where(prediction == 18, 19, prediction)
    wide = ConfusionMatrix.empty([*CLASSES, "anything else"])
    wide.update(label, prediction)
    assert (counted(label, prediction).counts == wide.counts[:19, :20]).all()


def test_more_than_255_classes_are_counted():
    names = [f"class {index}" for index in range(300)]
    label = np.array([0, 299, 298, 65535], np.uint16)
    matrix = ConfusionMatrix.empty(names)
    matrix.update(label, np.array([0, 299, 5, 7]))
    assert (matrix.counts[0, 0], matrix.counts[299, 299], matrix.counts[298, 5], matrix.pixels) == (1, 1, 1, 3)


def test_records_leave_out_the_last_column_where_it_is_empty():
    assert np.array(counted([0, 1], [0, 1]).to_lists()).shape == (19, 19)
    assert np.array(counted([0, 1], [0, 19]).to_lists()).shape == (19, 20)
