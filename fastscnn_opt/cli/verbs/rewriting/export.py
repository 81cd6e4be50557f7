"""The verb `export`: turn a checkpoint into an ONNX model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import Format, FormatOption, print_json, progress, say
from fastscnn_opt.network.layout import Outputs, Pooling
from fastscnn_opt.processes.limits import DEFAULT_LIMITS
from fastscnn_opt.text import counted


def command(
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the ONNX model goes.")],
    checkpoint: Annotated[
        Path | None,
        typer.Argument(metavar="CHECKPOINT", help="A FastSCNN checkpoint (.pth, .pdparams).", show_default=False),
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Export the bundled demo network instead of a checkpoint.")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, help="Batch size, fixed in the model.")] = 1,
    height: Annotated[int | None, typer.Option(help="Input height, a multiple of 32 (default 1024).")] = None,
    width: Annotated[int | None, typer.Option(help="Input width, a multiple of 32 (default 2048).")] = None,
    outputs: Annotated[Outputs, typer.Option(help="all keeps the auxiliary heads as output2, output3.")] = Outputs.MAIN,
    pooling: Annotated[
        Pooling, typer.Option(help="How adaptive-avgpool lowers the pooling; keep leaves its node in.")
    ] = Pooling.MATMUL,
    opset: Annotated[int | None, typer.Option(help="Version of the operator set, 11 or newer (default 13).")] = None,
    stem_padding: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=1,
            help="Padding of the first convolution, if not that of the layout: mmsegmentation of 2020 also had 0.",
            show_default=False,
        ),
    ] = None,
    limit_s: options.TimeLimit = DEFAULT_LIMITS.silence_s,
    memory: options.MemoryLimit = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Turn a FastSCNN checkpoint into an ONNX model."""
    del limit_s, memory  # of ApartCommand
    from fastscnn_opt.network.model_file import OPSET, SIZE, export_demo_to_file, export_to_file

    if (checkpoint is None) != demo:
        raise typer.BadParameter("give a checkpoint, or --demo", param_hint="CHECKPOINT")
    if demo and any(value is not None for value in (height, width, opset, stem_padding)):
        raise typer.BadParameter(
            "the bundled network has a fixed size, opset and padding",
            param_hint="--height, --width, --opset, --stem-padding",
        )
    with progress(None, "exporting and verifying"):
        if checkpoint:
            size = (SIZE[0] if height is None else height, SIZE[1] if width is None else width)
            made = export_to_file(
                checkpoint,
                output,
                shape=(batch, *size),
                outputs=outputs,
                opset=OPSET if opset is None else opset,
                pooling=pooling,
                stem_padding=stem_padding,
            )
        else:
            made = export_demo_to_file(output, batch=batch, outputs=outputs, pooling=pooling)
    if form is Format.JSON:
        print_json(asdict(made))
        return
    sizes = f"{counted(made.classes, 'class', 'classes')}, {counted(made.nodes, 'node')}"
    say(f"wrote {output}: {made.layout} layout, {sizes}, sha256 {made.sha256}")
