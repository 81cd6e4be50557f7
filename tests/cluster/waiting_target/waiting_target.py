"""A target whose sessions wait instead of computing, hang or crash when they are told to, and write down when they ran.

To install it, put the folder of this file on PYTHONPATH. It runs the models that `write_model` writes.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastscnn_opt import Availability, latencies_ms, load_model, signature_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray


def write_model(file: Path, seed: int, height: int = 32, width: int = 64) -> None:
    """Write a network of one convolution from an image to 19 logits; `seed` chooses the weights."""
    import onnx

    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]> '
        f"net (float[1,3,{height},{width}] image) => (float[1,19,{height},{width}] logits)"
        " { logits = Conv(image, w) }"
    )
    weights = np.random.default_rng(seed).standard_normal((19, 3, 1, 1)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(model, file)


def logits(weights: NDArray[np.float32], image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the convolution gives for images of N, C, H, W; always the same to the last bit."""
    red, green, blue = (image[:, None, channel] * weights[:, channel, :, :] for channel in range(3))
    total: NDArray[np.float32] = red + green + blue
    return total


@dataclass(frozen=True)
class Waiting:
    """Wait for `image_ms` for each image, and for `timed_ms` where a run is timed.

    A session never returns from its run number `hang`, and ends its process in its run number `crash`; they count from
    1. `record` is the file that gets a line for each run and each turn of timing, with `label` in it.
    """

    image_ms: int = 0
    timed_ms: int = 20
    hang: int = 0
    crash: int = 0
    record: str = ""
    label: str = ""

    name: ClassVar[str] = "waiting"
    artefact_suffix: ClassVar[str] = ".onnx"

    def availability(self) -> Availability:
        return Availability(available=True, version="1.0")

    def tool_versions(self) -> dict[str, str]:
        return {"waiting": "1.0"}

    def compile(self, model: Path, artefact: Path, log: Path) -> None:
        shutil.copyfile(model, artefact)
        log.write_text("copied\n", "utf-8")

    def open(self, artefact: Path) -> WaitingSession:
        return WaitingSession(self, artefact)


class WaitingSession:
    """The numbers of the convolution, after a while."""

    def __init__(self, target: Waiting, artefact: Path) -> None:
        import onnx

        model = load_model(artefact)
        self.inputs, self.outputs = signature_of(model).inputs, signature_of(model).outputs
        self._weights = onnx.numpy_helper.to_array(model.graph.initializer[0])
        self._target = target
        self._runs = 0

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        image = feeds[self.inputs[0].name].astype(np.float32)
        with self._recorded("run", len(image)):
            self._wait(len(image) * self._target.image_ms)
        return {self.outputs[0].name: logits(self._weights, image)}

    def timer(self, feeds: Mapping[str, NDArray[np.generic]]) -> Callable[[int], list[float]]:
        images = len(feeds[self.inputs[0].name])

        def timed(iterations: int) -> list[float]:
            with self._recorded("time", images * iterations):
                return latencies_ms(lambda: self._wait(self._target.timed_ms), iterations)

        return timed

    def close(self) -> None:
        pass

    def _wait(self, ms: int) -> None:
        self._runs += 1
        if self._runs == self._target.crash:
            os.abort()
        while self._runs == self._target.hang:
            time.sleep(3600)
        time.sleep(ms / 1000)

    @contextmanager
    def _recorded(self, what: str, images: int) -> Iterator[None]:
        """Append a line on the block: the process, its node of Ray, and start and end on the clock of this machine."""
        start = time.monotonic()
        yield
        if self._target.record:
            line = {
                "what": what, "label": self._target.label, "images": images, "pid": os.getpid(),
                "node": os.environ.get("RAY_RAYLET_PID", ""), "start": start, "end": time.monotonic(),
            }  # fmt: skip
            with open(self._target.record, "a", encoding="utf-8") as lines:  # noqa: PTH123 - one write, so whole lines
                lines.write(json.dumps(line) + "\n")
