"""Train the demo network: ``python -m fastscnn_opt.demo.training --out DIR``. Needs torch.

Made for two CPU cores and an hour. It learns from scenes of seeds from 1,000,000 on and is validated with scenes of
seeds from 2,000,000 on; evaluations count from seed 0, so they see neither. Most of the time it learns from crops, and
in the end from whole frames with batch normalisation frozen, because the pyramid pooling sees other statistics in a
crop than in a frame. The result is an exponential moving average of the weights. The schedule follows the clock, not
the steps: a slower machine learns less, not longer. Where other programs share the cores, set OMP_WAIT_POLICY=PASSIVE,
or the spinning threads of OpenMP make every step many times slower.

DIR receives the scenes, ``log.jsonl``, ``demo.onnx`` and ``demo.pth``; with ``--install``, ``demo.onnx`` and the log
replace those bundled with the package.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from fastscnn_opt.data.presets import preset_classes
from fastscnn_opt.demo.network import DEMO_FILE, store_as_float16
from fastscnn_opt.demo.training_loss import total_loss
from fastscnn_opt.demo.training_scenes import Scenes, class_frequencies, normalised, random_crops, rendered
from fastscnn_opt.measuring.metric import ConfusionMatrix
from fastscnn_opt.network.export import build_model
from fastscnn_opt.network.layouts import SEGMENTRON
from fastscnn_opt.network.module import FastSCNN

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

TRAINING_SEED = 1_000_000
VALIDATION_SEED = 2_000_000
VALIDATION_SCENES = 16

CROP = (512, 1024)
CROP_BATCH = 4
FRAME = (1024, 2048)
FRAME_BATCH = 2
CROP_SHARE = 0.75
"""Share of the time that goes to crops."""

LOSS_STEP = 4
"""The loss looks at every fourth row and column of the full resolution, from a random start."""

LEARNING_RATE = 4e-3
WEIGHT_DECAY = 1e-2
WARM_UP = 0.03
"""Share of the time in which the learning rate rises."""

AVERAGE_DECAY = 0.995
"""Decay per step of the moving average of the weights."""

VALIDATION_MINUTES = 6.0
LOG_STEPS = 25
LOG_FILE = "log.jsonl"


class Training:
    """A network in training, the moving average of its weights, and how far it is."""

    def __init__(self, minutes: float) -> None:
        torch.manual_seed(0)
        self.minutes = minutes
        self.network = FastSCNN(SEGMENTRON, len(preset_classes("cityscapes")), SEGMENTRON.heads)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # missing in torch's stubs
        self.average = copy.deepcopy(self.network).eval()
        self.optimizer = torch.optim.AdamW(parameter_groups(self.network), lr=LEARNING_RATE)
        self.step = 0
        self.elapsed = 0.0

    @property
    def progress(self) -> float:
        """Share of the time that has passed, 0 to 1."""
        return min(self.elapsed / self.minutes, 1.0)

    def advance(self, scenes: Scenes, class_weights: Tensor) -> float:
        """Take one step and return its loss."""
        whole = self.progress >= CROP_SHARE
        self.network.train()
        if whole:
            freeze_batch_norm(self.network)
        generator = torch.Generator().manual_seed(self.step)
        size, batch = (FRAME, FRAME_BATCH) if whole else (CROP, CROP_BATCH)
        images, labels = random_crops(scenes, size, batch, generator)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.progress)
        with torch.autocast("cpu", torch.bfloat16):
            outputs = self.network(normalised(images), auxiliary=True, size=(size[0] // 8, size[1] // 8))
        loss = total_loss(outputs, labels, class_weights, LOSS_STEP, generator)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it without annotations
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        update_average(self.average, self.network, min(AVERAGE_DECAY, self.step / (self.step + 10)))
        return loss.item()


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """Split the parameters: convolution weights decay, biases and batch normalisation do not."""
    decaying = [parameter for parameter in network.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in network.parameters() if parameter.dim() <= 1]
    return [{"params": decaying, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]


def learning_rate(progress: float) -> float:
    """Return the learning rate: a linear rise, then half a cosine to zero."""
    if progress < WARM_UP:
        return LEARNING_RATE * max(progress / WARM_UP, 0.02)
    return LEARNING_RATE * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2


def freeze_batch_norm(network: nn.Module) -> None:
    """Make batch normalisation use and keep its running statistics; two frames are too few for the coarsest pooling."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move every weight and statistic of `average` towards `network`."""
    for averaged, current in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if averaged.is_floating_point():
            averaged.lerp_(current, 1 - decay)
        else:
            averaged.copy_(current)


