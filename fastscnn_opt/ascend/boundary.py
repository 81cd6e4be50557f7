"""The inputs and outputs of a compiled file, whose shapes and types follow from the model and atc's options."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.aipp import byte_input
from fastscnn_opt.ascend.chip import device_layout
from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.targets.signature import Signature, signature_of, spec_of, with_shapes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import onnx

    from fastscnn_opt.ascend.atc import AtcOptions

_TYPES = {"float32": "FP32", "float16": "FP16", "uint8": "UINT8"}
"""The values of --output_type by numpy name; outputs of other types keep the type they have in the model."""


def settle(options: AtcOptions, model: onnx.ModelProto, where: Path) -> tuple[AtcOptions, Signature]:
    """Complete the options from the model, and return them with the inputs and outputs of the compiled file.

    Raises
    ------
    TargetError
        No option fixes an open dimension, or an option does not fit the model, which is from the file `where`.
    """
    if options.input_shape:
        model = with_shapes(model, given_shapes(options.input_shape))
    signature = signature_of(model)
    inputs, outputs = signature.inputs, _outputs(options, model, signature.outputs, where)
    if not (options.dynamic_batch_size or options.dynamic_image_size):
        signature.require_fixed_inputs(where, "input_shape")
    fp16_nodes = options.input_fp16_nodes
    if _switched(options.is_input_adjust_hw_layout) and fp16_nodes is None:
        fp16_nodes = ";".join(spec.name for spec in inputs)
    out_nodes, output_type = options.out_nodes, options.output_type or _output_type(model, outputs)
    if (output_type and ":" in output_type) or _switched(options.is_output_adjust_hw_layout):
        out_nodes = out_nodes or ";".join(f"{node}:{index}" for node, index in _producers(model, outputs))
    settled = replace(
        options,
        input_shape=options.input_shape or ";".join(f"{spec.name}:{','.join(map(str, spec.shape))}" for spec in inputs),
        input_fp16_nodes=fp16_nodes,
        is_input_adjust_hw_layout=_repeated(options.is_input_adjust_hw_layout, fp16_nodes),
        out_nodes=out_nodes,
        output_type=output_type,
        is_output_adjust_hw_layout=_repeated(options.is_output_adjust_hw_layout, out_nodes),
    )
    return settled, Signature(_at_boundary_in(settled, inputs), _at_boundary_out(settled, model, outputs))


def given_shapes(text: str) -> dict[str, tuple[int, ...]]:
    """Parse the option `input_shape`, ``name:1,3,1024,2048;...``."""
    entries = (entry.rpartition(":") for entry in text.split(";"))
    return {name: tuple(map(int, lengths.split(","))) for name, _, lengths in entries}


def _outputs(
    options: AtcOptions, model: onnx.ModelProto, outputs: Sequence[TensorSpec], where: Path
) -> tuple[TensorSpec, ...]:
    """Return the tensors that `out_nodes` names, or those of the model."""
    if options.out_nodes is None:
        return tuple(outputs)
    from fastscnn_opt.model.shapes import infer_shapes

    nodes = {node.name: node for node in model.graph.node}
    graph = infer_shapes(model).graph
    known = {value.name: value for value in (*graph.output, *graph.value_info)}
    chosen = []
    for entry in options.out_nodes.split(";"):
        name, _, index = entry.rpartition(":")
        node = nodes.get(name)
        if node is None or int(index) >= len(node.output) or node.output[int(index)] not in known:
            what = f"has no node {name!r} with an output {index} of a known shape"
            raise TargetError(what, where=where, cure="correct the option out_nodes")
        chosen.append(spec_of(known[node.output[int(index)]]))
    return tuple(chosen)


def _output_type(model: onnx.ModelProto, outputs: Sequence[TensorSpec]) -> str | None:
    """Return the types of the model's outputs in the form that atc takes, or None if atc has no name for one."""
    types = [_TYPES.get(spec.dtype) for spec in outputs]
    if len(set(types)) == 1:
        return types[0]
    named = zip(_producers(model, outputs), types, strict=True)
    return ";".join(f"{node}:{index}:{kind}" for (node, index), kind in named if kind)


def _producers(model: onnx.ModelProto, outputs: Sequence[TensorSpec]) -> list[tuple[str, int]]:
    """Return for every output the name of the node that computes it, and its index among the outputs of that node."""
    places = {name: (node.name, index) for node in model.graph.node for index, name in enumerate(node.output)}
    for spec in outputs:
        if not places.get(spec.name, ("", 0))[0]:
            raise TargetError(
                f"output {spec.name!r} is not computed by a node with a name, which atc needs here",
                cure="name its node",
            )
    return [places[spec.name] for spec in outputs]


def _at_boundary_in(options: AtcOptions, inputs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    if options.insert_op_conf:
        inputs = (byte_input(inputs[0], options.insert_op_conf), *inputs[1:])
    half = (options.input_fp16_nodes or "").split(";")
    layout = dict(zip(half, (options.is_input_adjust_hw_layout or "").split(","), strict=False))
    return tuple(
        _device_layout(replace(spec, dtype="float16"), layout.get(spec.name)) if spec.name in half else spec
        for spec in inputs
    )


def _at_boundary_out(
    options: AtcOptions, model: onnx.ModelProto, outputs: Sequence[TensorSpec]
) -> tuple[TensorSpec, ...]:
    types = {kind: dtype for dtype, kind in _TYPES.items()}
    asked = options.output_type or ""
    if ":" in asked:
        by_node = dict(entry.rsplit(":", 1) for entry in asked.split(";"))
        kinds = [by_node.get(f"{node}:{index}", "") for node, index in _producers(model, outputs)]
    else:
        kinds = [asked] * len(outputs)
    switches = (options.is_output_adjust_hw_layout or "").split(",")
    switches += [""] * (len(outputs) - len(switches))
    return tuple(
        _device_layout(replace(spec, dtype=types.get(kind, spec.dtype)), switch)
        for spec, kind, switch in zip(outputs, kinds, switches, strict=False)
    )


def _device_layout(spec: TensorSpec, switch: str | None) -> TensorSpec:
    """Return N, C, H, W in float16 and the device's own layout, if it is switched on."""
    if switch != "true" or len(spec.shape) != 4:
        return spec
    batch, channels, height, width = spec.shape
    return TensorSpec(spec.name, device_layout((batch, channels, height, width)), "float16")


def _switched(switches: str | None) -> bool:
    return "true" in (switches or "")


def _repeated(switches: str | None, nodes: str | None) -> str | None:
    """Return one switch for every node where a single one was given."""
    if switches is None or "," in switches or nodes is None:
        return switches
    return ",".join([switches] * (nodes.count(";") + 1))
