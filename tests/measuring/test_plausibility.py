"""Tests of the notes about unlikely results."""

from dataclasses import replace

import numpy as np
import pytest

from fastscnn_opt.measuring.accuracy import Accuracy
from fastscnn_opt.measuring.metric import ConfusionMatrix
from fastscnn_opt.measuring.plausibility import implausible, kappa


def accuracy(counts, ignored=0):
    """Return an accuracy with these counts; each row is a class, its last column no class of the data."""
    table = np.array(counts, dtype=np.int64)
    names = tuple("abcdefgh"[: len(table)])
    return Accuracy(1, ConfusionMatrix(names, table), ignored)


def test_a_good_result_gets_no_note():
    assert implausible(accuracy([[90, 10, 0], [5, 95, 0]], ignored=50)) == []


def test_kappa_is_that_of_the_pixels():
    """The same agreement counted one pixel at a time, by its definition."""
    counts = np.array([[50, 10, 5], [20, 40, 0]])
    pairs = [(row, column) for row in range(2) for column in range(3) for _ in range(counts[row, column])]
    labels, predictions = np.array(pairs).T
    agree = (labels == predictions).mean()
    chance = sum((labels == index).mean() * (predictions == index).mean() for index in range(2))
    assert kappa(accuracy(counts).confusion) == pytest.approx((agree - chance) / (1 - chance))


def test_a_prediction_by_chance_is_told():
    (note,) = implausible(accuracy([[50, 50, 0], [45, 55, 0]]))
    assert "hardly better than chance (kappa 0.05)" in note


def test_mostly_ignored_pixels_are_told():
    (note,) = implausible(accuracy([[90, 10, 0], [5, 95, 0]], ignored=600))
    assert note.startswith("75% of the pixels are ignored")


def test_labels_of_one_class_are_told():
    (note,) = implausible(accuracy([[1000, 0, 0], [0, 2, 0]]))
    assert note.startswith("100% of labelled pixels are 'a'")


def test_a_common_class_that_is_never_predicted_is_told():
    (note,) = implausible(accuracy([[90, 0, 0], [0, 0, 10]]))
    assert note.startswith("the model never predicts 'b', which 10% of the labelled pixels are")


def test_infinities_are_told():
    found = replace(accuracy([[90, 10, 0], [5, 95, 0]]), infinite=[True, False, True])
    (note,) = implausible(found)
    assert note.startswith("the output holds infinities in 2 of 3 runs: ")
