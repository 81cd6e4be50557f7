"""Run the model of a package on images, as ``config.json`` and ``preprocessor_config.json`` beside it say."""

import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]
Size = tuple[int, int]  # height and width
ROWS = 32  # of a label map per step, so that enlarged logits take little memory


class Segmenter:
    """The model in a folder."""

    def __init__(self, folder: Path) -> None:
        texts = ((folder / name).read_text("utf-8") for name in ("config.json", "preprocessor_config.json"))
        self.config, self.images = map(json.loads, texts)
        self.input, self.output = self.config["input"], self.config["output"]
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # which is read when the engine is imported
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 3  # errors
        file = str(folder / "model.onnx")
        self.session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        values = np.arange(256) * (self.images["rescale_factor"] if self.images["do_rescale"] else 1.0)
        mean, std = self.images["image_mean"], self.images["image_std"]
        scales = zip(mean, std, strict=True) if self.images["do_normalize"] else [(0.0, 1.0)] * self.input["channels"]
        self.tables = [((values - mean) / std).astype(self.input["dtype"]) for mean, std in scales]

    def label_map(self, image: Array) -> Array:
        """Return the class of each pixel (H, W) of an RGB image (H, W, 3)."""
        size = (image.shape[0], image.shape[1])
        canvas, inner = self._fitted(image, size)
        output = self._slide(canvas) if self.images["window_stride"] else self._run(canvas)
        parts = zip(output.shape[-2:], inner, canvas.shape[:2], strict=True)
        shown = [side * (part / whole) for side, part, whole in parts]
        if np.issubdtype(output.dtype, np.integer):
            labels = _nearest(output.reshape(output.shape[-2:]), size, shown)
        else:
            labels = np.concatenate([self._best(block) for block in _enlarged(output, size, shown)])
        numbers = self.config["prediction_map"]  # of the first classes of the model; the others keep theirs
        known: Array = np.array([*numbers, *range(len(numbers), int(labels.max()) + 1)])[labels]
        return known

    def _best(self, values: Array) -> Array:
        if np.isnan(values).any():
            raise ValueError("the model gives values that are not a number")
        best: Array = (
            values.argmax(axis=0) if len(values) > 1 else (values[0] > self.config["threshold"]).astype(np.uint8)
        )
        return best

    def _fitted(self, image: Array, own: Size) -> tuple[Array, Size]:
        """Return an image resized and padded as the model takes it, and the size of the part that shows it."""
        wanted, channels = self.images["size"], self.input["channels"]
        height, width = inner = (wanted["height"] or own[0], wanted["width"] or own[1])
        if self.images["window_stride"]:
            height, width, inner = max(height, own[0]), max(width, own[1]), own
        elif self.images["keep_aspect_ratio"]:
            scale = min(height / own[0], width / own[1])
            inner = (max(1, round(own[0] * scale)), max(1, round(own[1] * scale)))
        if inner != own and not self.images["do_resize"]:
            raise ValueError(f"height and width are {own}, and the model takes {inner}")
        picture = Image.fromarray(image).convert("L" if channels == 1 else "RGB")
        method, step = Image.Resampling(self.images["resample"]), (own[1] / inner[1], 0, 0, 0, own[0] / inner[0], 0)
        if inner != own and self.images["antialias"]:
            picture = picture.resize(inner[::-1], method)
        elif inner != own:  # each pixel samples the image at its centre
            picture = picture.transform(inner[::-1], Image.Transform.AFFINE, step, method)
        canvas = np.full((height, width, channels), self.images["pad_value"], np.uint8)
        canvas[: inner[0], : inner[1]] = np.asarray(picture).reshape(*inner, channels)
        return canvas, inner

    def _run(self, pixels: Array) -> Array:
        """Return the output for pixels (H, W, C), which fill the whole batch; classes are in front."""
        pixels = pixels[..., ::-1] if self.images["do_flip_channel_order"] else pixels
        axis = 2 if self.images["data_format"] == "channels_last" else 0
        image = np.stack([table[pixels[..., index]] for index, table in enumerate(self.tables)], axis)
        others = self.config["other_inputs"].items()
        feeds = {name: np.full(one["shape"], one["value"], one["dtype"]) for name, one in others}
        feeds[self.input["name"]] = np.repeat(image[None], self.input["batch_size"], axis=0)
        output: Array = self.session.run([self.output["name"]], feeds)[0][0]
        classes_last = output.ndim == 3 and self.output["data_format"] == "channels_last"
        return output.transpose(2, 0, 1) if classes_last else output

    def _slide(self, canvas: Array) -> Array:
        """Return the logits of all windows over an image; they are averaged where windows overlap."""
        height, width, stride = (
            self.images["size"]["height"],
            self.images["size"]["width"],
            self.images["window_stride"],
        )
        total, times = np.zeros((0, *canvas.shape[:2]), np.float32), np.zeros(canvas.shape[:2], np.float32)
        for top in _starts(canvas.shape[0], height, stride["height"]):
            for left in _starts(canvas.shape[1], width, stride["width"]):
                rows, columns = slice(top, top + height), slice(left, left + width)
                logits = self._run(canvas[rows, columns])
                total = total if len(total) else np.zeros((len(logits), *canvas.shape[:2]), np.float32)
                total[:, rows, columns] += np.concatenate([*_enlarged(logits, (height, width), logits.shape[1:])], 1)
                times[rows, columns] += 1
        return total / times


def _starts(length: int, window: int, stride: int) -> list[int]:
    """Return where windows start along an axis; the last one ends at the border."""
    return [min(index * stride, length - window) for index in range(-(-(length - window) // stride) + 1)]


def _nearest(labels: Array, size: Size, shown: Sequence[float]) -> Array:
    """Return a label map (H, W) at another size; `shown` is the part of it that shows the image."""
    rows, columns = (
        np.minimum(((np.arange(after) + 0.5) * part / after).astype(np.intp), before - 1)
        for before, part, after in zip(labels.shape, shown, size, strict=True)
    )
    resized: Array = labels[rows[:, None], columns]
    return resized


def _enlarged(values: Array, size: Size, shown: Sequence[float]) -> Iterator[Array]:
    """Yield logits (C, H, W) at another size, block by block of rows; `shown` is the part that shows the image.

    They are interpolated bilinearly between the centres of pixels, in float32.
    """
    if values.shape[1:] == size == tuple(shown):
        yield values
        return
    upper, lower, down = _between(values.shape[1], shown[0], size[0])
    left, right, across = _between(values.shape[2], shown[1], size[1])
    wide = values.astype(np.float32, copy=False)
    wide = wide[..., left] * (1 - across) + wide[..., right] * across
    for top in range(0, size[0], ROWS):
        block = slice(top, top + ROWS)
        weights = down[block, None]
        yield wide[:, upper[block]] * (1 - weights) + wide[:, lower[block]] * weights


def _between(before: int, shown: float, after: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return the two of `before` pixels that each of `after` pixels lies between, and the weight of the second."""
    scale = np.float32(shown) / np.float32(after)
    places = np.maximum(scale * (np.arange(after, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5), 0)
    last = min(math.ceil(shown), before) - 1  # what lies behind the image does not count
    first = np.minimum(places.astype(np.intp), last)
    return first, np.minimum(first + 1, last), places - first.astype(np.float32)
