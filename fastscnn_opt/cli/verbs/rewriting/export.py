"""The verb `export`: turn a checkpoint into an ONNX model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import Format, FormatOption, TableFormat, print_json, print_table, progress, say
from fastscnn_opt.cli.table import Column
from fastscnn_opt.network.layout import Outputs, Pooling
from fastscnn_opt.processes.limits import DEFAULT_LIMITS
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from fastscnn_opt.network.checking import ExportCheck


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
    check: Annotated[
        bool,
        typer.Option("--check", help="Compare the model in onnxruntime with the checkpoint in torch, on images."),
    ] = False,
    data: options.Data = None,
    split: options.Split = None,
    synthetic: options.Synthetic = None,
    seed: options.Seed = None,
    limit: options.ImageLimit = None,
    limit_s: options.TimeLimit = DEFAULT_LIMITS.silence_s,
    memory: options.MemoryLimit = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Turn a FastSCNN checkpoint into an ONNX model.

    With --check, the model in onnxruntime and the checkpoint in torch run on the same images, by default the first 8 of
    --data, or two synthetic street scenes. The table says for how many pixels both have the same class, and how far the
    logits are apart at most. The exit code is 3 if that is more than 0.0001 of the largest logit.
    """
    del limit_s, memory  # of ApartCommand
    from fastscnn_opt.network.checking import GENERATED
    from fastscnn_opt.network.model_file import OPSET, SIZE, export_demo_to_file, export_to_file

    if (checkpoint is None) != demo:
        raise typer.BadParameter("give a checkpoint, or --demo", param_hint="CHECKPOINT")
    if demo and any(value is not None for value in (height, width, opset, stem_padding)):
        raise typer.BadParameter(
            "the bundled network has a fixed size, opset and padding",
            param_hint="--height, --width, --opset, --stem-padding",
        )
    if check and (demo or pooling is Pooling.KEEP):
        what = "needs a checkpoint, and a pooling that onnxruntime runs"
        raise typer.BadParameter(what, param_hint="--check")
    images = options.images_for("--check", (data, split, synthetic, seed, limit), is_given=check)
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
                check=(images or GENERATED).few() if check else None,
            )
        else:
            made = export_demo_to_file(output, batch=batch, outputs=outputs, pooling=pooling)
    if form is Format.JSON:
        print_json(made.to_json())
    else:
        sizes = f"{counted(made.classes, 'class', 'classes')}, {counted(made.nodes, 'node')}"
        say(f"wrote {output}: {made.layout} layout, {sizes}, sha256 {made.sha256}")
    if made.check is not None:
        if form is not Format.JSON:
            _print_check(made.check)
        made.check.require(output)


def _print_check(check: ExportCheck) -> None:
    columns = [Column("output"), *(Column(text, figures=True) for text in ("same labels %", "largest deviation"))]
    columns.append(Column("of the largest logit", figures=True))
    rows = [
        [one.output, f"{100 * one.same_labels:.4f}", f"{one.max_abs_diff:.3g}", f"{one.max_rel_diff:.2g}"]
        for one in check.outputs
    ]
    images = f"{counted(check.images, 'image')} ({check.data})"
    print_table(columns, rows, TableFormat.TABLE, f"onnxruntime beside the checkpoint in torch, on {images}")
