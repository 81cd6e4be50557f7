"""The class tables, compared with those of the official scripts."""

import numpy as np
import pytest

from fastscnn_opt.data.classes import CLASSES, LABEL_ID_OF, LABEL_IDS, PALETTE, TRAIN_ID_OF


@pytest.fixture(scope="module")
def official():
    labels = pytest.importorskip("cityscapesscripts.helpers.labels", reason="cityscapesscripts is not installed")
    return labels.labels


def test_names_and_colours_are_the_official_ones(official):
    evaluated = sorted((label for label in official if not label.ignoreInEval), key=lambda label: label.trainId)
    assert [label.name for label in evaluated] == list(CLASSES)
    assert [label.color for label in evaluated] == [tuple(colour) for colour in PALETTE.tolist()]


def test_every_label_id_maps_to_its_official_train_id(official):
    for label in official:
        expected = 255 if label.ignoreInEval else label.trainId
        assert TRAIN_ID_OF[np.uint8(label.id % 256)] == expected, label.name


def test_train_ids_come_back_from_label_ids():
    assert TRAIN_ID_OF[LABEL_ID_OF[:19]].tolist() == list(range(19))
    assert LABEL_ID_OF[255] == 0
    assert len(set(LABEL_IDS)) == 19


def test_nobody_can_change_a_table():
    with pytest.raises(ValueError, match="read-only"):
        TRAIN_ID_OF[0] = 1
