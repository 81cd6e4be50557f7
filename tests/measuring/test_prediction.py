"""Outputs become label maps in the classes of the data."""

import numpy as np
import pytest

from fastscnn_opt.errors import ModelError
from fastscnn_opt.measuring.prediction import Decoder

WHOLE = (1.0, 1.0)


def decoded(decoder, output, size=None, shown=WHOLE):
    return decoder.decode(output, size or output.shape[-2:], shown, "logits")


def test_listed_classes_get_their_number_and_the_others_keep_theirs():
    labels = np.array([[0, 1, 2, 3]])
    np.testing.assert_array_equal(decoded(Decoder(9, {3: 8, 1: 7}), labels), [[0, 7, 2, 8]])


def test_a_class_whose_number_another_takes_is_no_class_of_the_data():
    labels = np.array([[0, 1, 2, 5]])
    np.testing.assert_array_equal(decoded(Decoder(3, {5: 1}), labels), [[0, 3, 2, 1]])


def test_two_classes_may_become_one():
    np.testing.assert_array_equal(decoded(Decoder(2, {1: 0, 2: 1, 3: 1}), np.array([[0, 1, 2, 3]])), [[2, 0, 1, 1]])


def test_classes_beyond_those_of_the_data_stay_beyond():
    assert decoded(Decoder(2), np.array([[0, 1, 19]])).tolist() == [[0, 1, 19]]


@pytest.mark.parametrize(
    ("values", "threshold", "expected"),
    [
        ([0.1, 0.5, 0.6], 0.5, [0, 0, 1]),
        ([-2.0, 0.4, 3.0], 0.0, [0, 1, 1]),
        ([-2.0, 0.4, 3.0], 1.0, [0, 0, 1]),
    ],
    ids=["probabilities", "logits", "another"],
)
def test_one_channel_has_a_threshold(values, threshold, expected):
    output = np.array([[values]], np.float32)
    assert decoded(Decoder(2, threshold=threshold), output).tolist() == [expected]


def test_one_channel_without_a_threshold_is_refused_rather_than_guessed():
    with pytest.raises(ModelError, match=r"has one channel, and nothing says above which value .* threshold = 0\.5"):
        decoded(Decoder(2), np.array([[[0.1, 0.6]]], np.float32))


def test_a_map_of_one_channel_of_integers_is_a_label_map():
    assert decoded(Decoder(2), np.array([[[0, 1]]], np.uint16)).tolist() == [[0, 1]]


def test_a_label_map_is_enlarged_by_nearest_neighbour_within_what_shows_the_image():
    labels = np.array([[0, 1, 9], [2, 3, 9], [9, 9, 9], [9, 9, 9]], np.int32)
    expected = np.array([[0, 1], [2, 3]]).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(decoded(Decoder(10), labels, (4, 4), (2 / 4, 2 / 3)), expected)


def test_a_negative_class_is_refused():
    with pytest.raises(ModelError, match="output 'logits' holds the class -3; check"):
        decoded(Decoder(2), np.array([[-3]]))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("classes", [1, 3])
def test_nan_is_refused_rather_than_taken_for_a_class(dtype, classes):
    output = np.zeros((classes, 2, 2), dtype)
    output[0, 1, 1] = np.nan
    with pytest.raises(ModelError, match="output 'logits' holds values that are not a number"):
        decoded(Decoder(3, threshold=0.5), output)
