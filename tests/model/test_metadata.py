"""Tests of what a model says of itself."""

import json

import onnx
import pytest

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.metadata import Metadata, add_metadata, format_metadata, metadata_of, parse, read_metadata

NETWORK = """
    <ir_version: 8, opset_import: ["" : 13]>
    network (float[1,3,4,4] image) => (float[1,3,4,4] result) {
        %s
    }
"""


def network(body="result = Relu(image)"):
    return onnx.parser.parse_model(NETWORK % body)


@pytest.mark.parametrize("text", ['{"0": "road", "1": "car"}', "{0: 'road', 1: 'car'}"])
def test_names_are_read_from_json_and_as_ultralytics_writes_them(text):
    assert parse({"names": text}).names == ("road", "car")


def test_a_number_without_a_name_gets_one():
    assert parse({"names": '{"2": "car", "0": "road"}'}).names == ("road", "class 1", "car")


@pytest.mark.parametrize(
    "text", ["Anna, Ben", "[1, 2]", '{"a": "b"}', '{"0": 1}', "{}", '{"99999999999": "x"}', "(" * 9999, "[" * 99999]
)
def test_names_of_another_form_are_left_out(text):
    assert parse({"names": text}).names == ()


@pytest.mark.parametrize(
    ("props", "expected"),
    [
        ({"Image.BitmapPixelFormat": "Bgr8"}, {"channel_order": "bgr"}),
        ({"Image.BitmapPixelFormat": "Rgba8"}, {"channel_order": "rgb"}),
        (
            {"Image.NominalPixelRange": "Normalized_1_1"},
            {"image_mean": [0.5], "image_std": [0.5], "rescale_factor": 1 / 255},
        ),
        (
            {"Image.NominalPixelRange": "NominalRange_0_255"},
            {"image_mean": [0.0], "image_std": [1.0], "rescale_factor": 1.0},
        ),
        ({"Image.NominalPixelRange": "NominalRange_16_235"}, {}),
    ],
)
def test_the_image_keys_of_the_standard_are_read(props, expected):
    assert parse(props).preprocess == expected


def test_own_keys_win_over_those_of_the_standard():
    props = {"Image.BitmapPixelFormat": "Bgr8", "fastscnn_opt.preprocess": '{"channel_order": "rgb"}'}
    assert parse(props).preprocess == {"channel_order": "rgb"}


def test_what_is_written_is_read_again():
    metadata = Metadata(
        ("road", "Fußgänger"), ((1, 2, 3), (4, 5, 6)), {"image_mean": [0.5, 0.4, 0.3], "resize": "stretch"}
    )
    model = network()
    add_metadata(model, metadata)
    assert metadata_of(model) == metadata


def test_metadata_of_others_stay():
    assert format_metadata(Metadata(("road",)), {"author": "somebody", "names": "old"}) == {
        "author": "somebody",
        "names": '{"0": "road"}',
    }


def test_the_keys_of_the_standard_follow_the_preprocessing():
    bytes_in = {"image_mean": [0, 0, 0], "image_std": [1], "rescale_factor": 1, "channel_order": "bgr"}
    written = format_metadata(Metadata(preprocess=bytes_in), {"Image.NominalPixelRange": "Normalized_0_1"})
    assert written["Image.NominalPixelRange"] == "NominalRange_0_255"
    assert written["Image.BitmapPixelFormat"] == "Bgr8"


def test_a_range_that_the_standard_does_not_know_is_removed():
    imagenet = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "rescale_factor": 1 / 255}
    assert "Image.NominalPixelRange" not in format_metadata(
        Metadata(preprocess=imagenet), {"Image.NominalPixelRange": "Normalized_0_1"}
    )


def test_what_is_not_stated_stays_as_the_model_has_it():
    model = network()
    add_metadata(model, Metadata(("road",), (), {"image_mean": [0.5], "image_std": [0.5]}))
    add_metadata(model, Metadata(preprocess={"image_mean": [0.1]}))
    assert metadata_of(model) == Metadata(("road",), (), {"image_mean": [0.1], "image_std": [0.5]})


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("fastscnn_opt.preprocess", "{"),
        ("fastscnn_opt.preprocess", "[1]"),
        ("fastscnn_opt.preprocess", "[" * 99999),
        ("fastscnn_opt.palette", "[[1, 2]]"),
        ("fastscnn_opt.palette", "[5]"),
    ],
)
def test_an_own_key_that_is_broken_is_an_error_with_the_file(tmp_path, key, text):
    model = network()
    onnx.helper.set_model_props(model, {key: text})
    onnx.save(model, tmp_path / "broken.onnx")
    with pytest.raises(ModelError, match=rf"broken\.onnx: the metadata '{key}' is not what fastscnn-opt writes"):
        read_metadata(tmp_path / "broken.onnx")


@pytest.mark.parametrize(
    "body",
    [
        "mean = Constant<value = float[1,3,1,1] {1, 2, 3}>() [sub] centred = Sub(image, mean) result = Relu(centred)",
        "scale = Constant<value = float {255}>() [sub] scaled = Div(image, scale) result = Relu(scaled)",
    ],
)
def test_a_normalisation_at_the_input_is_found(body):
    assert metadata_of(network(body)).normalised_by == "sub"


@pytest.mark.parametrize(
    "body",
    [
        "result = Relu(image)",
        "other = Relu(image) result = Add(image, other)",
        "big = RandomNormalLike(image) result = Add(image, big)",
        "mean = Constant<value = float[1,3,1,1] {1, 2, 3}>() one = Relu(image) result = Sub(one, mean)",
    ],
)
def test_other_operators_at_the_input_are_no_normalisation(body):
    assert metadata_of(network(body)).normalised_by == ""


def test_names_are_a_json_object():
    model = network()
    add_metadata(model, Metadata(("road", "car")))
    assert json.loads(model.metadata_props[0].value) == {"0": "road", "1": "car"}
