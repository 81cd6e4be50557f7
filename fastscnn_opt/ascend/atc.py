"""atc, the compiler of the CANN toolkit: its options, its command line, and its errors."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from fastscnn_opt.ascend.chip import OPSETS, SOC_FORM, SOC_VERSION
from fastscnn_opt.ascend.error_codes import find_error
from fastscnn_opt.rewriting.options import written

if TYPE_CHECKING:
    from fastscnn_opt.errors import TargetError
    from fastscnn_opt.processes.tool import Finished


PrecisionMode = Literal[
    "force_fp16", "force_fp32", "allow_mix_precision", "allow_fp32_to_fp16", "must_keep_origin_dtype"
]
SocVersion = Annotated[
    str,
    written(
        SOC_FORM,
        "Ascend310, Ascend310P3, Ascend710, Ascend310B4, or Ascend910 with a letter such as A",
    ),
]
InputShape = Annotated[str, written(r"[^;]+:-?\d+(,-?\d+)*(;[^;]+:-?\d+(,-?\d+)*)*", "name:1,3,1024,2048;...")]
OutNodes = Annotated[str, written(r"[^;]+:\d+(;[^;]+:\d+)*", "node:0;...")]
OutputType = Annotated[
    str,
    written(
        r"(FP32|FP16|UINT8)|[^;]+:\d+:(FP32|FP16|UINT8)(;[^;]+:\d+:(FP32|FP16|UINT8))*",
        "FP32, FP16, UINT8, or node:0:FP16;...",
    ),
]
Switches = Annotated[str, written(r"(true|false)(,(true|false))*", "true,false,...")]
ImageSizes = Annotated[str, written(r"\d+,\d+(;\d+,\d+)*", "512,1024;1024,2048")]

_PER_CODE = {
    "E10001": "check the option that it names; open dimensions of the model are fixed with the pass static-shape",
    "E10016": "check the names in the options against the model",
    "E16005": "leave one version of each operator domain in the model, or export it again",
    "E19010": f"replace the operator with a pass, or export the model with opset {OPSETS}",
}
"""Cures for the error codes that users meet."""


@dataclass(frozen=True)
class AtcOptions:
    """The flags of atc under atc's own names; None leaves a flag out. Shapes and output types default to the model's.

    Attributes
    ----------
    soc_version
        Processor to compile for.
    input_shape
        ``name:1,3,1024,2048;...``; by default the shapes in the model.
    output_type
        FP32, FP16 or UINT8 for every output, or ``node:index:FP16;...`` for some; by default the types in the model.
    out_nodes
        ``node:index;...``; by default the outputs of the model.
    input_fp16_nodes
        ``input;...``: inputs that are fed as float16.
    is_input_adjust_hw_layout, is_output_adjust_hw_layout
        ``true`` or ``true,false,...``: inputs of `input_fp16_nodes`, or outputs of `out_nodes`, cross the boundary as
        float16 in the device's own layout N, C1, H, W, 16 (C1 = channels / 16, rounded up), which saves their
        conversion on the device.
    precision_mode
        In which type operators compute; atc's default is force_fp16.
    op_select_implmode
        Whether operators prefer speed, atc's default, or precision.
    optypelist_for_implmode
        ``Op,...``: operator types that `op_select_implmode` is for.
    auto_tune_mode
        How atc searches for faster schedules: by reinforcement learning, a genetic algorithm, or both; takes hours.
    buffer_optimize
        Which on-chip buffer fused operators share.
    enable_small_channel
        Whether convolutions of few channels get a special layout.
    insert_op_conf
        AIPP file; see `aipp`.
    dynamic_batch_size, dynamic_image_size
        ``1,2,4`` or ``512,1024;1024,2048`` (height, width): sizes to choose from at run time. The result can only be
        run by other tools.
    log
        How much atc prints.
    """

    soc_version: SocVersion = SOC_VERSION
    input_shape: InputShape | None = None
    output_type: OutputType | None = None
    out_nodes: OutNodes | None = None
    input_fp16_nodes: str | None = None
    is_input_adjust_hw_layout: Switches | None = None
    is_output_adjust_hw_layout: Switches | None = None
    precision_mode: PrecisionMode | None = None
    op_select_implmode: Literal["high_performance", "high_precision"] | None = None
    optypelist_for_implmode: str | None = None
    auto_tune_mode: Literal["RL", "GA", "RL,GA"] | None = None
    buffer_optimize: Literal["l2_optimize", "l1_optimize", "off_optimize"] | None = None
    enable_small_channel: Annotated[int, Field(ge=0, le=1)] | None = None
    insert_op_conf: Path | None = None
    fusion_switch_file: Path | None = None
    dynamic_batch_size: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    dynamic_image_size: ImageSizes | None = None
    log: Literal["debug", "info", "warning", "error", "null"] | None = None


def atc_command(atc: str, options: AtcOptions, model: Path, output: Path) -> list[str]:
    """Return the argument list that compiles the ONNX file `model` to `output` with ``.om`` added."""
    given = ((field.name, getattr(options, field.name)) for field in fields(AtcOptions))
    return [
        atc,
        "--framework=5",  # ONNX
        f"--model={model}",
        f"--output={output}",
        "--input_format=NCHW",
        *(f"--{name}={_text(value)}" for name, value in given if value is not None),
    ]


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value.resolve() if isinstance(value, Path) else value)


def atc_failure(finished: Finished) -> TargetError:
    """Return the error of a failed compilation: the first error that atc tells, and our cure or else atc's solution."""
    error = find_error(finished.output)
    if error is None or not error.code:
        return finished.failure()
    return finished.failure(str(error), _PER_CODE.get(error.code) or error.cure)
