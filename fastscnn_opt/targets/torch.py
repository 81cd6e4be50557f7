"""The network as it was trained: a FastSCNN checkpoint, run by torch."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from fastscnn_opt.errors import TargetError
from fastscnn_opt.machine import cpu_model, usable_cores
from fastscnn_opt.measuring.session import Closable, Session, latencies_ms
from fastscnn_opt.rewriting.options import check_options
from fastscnn_opt.targets.base import Availability
from fastscnn_opt.targets.signature import Signature, signature_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from fastscnn_opt.network.module import FastSCNN


class Device(StrEnum):
    """Where the network runs."""

    CPU = "cpu"
    CUDA = "cuda"


@dataclass(frozen=True)
class Torch:
    """A FastSCNN checkpoint in torch, in float32, as it was trained: the row that others lose accuracy against.

    The artefact is the checkpoint, with the inputs and outputs of the exported model beside it. There is no ONNX file
    in between, so passes do not apply.

    Attributes
    ----------
    threads
        Threads of one operator, of the whole process; None takes every core this process may use.
    device
        cpu or cuda. Without such a device, the target is not available.
    """

    threads: Annotated[int, Field(ge=1)] | None = None
    device: Device = Device.CPU

    name: ClassVar[str] = "torch"
    artefact_suffix: ClassVar[str] = ".pth"

    def __post_init__(self) -> None:
        check_options(self, self.name)

    def availability(self) -> Availability:
        """Tell whether torch can be imported and has the device."""
        try:
            import torch
        except ImportError as error:
            cure = "pip install 'fastscnn-opt[export]'"
            return Availability(available=False, missing=f"torch cannot be imported ({error})", cure=cure)
        if self.device is Device.CUDA and not torch.cuda.is_available():
            missing = f"torch {torch.__version__} finds no CUDA device"
            cure = "install torch for CUDA on a machine with such a device, or set device to cpu"
            return Availability(available=False, missing=missing, cure=cure)
        return Availability(available=True, version=str(torch.__version__))

    def tool_versions(self) -> dict[str, str]:
        """Return the version of torch, the processor, and the GPU if it is used."""
        availability = self.availability()
        versions = {"torch": availability.version, "cpu": cpu_model()}
        if self.device is Device.CUDA and availability.available:
            import torch

            versions["gpu"] = torch.cuda.get_device_name()
        return versions

    def compile(self, model: Path, artefact: Path, log: Path) -> None:
        """Refuse a model that does not come with its checkpoint. Raises TargetError."""
        del artefact, log
        raise TargetError(
            "the target torch runs only the checkpoint that a variants file names",
            where=model,
            cure="give checkpoint in [model], and use `score`",
        )

    def compile_checkpoint(self, checkpoint: Path, model: Path, artefact: Path) -> None:
        """Copy the checkpoint, and store inputs and outputs of the exported `model` beside it. Raises ModelError."""
        from fastscnn_opt.model.loading import load_model

        signature_of(load_model(model)).save(artefact)
        shutil.copyfile(checkpoint, artefact)

    def open(self, artefact: Path) -> Session:
        """Open a checkpoint that has its inputs and outputs beside it. Raises TargetError or CheckpointError."""
        availability = self.availability()
        if not availability.available:
            raise availability.error(artefact)
        import torch

        from fastscnn_opt.network.checkpoint import load_checkpoint
        from fastscnn_opt.network.module import load_network

        signature = Signature.load(artefact)
        torch.set_num_threads(self.threads or usable_cores())
        torch.backends.cudnn.allow_tf32 = False  # float32 is float32
        network = load_network(load_checkpoint(artefact, with_heads=len(signature.outputs) > 1))
        return _TorchSession(network.to(self.device), artefact, signature, self.device)


class _TorchSession(Closable["FastSCNN"]):
    """A network in torch as a `Session`."""

    def __init__(self, network: FastSCNN, file: Path, signature: Signature, device: Device) -> None:
        super().__init__(network, file)
        self.inputs = signature.inputs
        self.outputs = signature.outputs
        self._device = device

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        results = self._infer(self._image(feeds))
        return {spec.name: result.cpu().numpy() for spec, result in zip(self.outputs, results, strict=True)}

    def timer(self, feeds: Mapping[str, NDArray[np.generic]]) -> Callable[[int], list[float]]:
        """Move the input to the device once and leave the outputs there, so that no copy is timed."""
        image = self._image(feeds)
        return lambda iterations: latencies_ms(lambda: self._infer(image), iterations)

    def _infer(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run once, until the outputs are there."""
        import torch

        with torch.inference_mode():
            results = self._engine(image, auxiliary=len(self.outputs) > 1)
        if self._device is Device.CUDA:
            torch.cuda.synchronize()
        found: tuple[torch.Tensor, ...] = results
        return found

    def _image(self, feeds: Mapping[str, NDArray[np.generic]]) -> torch.Tensor:
        """Return the only input on the device. Raises TargetError if the feeds are not that."""
        import torch

        (spec,) = self.inputs
        given = {name: (value.shape, str(value.dtype)) for name, value in feeds.items()}
        if given != {spec.name: (spec.shape, spec.dtype)}:
            words = ", ".join(f"{name!r} {dtype} {list(shape)}" for name, (shape, dtype) in given.items()) or "nothing"
            what = f"the network takes {spec.name!r} {spec.dtype} {list(spec.shape)}, not {words}"
            raise TargetError(what, where=self._file)
        return torch.from_numpy(np.array(feeds[spec.name])).to(self._device)