def weights_of(frequencies: NDArray[np.float64]) -> Tensor:
    """Return class weights, the inverse root of each frequency, that leave the mean weight of a pixel at 1."""
    weights = 1 / np.sqrt(np.maximum(frequencies, 1e-4))
    return torch.from_numpy(weights / (weights * frequencies).sum()).float()


@torch.no_grad()
def evaluate(network: FastSCNN, scenes: Scenes) -> dict[str, Any]:
    """Return pixAcc, mIoU and the IoU of each class that is present, over whole scenes at full resolution."""
    confusion = ConfusionMatrix.empty(preset_classes("cityscapes").names)
    network.eval()
    for image, label in zip(scenes.images, scenes.labels, strict=True):
        with torch.autocast("cpu", torch.bfloat16):
            (logits,) = network(normalised(image[None]))
        confusion.update(label, logits[0].argmax(dim=0).numpy())
    iou = {name: round(value, 4) for name, value in confusion.iou.items() if value is not None}
    return {"pixAcc": round(confusion.pix_acc, 4), "mIoU": round(confusion.miou, 4), "iou": iou}


def train(folder: Path, *, minutes: float, scenes: int, threads: int) -> None:
    """Render the scenes, train, and write the log and the network into `folder`; see the module's docstring."""
    torch.set_num_threads(threads)
    learned = rendered(folder, TRAINING_SEED, scenes, threads)
    held_out = rendered(folder, VALIDATION_SEED, VALIDATION_SCENES, threads)
    training = Training(minutes)
    log_file = folder / LOG_FILE
    log_file.unlink(missing_ok=True)

    def log(**figures: Any) -> None:
        row = {"step": training.step, "minutes": round(training.elapsed, 2), **figures}
        with log_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        logger.info("%s", row)

    run(training, learned, held_out, weights_of(class_frequencies(learned)), log)
    log(phase="final", **evaluate(training.average, held_out))
    write_network(training.average, folder)


def run(training: Training, scenes: Scenes, held_out: Scenes, class_weights: Tensor, log: Callable[..., None]) -> None:
    """Take steps until the time is over; log and validate now and then. Validation does not count as time."""
    validated = 0.0
    losses: list[float] = []
    while training.progress < 1:
        start = time.monotonic()
        losses.append(training.advance(scenes, class_weights))
        training.elapsed += (time.monotonic() - start) / 60
        if training.step % LOG_STEPS == 0:
            log(loss=round(sum(losses) / len(losses), 4), lr=round(learning_rate(training.progress), 6))
            losses.clear()
        if training.elapsed - validated >= VALIDATION_MINUTES:
            log(**evaluate(training.average, held_out))
            validated = training.elapsed


def write_network(network: FastSCNN, folder: Path) -> None:
    """Write the weights as the checkpoint ``demo.pth`` and, rounded to float16, as ``demo.onnx``."""
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    torch.save(state, folder / "demo.pth")
    weights = {key: value.float().numpy() for key, value in state.items()}
    model = build_model(network.layout, weights, heads=network.heads)
    onnx.save(store_as_float16(model), folder / DEMO_FILE)


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(prog="python -m fastscnn_opt.demo.training", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for scenes, log and result")
    parser.add_argument("--minutes", type=float, default=50.0, help="training time (default %(default)s)")
    parser.add_argument("--scenes", type=int, default=800, help="training scenes (default %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default %(default)s)")
    parser.add_argument("--install", action="store_true", help="replace the network bundled with the package")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    given.out.mkdir(parents=True, exist_ok=True)
    train(given.out, minutes=given.minutes, scenes=given.scenes, threads=given.threads)
    if given.install:
        package = Path(__file__).parent
        shutil.copyfile(given.out / DEMO_FILE, package / DEMO_FILE)
        shutil.copyfile(given.out / LOG_FILE, package / "demo_training.jsonl")


if __name__ == "__main__":
    main()
