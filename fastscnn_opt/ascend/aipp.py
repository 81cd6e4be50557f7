"""AIPP: normalisation of images on the device, so that the model takes them as bytes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastscnn_opt.data.preprocess import IMAGENET, Preprocess
from fastscnn_opt.errors import TargetError
from fastscnn_opt.files import read_text
from fastscnn_opt.measuring.session import TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

_CHANNELS = 3
_BYTES = "RGB888_U8"


def aipp_config(height: int, width: int, preprocess: Preprocess = IMAGENET) -> str:
    """Return the text of an AIPP file with the same effect as `data.preprocess.normalise`.

    The device computes ``(x - mean_chn - min_chn) * var_reci_chn`` for every channel of a byte image, with integer
    ``mean_chn`` (0 when left out), so ``min_chn`` is the mean and ``var_reci_chn`` one by the deviation, in bytes.
    Bytes come in the model's channel order, so none are swapped.
    """
    factor = preprocess.rescale_factor
    means, deviations = (
        values * _CHANNELS if len(values) == 1 else values for values in (preprocess.image_mean, preprocess.image_std)
    )
    return "\n".join(
        [
            "aipp_op {",
            "  aipp_mode: static",
            "  related_input_rank: 0",
            f"  input_format: {_BYTES}",
            f"  src_image_size_w: {width}",
            f"  src_image_size_h: {height}",
            "  csc_switch: false",
            "  rbuv_swap_switch: false",
            *(f"  min_chn_{channel}: {mean / factor:.15g}" for channel, mean in enumerate(means)),
            *(f"  var_reci_chn_{channel}: {factor / std:.15g}" for channel, std in enumerate(deviations)),
            "}",
            "",
        ]
    )


def image_size(spec: TensorSpec) -> tuple[int, int]:
    """Return height and width of the images that `spec` takes; raises TargetError unless it is float (N, 3, H, W)."""
    if (
        len(spec.shape) != 4
        or spec.shape[1] != _CHANNELS
        or min(spec.shape[2:]) < 1
        or not spec.dtype.startswith("float")
    ):
        raise TargetError(
            f"AIPP normalises images for a float input (N, 3, H, W) of fixed size, but {spec.name!r} is "
            f"{spec.dtype} {spec.shape}",
            cure="leave out the option aipp",
        )
    return spec.shape[2], spec.shape[3]


def byte_input(spec: TensorSpec, config: Path) -> TensorSpec:
    """Return the input that the AIPP file `config` puts before `spec`: uint8 N, H, W, 3 of the source size it names.

    Raises
    ------
    TargetError
        The file cannot be read, is for another pixel format, or names no source size.
    """
    try:
        text = read_text(config)
    except (OSError, UnicodeDecodeError) as error:
        what = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise TargetError(what, where=f"insert_op_conf: {config}", cure="give an AIPP file") from error
    fields = dict(re.findall(r"^\s*(\w+)\s*:\s*([\w.]+)", text, re.MULTILINE))
    sizes = [fields.get(f"src_image_size_{axis}", "") for axis in "hw"]
    if fields.get("input_format") != _BYTES or not all(size.isdecimal() for size in sizes):
        raise TargetError(
            f"cannot be fed, only AIPP files with input_format {_BYTES}, src_image_size_w and src_image_size_h can",
            where=f"insert_op_conf: {config}",
            cure="use the option aipp to have one written",
        )
    height, width = map(int, sizes)
    return TensorSpec(spec.name, (spec.shape[0], height, width, _CHANNELS), "uint8")
