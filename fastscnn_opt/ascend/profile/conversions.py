"""Find the TransData, which convert between N, C, H, W and the device's own layout N, C1, H, W, 16."""

from __future__ import annotations

import shlex
from itertools import chain
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.chip import FROM_NCHW, TO_NCHW
from fastscnn_opt.ascend.profile.hotspot import NO_CURE, Hotspot, UnassignedOperators, grouped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from fastscnn_opt.ascend.chip import ListedShape
    from fastscnn_opt.ascend.profile.profile import Operator
    from fastscnn_opt.ascend.profile.tables import ProfiledTensor


def find_conversions(
    unassigned: UnassignedOperators, patches: Mapping[ListedShape, str], tables: Sequence[Path]
) -> Iterator[Hotspot]:
    """Find what converts layouts: at the outputs and inputs of the network, and between its operators.

    `patches` is as in `find_hotspots`; `tables` are the files of the profile.
    """
    yield from _to_nchw(unassigned, patches, tables)
    yield from _from_nchw(unassigned, patches, tables)
    yield from _others(unassigned)


def _to_nchw(
    unassigned: UnassignedOperators, patches: Mapping[ListedShape, str], tables: Sequence[Path]
) -> Iterator[Hotspot]:
    groups = grouped(
        unassigned.take(lambda operator: operator.op_type == "TransData" and _format(operator.outputs) == "NCHW"),
        lambda operator: operator.outputs[0],
    )
    readers = {
        tensor: _types(operator for operator in unassigned.all if tensor in operator.inputs) for tensor in groups
    }
    outputs = sum(len(group) for tensor, group in groups.items() if not readers[tensor])
    for tensor, group in groups.items():
        before, after = unassigned.take_before(group, ("Cast",)), unassigned.take_after(group, ("Cast",))
        operators = (*group, *before, *after)
        wide = _has_float32(tensor, *(cast.outputs for cast in after))
        what = f"{len(group)} TransData to NCHW, {_describe(tensor)}"
        way, patch = _listing(TO_NCHW, "float32", tensor, patches, tables)
        if readers[tensor]:
            yield Hotspot(f"{what}, for {readers[tensor]}", operators, way or NO_CURE, patch=patch)
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
        yield Hotspot(what, operators, "; ".join(cures) or NO_CURE, ",".join(passes), patch)


def _from_nchw(
    unassigned: UnassignedOperators, patches: Mapping[ListedShape, str], tables: Sequence[Path]
) -> Iterator[Hotspot]:
    groups = grouped(
        unassigned.take(lambda operator: operator.op_type == "TransData" and _format(operator.inputs) == "NCHW"),
        lambda operator: operator.inputs[0],
    )
    for tensor, group in groups.items():
        before, after = unassigned.take_before(group, ("Cast",)), unassigned.take_after(group, ("Cast",))
        operators = (*group, *before, *after)
        wide = _has_float32(tensor, *(cast.inputs for cast in before))
        what = f"{len(group)} TransData from NCHW, {_describe(tensor)}"
        way, patch = _listing(FROM_NCHW, "float16", tensor, patches, tables)
        makers = _types(operator for operator in unassigned.all if tensor in operator.outputs)
        if makers:
            yield Hotspot(f"{what}, of {makers}", operators, way or NO_CURE, patch=patch)
            continue
        cures = [way] if way else []
        if wide:
            cures.append("feed float16, which the white lists are for, with the compile option `input_fp16_nodes`")
        cures.append("feed raw images through AIPP with the compile option `insert_op_conf`")
        yield Hotspot(what, operators, "; ".join(cures), patch=patch)


def _others(unassigned: UnassignedOperators) -> Iterator[Hotspot]:
    unknown = unassigned.take(lambda operator: operator.op_type == "TransData" and not operator.outputs)
    if unknown:
        yield Hotspot(
            f"{sum(operator.executions for operator in unknown)} TransData of unknown shape",
            tuple(unknown),
            "those of float32 outputs are the slow ones: the passes `fp16-output` and `drop-outputs`, or the patch "
            "`cann-5.0.2`; the op_summary of the same run tells which they are",
            "drop-outputs,fp16-output",
        )
    inner = unassigned.take(lambda operator: operator.op_type == "TransData")
    for (source, result), group in grouped(inner, _formats).items():
        yield Hotspot(f"{len(group)} TransData from {source} to {result}", tuple(group), NO_CURE)
    transposes = unassigned.take(lambda operator: operator.op_type == "TransposeD")
    if transposes:
        yield Hotspot(
            f"{len(transposes)} TransposeD",
            tuple(transposes),
            "they stand around operators that leave the AI Core, where `adaptive-avgpool` and `large-avgpool` replace "
            "pooling, or are Transpose nodes of the model, which no pass removes",
        )


def _types(operators: Iterable[Operator]) -> str:
    """Return the types of the operators in words, without those that only convert."""
    return " and ".join(sorted({operator.op_type for operator in operators} - {"TransData", "Cast"}))


def _listing(
    function: str, dtype: str, tensor: ProfiledTensor, patches: Mapping[ListedShape, str], tables: Sequence[Path]
) -> tuple[str, str]:
    """Return how to get a tensor on the white list of a function, and the shipped patch that does so, if any.

    Both are empty if that would save nothing, as for every type other than `dtype`.
    """
    if tensor.dtype != dtype or tensor.shape is None or len(tensor.shape) != 4:
        return "", ""
    patch = patches.get((function, tensor.shape), "")
    if patch:
        return f"list its shape with `fastscnn-opt patch apply {patch}`, unless that is done", patch
    profile = shlex.quote(str(tables[0]))
    return f"list its shape with a patch from `fastscnn-opt patch derive --profile {profile}`", ""


def _format(tensors: Sequence[ProfiledTensor]) -> str:
    return tensors[0].format if tensors else ""


def _formats(operator: Operator) -> tuple[str, str]:
    return _format(operator.inputs), _format(operator.outputs)


def _has_float32(tensor: ProfiledTensor, *others: Sequence[ProfiledTensor]) -> bool:
    return any(item.dtype == "float32" for item in (tensor, *chain.from_iterable(others)))


def _describe(tensor: ProfiledTensor) -> str:
    return f"{tensor.dtype} {'x'.join(map(str, tensor.shape)) if tensor.shape else 'of unknown shape'}"
