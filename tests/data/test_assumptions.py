"""Tests of the notes about assumed and contradicting preprocessing."""

import pytest

from fastscnn_opt.data.assumptions import preprocess_notes
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.model.metadata import Metadata

STATED = {"image_mean": [0.5], "image_std": [0.5]}


def described(**preprocess):
    return DataSource("x", description={"preset": "camvid", "preprocess": preprocess})


def notes(source, metadata=None, *, takes_bytes=False):
    return preprocess_notes(source, metadata or Metadata(), takes_bytes=takes_bytes)


def test_imagenet_is_only_assumed_with_a_note():
    (note,) = notes(DataSource("x"))
    assert "neither the description nor the model states image_mean and image_std: ImageNet's are assumed" in note


def test_the_note_names_what_is_missing():
    (note,) = notes(described(image_mean=[0.5]))
    assert "states image_std:" in note


@pytest.mark.parametrize(
    ("source", "metadata"),
    [(described(**STATED), Metadata()), (DataSource("x"), Metadata(preprocess=STATED))],
    ids=["description", "model"],
)
def test_what_is_stated_needs_no_note(source, metadata):
    assert notes(source, metadata) == []


def test_a_model_of_bytes_needs_no_note():
    assert notes(DataSource("x"), takes_bytes=True) == []


def test_a_stated_mean_that_a_model_of_bytes_does_not_get_is_told():
    (note,) = notes(described(**STATED), takes_bytes=True)
    assert "gets the bytes" in note


PLAIN = {"image_mean": [0.0], "image_std": [1.0], "rescale_factor": 1.0}


def test_the_stated_mean_that_is_in_the_weights_needs_no_note():
    folded = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 255}
    assert notes(described(**STATED), Metadata(preprocess=PLAIN, folded=folded), takes_bytes=True) == []


def test_another_mean_in_the_weights_is_told():
    folded = {"image_mean": [0.4], "image_std": [0.5], "rescale_factor": 1}
    (note,) = notes(described(image_mean=[0.5]), Metadata(preprocess=PLAIN, folded=folded), takes_bytes=True)
    assert "the model has image_mean = [0.4] in its weights, and the description says image_mean = [0.5]," in note


def test_a_contradiction_is_told():
    (note,) = notes(described(**STATED), Metadata(preprocess={"image_mean": [0.1], "image_std": [0.5]}))
    assert note.startswith("the description says image_mean = [0.5] and image_std = [0.5], and the model image_mean")


def test_another_channel_order_is_told_for_bytes_too():
    carried = Metadata(preprocess={"channel_order": "bgr"})
    (note,) = notes(described(channel_order="rgb"), carried, takes_bytes=True)
    assert "channel_order = rgb, and the model channel_order = bgr" in note


def test_other_units_are_no_contradiction():
    carried = {"image_mean": [123.675, 116.28, 103.53], "image_std": [58.395, 57.12, 57.375], "rescale_factor": 1.0}
    ours = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "rescale_factor": 1 / 255}
    assert notes(described(**ours), Metadata(preprocess=carried)) == []


def test_a_double_normalisation_is_told():
    (note,) = notes(described(**STATED), Metadata(normalised_by="/Sub"))
    assert note.startswith("the model normalises its input itself, in '/Sub'")


def test_a_plain_image_for_a_model_that_normalises_needs_no_note():
    assert notes(described(image_mean=[0], image_std=[1]), Metadata(normalised_by="/Sub")) == []


def named(**keys):
    return DataSource("x", description={"preset": "folder", "classes": ["sky", "road", "car"], **keys})


def test_classes_in_another_order_are_told():
    (note,) = notes(named(), Metadata(("Road", "sky", "car"), preprocess=STATED))
    assert note.startswith("class 0 of the model is called 'Road', which is class 1 of the data;")
    assert note.endswith("say prediction_map = { 0 = 1, 1 = 0 } in [data]")


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (named(), ("sky", "road", "car")),
        (named(), ("heaven", "street", "auto")),
        (named(), ()),
        (named(prediction_map={"0": 1, "1": 0}), ("road", "sky", "car")),
        (DataSource("x", description={"preset": "folder"}), ("road", "sky", "car")),
    ],
    ids=["the same", "other names", "none", "mapped", "not described"],
)
def test_classes_that_are_where_they_should_be_need_no_note(source, names):
    assert notes(source, Metadata(names, preprocess=STATED)) == []
