"""What a package says about classes and images."""

import pytest

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import ModelError
from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.model.metadata import Metadata
from fastscnn_opt.packaging.configuration import config, ends_of, preprocessor_config
from fastscnn_opt.packaging.subject import Subject

IMAGE = (TensorSpec("image", (1, 3, 32, 64), "float32"),)
LOGITS = (TensorSpec("logits", (1, 4, 32, 64), "float32"),)
SILENT = Metadata()
BYTES = (TensorSpec("image", (-1, 32, 64, 3), "uint8"),)


def subject_of(metadata=SILENT, **keys):
    known = {"preset": "folder", "classes": ["road", "car"], "palette": [[9, 9, 9], [0, 255, 255]]}
    return Subject("net", "net.onnx", metadata, DataSource(root=".", description=known | keys))


def configured(subject, outputs=LOGITS):
    return config(subject, ends_of(subject, IMAGE, outputs))


def test_classes_are_in_the_words_of_hugging_face():
    found = configured(subject_of(ignore_index=7), (TensorSpec("logits", (1, 2, 8, 8), "float32"),))
    assert found["id2label"] == {0: "road", 1: "car"}
    assert found["label2id"] == {"road": 0, "car": 1}
    assert found["palette"] == [[9, 9, 9], [0, 255, 255]]
    assert found["semantic_loss_ignore_index"] == 7


@pytest.mark.parametrize(
    ("stated", "expected"),
    [((), ["class 2", "class 3"]), (("a", "b", "sky", "car"), ["sky", "class 3"])],  # "car" is another class already
)
def test_classes_of_the_model_beyond_those_of_the_data_have_names_and_the_other_colour(stated, expected):
    found = configured(subject_of(Metadata(names=stated)))
    assert list(found["id2label"].values()) == ["road", "car", *expected]
    assert found["other_colour"] == [255, 0, 255]
    assert found["palette"][2:] == [[255, 0, 255]] * 2


def test_a_prediction_map_has_a_number_for_every_class_that_it_changes():
    found = configured(subject_of(prediction_map={3: 1}))
    assert found["prediction_map"] == [0, 2, 2, 1]  # 1 is given to 3, so the model's own 1 is no class
    assert found["id2label"] == {0: "road", 1: "car"}


def test_preprocessing_is_in_the_words_of_hugging_face():
    keys = {"image_mean": [0.5], "image_std": [1, 2, 3], "channel_order": "bgr", "resize": "keep-ratio", "pad_value": 8}
    found = preprocessor_config(ends_of(subject_of(preprocess=keys), IMAGE, LOGITS))
    assert found == {
        "do_convert_rgb": True, "do_resize": True, "size": {"height": 32, "width": 64}, "keep_aspect_ratio": True,
        "resample": 2, "antialias": True, "do_pad": True, "pad_value": 8, "window_stride": None,
        "do_flip_channel_order": True, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [1.0, 2.0, 3.0], "data_format": "channels_first",
    }  # fmt: skip


def test_bytes_are_neither_scaled_nor_normalised():
    found = preprocessor_config(ends_of(subject_of(), BYTES, LOGITS))
    assert (found["do_rescale"], found["do_normalize"], found["image_mean"]) == (False, False, None)
    assert found["data_format"] == "channels_last"


def test_a_model_that_takes_no_image_is_refused():
    with pytest.raises(ModelError, match="the model has 2 inputs"):
        ends_of(subject_of(), (*IMAGE, TensorSpec("other", (1,), "float32")), LOGITS)
