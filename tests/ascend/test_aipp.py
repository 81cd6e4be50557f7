"""AIPP files: their text, what a device makes of it, and the input behind it."""

import re

import numpy as np
import pytest

from fastscnn_opt.ascend.aipp import aipp_config, byte_input, image_size
from fastscnn_opt.data.preprocess import Preprocess
from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.session import TensorSpec

EXPECTED = """\
aipp_op {
  aipp_mode: static
  related_input_rank: 0
  input_format: RGB888_U8
  src_image_size_w: 2048
  src_image_size_h: 1024
  csc_switch: false
  rbuv_swap_switch: false
  min_chn_0: 123.675
  min_chn_1: 116.28
  min_chn_2: 103.53
  var_reci_chn_0: 0.0171247538316637
  var_reci_chn_1: 0.0175070028011204
  var_reci_chn_2: 0.0174291938997821
}
"""


def test_the_text_is_what_the_compiler_reads():
    assert aipp_config(1024, 2048) == EXPECTED


def test_the_device_then_computes_the_usual_normalisation():
    fields = dict(re.findall(r"(\w+): ([\d.]+)", aipp_config(4, 6)))
    pixels = np.arange(256)
    for channel, (mean, std) in enumerate(zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)):
        on_device = (pixels - float(fields[f"min_chn_{channel}"])) * float(fields[f"var_reci_chn_{channel}"])
        np.testing.assert_allclose(on_device, (pixels / 255 - mean) / std, atol=1e-12)


def test_other_preprocessing_is_computed_on_the_device():
    preprocess = Preprocess(image_mean=(103.5,), image_std=(57.0, 58.0, 59.0), rescale_factor=1.0, channel_order="bgr")
    fields = dict(re.findall(r"(\w+): ([\d.]+)", aipp_config(4, 6, preprocess)))
    pixels = np.arange(256)
    for channel, std in enumerate((57.0, 58.0, 59.0)):
        on_device = (pixels - float(fields[f"min_chn_{channel}"])) * float(fields[f"var_reci_chn_{channel}"])
        np.testing.assert_allclose(on_device, (pixels - 103.5) / std, atol=1e-12)


def test_the_size_of_the_images_is_that_of_the_input():
    assert image_size(TensorSpec("image", (-1, 3, 1024, 2048), "float32")) == (1024, 2048)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((1, 3, -1, 2048), "float32"), ((1, 4, 8, 8), "float32"), ((1, 3, 8), "float32"), ((1, 3, 8, 8), "uint8")],
)
def test_an_input_without_float_images_of_a_fixed_size_is_refused(shape, dtype):
    with pytest.raises(TargetError, match="leave out the option aipp"):
        image_size(TensorSpec("image", shape, dtype))


def test_behind_the_file_the_input_takes_bytes_with_channels_last(tmp_path):
    file = tmp_path / "aipp.cfg"
    file.write_text(EXPECTED)
    spec = byte_input(TensorSpec("image", (2, 3, 1024, 2048), "float32"), file)
    assert spec == TensorSpec("image", (2, 1024, 2048, 3), "uint8")


@pytest.mark.parametrize("old", ["RGB888_U8", "src_image_size_w: 2048"])
def test_a_file_that_cannot_be_fed_is_refused(tmp_path, old):
    file = tmp_path / "aipp.cfg"
    file.write_text(EXPECTED.replace(old, "YUV420SP_U8"))
    with pytest.raises(TargetError, match="cannot be fed"):
        byte_input(TensorSpec("image", (1, 3, 1024, 2048), "float32"), file)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(TargetError, match="cannot be read"):
        byte_input(TensorSpec("image", (1, 3, 4, 6), "float32"), tmp_path / "nothing.cfg")
