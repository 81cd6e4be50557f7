"""Exports a checkpoint, or the bundled demo network, to an ONNX file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.files import check_place
from fastscnn_opt.model.metadata import add_metadata
from fastscnn_opt.model.saving import fingerprint, keep_apart, save_model
from fastscnn_opt.network.checking import ExportCheck, check_export, require_torch
from fastscnn_opt.network.describing import describe
from fastscnn_opt.network.export import export_checkpoint
from fastscnn_opt.network.layout import Outputs, Pooling
from fastscnn_opt.network.layouts import SEGMENTRON
from fastscnn_opt.rewriting.manager import PassManager

if TYPE_CHECKING:
    import os

    import onnx

    from fastscnn_opt.data.source import DataSource


SIZE = (1024, 2048)
"""Height and width of the input of an exported model, where nothing else is asked for."""

OPSET = 13
"""Version of the operator set of an exported model, where nothing else is asked for."""


@dataclass(frozen=True)
class ExportedModel:
    """An ONNX file that was written: layout of the checkpoint, numbers of classes and nodes, and its `fingerprint`.

    `check` says how far it is from the checkpoint, if that was asked for.
    """

    layout: str
    classes: int
    nodes: int
    sha256: str
    check: ExportCheck | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what `export` prints."""
        known = {key: value for key, value in asdict(self).items() if key != "check"}
        return known if self.check is None else {**known, "check": self.check.to_json()}


def export_to_file(  # noqa: PLR0913 - one parameter for each option of the command
    checkpoint: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    shape: tuple[int, int, int] = (1, *SIZE),
    outputs: Outputs = Outputs.MAIN,
    opset: int = OPSET,
    pooling: Pooling = Pooling.MATMUL,
    stem_padding: int | None = None,
    check: DataSource | None = None,
) -> ExportedModel:
    """Write a FastSCNN checkpoint as an ONNX file.

    Parameters
    ----------
    checkpoint
        A ``.pth`` or ``.pdparams`` file of a known layout.
    output
        The ONNX file.
    shape
        Batch, height and width of the input; height and width are multiples of 32.
    outputs
        ``main`` for ``output1`` alone, ``all`` for the auxiliary heads of the checkpoint, too.
    opset
        Version of the default operator set, 11 or newer.
    pooling
        How adaptive average pooling is written.
    stem_padding
        Padding of the first convolution, 0 or 1, where it is not that of the layout.
    check
        Images on which the file in onnxruntime is compared with the checkpoint in torch. Another result than the
        checkpoint's is no error: ``check.passed`` of what is returned tells.

    Raises
    ------
    CheckpointError
        The checkpoint cannot be read or does not fit the network; or torch is missing, which `check` needs.
    DataError, TargetError
        The images of `check` cannot be used, or onnxruntime does not run the model, such as one with pooling ``keep``.
    ModelError
        No network can be built for this size, opset or padding, or the output is the checkpoint itself.
    OSError
        The file cannot be written.
    """
    checkpoint, output = Path(checkpoint), Path(output)
    check_place(output)
    keep_apart(output, checkpoint, "checkpoint")
    if check is not None:
        require_torch(checkpoint)
    batch, height, width = shape
    model = export_checkpoint(
        checkpoint,
        batch=batch,
        height=height,
        width=width,
        outputs=outputs,
        opset=opset,
        stem_padding=stem_padding,
    )
    made = _write(model, _lowering(pooling), output)
    if check is None:
        return made
    return replace(made, check=check_export(checkpoint, output, check, outputs=outputs, stem_padding=stem_padding))


def export_demo_to_file(
    output: Path, *, batch: int = 1, outputs: Outputs = Outputs.MAIN, pooling: Pooling = Pooling.MATMUL
) -> ExportedModel:
    """Write the bundled demo network as the ONNX file `output`; its height, width and opset are fixed.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    from fastscnn_opt.demo.network import demo_model

    check_place(output)
    passes = _lowering(pooling)
    if outputs is Outputs.MAIN:
        passes.append("drop-outputs")
    if batch != 1:
        passes.append(f"static-batch{{n={batch}}}")
    model = demo_model()
    add_metadata(model, describe(SEGMENTRON, _classes(model)))
    return _write(model, passes, output)


def _lowering(pooling: Pooling) -> list[str]:
    return [] if pooling is Pooling.KEEP else [f"adaptive-avgpool{{lower={pooling}}}"]


def _write(model: onnx.ModelProto, passes: list[str], output: Path) -> ExportedModel:
    model = PassManager(",".join(passes)).run(model).model
    save_model(model, output)
    layout = next((prop.value for prop in model.metadata_props if prop.key == "layout"), "")
    return ExportedModel(layout, _classes(model), len(model.graph.node), fingerprint(model))


def _classes(model: onnx.ModelProto) -> int:
    return int(model.graph.output[0].type.tensor_type.shape.dim[1].dim_value)
