"""The verb `export`: turn a checkpoint into an ONNX model."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fastscnn_opt.cli.printing import Format, FormatOption, print_json, progress
from fastscnn_opt.network.layout import Outputs
from fastscnn_opt.text import counted


class Pooling(StrEnum):
    """What becomes of adaptive average pooling, which ONNX does not define: the ways of `adaptive-avgpool`, or none."""

    MATMUL = "matmul"
    AVGPOOL = "avgpool"
    NATIVE = "native"
    KEEP = "keep"


def command(
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the ONNX model goes.")],
    checkpoint: Annotated[
        Path | None, typer.Argument(metavar="CHECKPOINT", help="A FastSCNN checkpoint (.pth).", show_default=False)
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
    form: FormatOption = Format.TABLE,
) -> None:
    """Turn a FastSCNN checkpoint into an ONNX model."""
    from fastscnn_opt.demo.network import demo_model
    from fastscnn_opt.files import check_place
    from fastscnn_opt.model.saving import fingerprint, save_model
    from fastscnn_opt.network.export import export_checkpoint
    from fastscnn_opt.rewriting.manager import PassManager

    if (checkpoint is None) != demo:
        raise typer.BadParameter("give a checkpoint, or --demo", param_hint="CHECKPOINT")
    check_place(output)
    if demo and (height, width, opset) != (None, None, None):
        raise typer.BadParameter(
            "the bundled network has a fixed size and opset", param_hint="--height, --width, --opset"
        )
    passes = [] if pooling is Pooling.KEEP else [f"adaptive-avgpool{{lower={pooling}}}"]
    with progress(None, "exporting and verifying"):
        if checkpoint:
            given = {"height": height, "width": width, "opset": opset}
            chosen = {name: value for name, value in given.items() if value is not None}
            model = export_checkpoint(checkpoint, batch=batch, outputs=outputs, **chosen)
        else:
            model = demo_model()
            passes += ["drop-outputs"] if outputs is Outputs.MAIN else []
            passes += [f"static-batch{{n={batch}}}"] if batch != 1 else []
        model = PassManager(",".join(passes)).run(model).model
    save_model(model, output)
    layout = next((prop.value for prop in model.metadata_props if prop.key == "layout"), "")
    result = {"layout": layout, "nodes": len(model.graph.node), "sha256": fingerprint(model)}
    if form is Format.JSON:
        print_json(result)
        return
    typer.echo(f"wrote {output}: {layout} layout, {counted(len(model.graph.node), 'node')}, sha256 {result['sha256']}")
