"""Findings about TransData, which converts between N, C, H, W and the device's own layout N, C1, H, W, 16."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.profile.base import dtype_name
from fastscnn_opt.ascend.profile.finding import NO_CURE, Finding, Rest, grouped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from fastscnn_opt.ascend.profile.base import Operator
    from fastscnn_opt.ascend.profile.tables import TensorColumn

Patches = Mapping[tuple[str, tuple[int, ...]], str]
"""Names of patches by the function and the shape N, C, H, W that they list."""


def find_conversions(rest: Rest, patches: Patches, tables: Sequence[Path]) -> Iterator[Finding]:
    """Find what converts layouts: at the outputs and inputs of the network, and between its operators.

    `patches` tells which shapes shipped patches list, `tables` where the profile is from.
    """
    yield from _to_nchw(rest, patches, tables)
    yield from _from_nchw(rest, patches, tables)
    yield from _others(rest)


def _to_nchw(rest: Rest, patches: Patches, tables: Sequence[Path]) -> Iterator[Finding]:
    groups = grouped(
        rest.take(lambda operator: operator.op_type == "TransData" and _format(operator.outputs) == "NCHW"),
        lambda operator: operator.outputs[0],
    )
    readers = {tensor: _types(operator for operator in rest.all if tensor in operator.inputs) for tensor in groups}
    outputs = sum(len(group) for tensor, group in groups.items() if not readers[tensor])
    for tensor, group in groups.items():
        before, after = rest.take_before(group, ("Cast",)), rest.take_after(group, ("Cast",))
        operators = (*group, *before, *after)
        wide = _has_float32(tensor, *(cast.outputs for cast in after))
        what = f"{len(group)} TransData to NCHW, {_describe(tensor)}"
        way, patch = _listing("five_2_four", "float32", tensor, patches, tables)
        if readers[tensor]:
            yield Finding(f"{what}, for {readers[tensor]}", operators, way or NO_CURE, patch=patch)
            continue
        cures = []
        if wide:
            cures.append("make the output float16, which is converted far faster, with the pass `fp16-output`")
        elif tensor.dtype == "float16":
            cures.append("the compile option `is_output_adjust_hw_layout` leaves the conversion to the reader")
        if outputs > 1:
            cures.append("remove outputs that nobody reads with the pass `drop-outputs`")
        if way:
            cures.append(f"if it has to stay float32, {way}")
        passes = ["drop-outputs"] * (outputs > 1) + ["fp16-output"] * wide
        yield Finding(what, operators, "; ".join(cures) or NO_CURE, ",".join(passes), patch)


def _from_nchw(rest: Rest, patches: Patches, tables: Sequence[Path]) -> Iterator[Finding]:
    groups = grouped(
        rest.take(lambda operator: operator.op_type == "TransData" and _format(operator.inputs) == "NCHW"),
        lambda operator: operator.inputs[0],
    )
    for tensor, group in groups.items():
        before, after = rest.take_before(group, ("Cast",)), rest.take_after(group, ("Cast",))
        operators = (*group, *before, *after)
        wide = _has_float32(tensor, *(cast.inputs for cast in before))
        what = f"{len(group)} TransData from NCHW, {_describe(tensor)}"
        way, patch = _listing("four_2_five", "float16", tensor, patches, tables)
        makers = _types(operator for operator in rest.all if tensor in operator.outputs)
        if makers:
            yield Finding(f"{what}, of {makers}", operators, way or NO_CURE, patch=patch)
            continue
        cures = [way] if way else []
        if wide:
            cures.append("feed float16, which the white lists are for, with the compile option `input_fp16_nodes`")
        cures.append("feed raw images through AIPP with the compile option `insert_op_conf`")
        yield Finding(what, operators, "; ".join(cures), patch=patch)


def _others(rest: Rest) -> Iterator[Finding]:
    unknown = rest.take(lambda operator: operator.op_type == "TransData" and not operator.outputs)
    if unknown:
        yield Finding(
            f"{sum(operator.executions for operator in unknown)} TransData of unknown shape",
            tuple(unknown),
            "those of float32 outputs are the slow ones: the passes `fp16-output` and `drop-outputs`, or the patch "
            "`cann-5.0.2`; the op_summary of the same run tells which they are",
            "drop-outputs,fp16-output",
        )
    inner = rest.take(lambda operator: operator.op_type == "TransData")
    for (source, result), group in grouped(inner, _formats).items():
        yield Finding(f"{len(group)} TransData from {source} to {result}", tuple(group), NO_CURE)
    transposes = rest.take(lambda operator: operator.op_type == "TransposeD")
    if transposes:
        yield Finding(
            f"{len(transposes)} TransposeD",
            tuple(transposes),
            "they stand around operators that leave the AI Core, where `adaptive-avgpool` and `large-avgpool` replace "
            "pooling, or are Transpose nodes of the model, which no pass removes",
        )


def _types(operators: Iterable[Operator]) -> str:
    """Return the types of operators that are more than conversions themselves."""
    return " and ".join(sorted({operator.op_type for operator in operators} - {"TransData", "Cast"}))


def _listing(
    function: str, dtype: str, tensor: TensorColumn, patches: Patches, tables: Sequence[Path]
) -> tuple[str, str]:
    """Return how to get a tensor on the white list of a function, and the shipped patch that does so, if any.

    Both are empty where that would save nothing: the list of `five_2_four` does so for float32, since float16 is fast
    without it, and the one of `four_2_five` is for float16.
    """
    if dtype_name(tensor) != dtype or tensor.shape is None or len(tensor.shape) != 4:
        return "", ""
    patch = patches.get((function, tensor.shape), "")
    if patch:
        return f"list its shape with `fastscnn-opt patch apply {patch}`, unless that is done", patch
    profile = shlex.quote(str(tables[0]))
    return f"list its shape with a patch from `fastscnn-opt patch derive --profile {profile}`", ""


def _format(tensors: Sequence[TensorColumn]) -> str:
    return tensors[0].format if tensors else ""


def _formats(operator: Operator) -> tuple[str, str]:
    return _format(operator.inputs), _format(operator.outputs)


def _has_float32(tensor: TensorColumn, *others: Sequence[TensorColumn]) -> bool:
    return any(dtype_name(item) == "float32" for item in (tensor, *chain.from_iterable(others)))


def _describe(tensor: TensorColumn) -> str:
    return f"{dtype_name(tensor)} {'x'.join(map(str, tensor.shape)) if tensor.shape else 'of unknown shape'}"
