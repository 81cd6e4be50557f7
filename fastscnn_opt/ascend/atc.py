"""atc, the compiler of the CANN toolkit: its options, its command line, and its errors."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from fastscnn_opt.ascend.chip import OPSETS
from fastscnn_opt.ascend.soc import SocVersion  # noqa: TC001 - an option's type is looked up when it is checked
from fastscnn_opt.targets.options import written

if TYPE_CHECKING:
    from fastscnn_opt.errors import TargetError
    from fastscnn_opt.targets.processes.tool import Finished


class PrecisionMode(StrEnum):
    """In which type operators compute; atc's default is force_fp16."""

    FORCE_FP16 = "force_fp16"
    FORCE_FP32 = "force_fp32"
    ALLOW_MIX_PRECISION = "allow_mix_precision"
    ALLOW_FP32_TO_FP16 = "allow_fp32_to_fp16"
    MUST_KEEP_ORIGIN_DTYPE = "must_keep_origin_dtype"


class ImplementationMode(StrEnum):
    """Whether operators prefer speed, atc's default, or precision."""

    HIGH_PERFORMANCE = "high_performance"
    HIGH_PRECISION = "high_precision"


class AutoTuneMode(StrEnum):
    """How atc searches for faster schedules: by reinforcement learning, a genetic algorithm, or both; takes hours."""

    RL = "RL"
    GA = "GA"
    BOTH = "RL,GA"


class BufferOptimize(StrEnum):
    """Which on-chip buffer fused operators share."""

    L2 = "l2_optimize"
    L1 = "l1_optimize"
    OFF = "off_optimize"


class SmallChannel(IntEnum):
    """Whether convolutions of few channels get a special layout."""

    OFF = 0
    ON = 1


class LogLevel(StrEnum):
    """How much atc says."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    NULL = "null"


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
    "E10001": "check the option that it names; open dimensions of the model are fixed with `--passes static-batch`",
    "E10016": "check the names in the options against the model",
    "E16005": "leave one version of each operator domain in the model, or export it again",
    "E19010": f"replace the operator with a pass, or export the model with opset {OPSETS}",
}
"""How to mend what the codes stand for that users meet."""


@dataclass(frozen=True)
class AtcOptions:
    """The flags of atc under atc's own names; None leaves a flag out, and the model decides on shapes and output types.

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
    optypelist_for_implmode
        ``Op,...``: operator types that `op_select_implmode` is for.
    insert_op_conf
        AIPP file; see `aipp`.
    dynamic_batch_size, dynamic_image_size
        ``1,2,4`` or ``512,1024;1024,2048`` (height, width): sizes to choose from at run time. The result can only be
        run by other tools.
    """

    soc_version: SocVersion = "Ascend310"
    input_shape: InputShape | None = None
    output_type: OutputType | None = None
    out_nodes: OutNodes | None = None
    input_fp16_nodes: str | None = None
    is_input_adjust_hw_layout: Switches | None = None
    is_output_adjust_hw_layout: Switches | None = None
    precision_mode: PrecisionMode | None = None
    op_select_implmode: ImplementationMode | None = None
    optypelist_for_implmode: str | None = None
    auto_tune_mode: AutoTuneMode | None = None
    buffer_optimize: BufferOptimize | None = None
    enable_small_channel: SmallChannel | None = None
    insert_op_conf: Path | None = None
    fusion_switch_file: Path | None = None
    dynamic_batch_size: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    dynamic_image_size: ImageSizes | None = None
    log: LogLevel | None = None


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
    """Return the error of a failed compilation: atc's first error line, and atc's solution or ours."""
    lines = finished.output.splitlines()
    # Codes are a letter, then five digits (E10001), or another letter and four (EZ9999).
    errors = [line for line in lines if re.match(r"E(\d{5}|[A-Z]\d{4}):", line)]
    if not errors:
        return finished.failure()
    solution = re.search(r"^\s+Solution:[ \t]*(\S.*)$", finished.output, re.MULTILINE)
    cure = _PER_CODE.get(errors[0].partition(":")[0]) or (solution.group(1).rstrip(".") if solution else "")
    return finished.failure(errors[0].strip().rstrip("."), cure)
