"""The verb `prepare`: binary images and labels for the vendor's benchmark tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fastscnn_opt.ascend.prepare.request import ImageType, Request
from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import Format, FormatOption, note, print_json, progress, say
from fastscnn_opt.text import counted


def command(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the files; may be half done.")],
    data: options.Data = None,
    split: options.Split = None,
    synthetic: options.Synthetic = None,
    seed: options.Seed = None,
    height: Annotated[int, typer.Option(help="Height of synthetic scenes.", min=32)] = 1024,
    width: Annotated[int, typer.Option(help="Width of synthetic scenes.", min=32)] = 2048,
    limit: options.ImageLimit = None,
    dtype: Annotated[
        ImageType, typer.Option(help="float32: normalised 1x3xHxW; uint8: raw 1xHxWx3, for a model with AIPP.")
    ] = ImageType.FLOAT32,
    info: Annotated[
        Path | None, typer.Option(help="The info file (default: fast_scnn_prep_bin.info in OUTPUT).")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written and how much disk it needs.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read finished files again and redo those whose SHA-256 differs.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace what was prepared from another dataset or as another type.")
    ] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Write the binary images, labels and info file for the vendor's benchmark tools.

    Images are leftImg8bit/NAME_leftImg8bit.bin; labels are gtFine/NAME_gtFine_labelIds.bin, float32 classes with -1
    for ignored pixels; both lie below OUTPUT. An interrupted run goes on where it stopped: a manifest lists the
    finished files with their sizes and SHA-256. The info file names the images as OUTPUT is written here, so run the
    benchmark tool from the same folder, or give an absolute path.
    """
    from fastscnn_opt.ascend.prepare.binary import prepare
    from fastscnn_opt.ascend.prepare.plan import plan
    from fastscnn_opt.data.assumptions import preprocess_notes
    from fastscnn_opt.model.metadata import Metadata

    source = options.data_source(data, split, synthetic, seed, limit)
    if source.description:  # the published recipe states nothing, and means ImageNet
        for text in preprocess_notes(source, Metadata(), takes_bytes=dtype is ImageType.UINT8):
            note(text)
    work = plan(Request(source, output, dtype, info, (height, width), force=force, verify=verify))
    if not dry_run:
        with progress(len(work.dataset), "images") as advance:
            work = prepare(work, advance)
    result = work.to_json()
    if form is Format.JSON:
        print_json(result)
    else:
        _print_plan(result, dry_run=dry_run)
    if dry_run:
        note("nothing was written (--dry-run)")


def _print_plan(result: dict[str, Any], *, dry_run: bool) -> None:
    count, finished = result["images"], result["finished"]
    verb = "to write" if dry_run else "written"
    shape = f"{result['height']} x {result['width']} (height x width), {result['dtype']}"
    say(f"{result['output']}: {counted(count, 'image')} of {shape}, from {result['source']}")
    say(f"{count - finished} {verb}, {_size(result['needed_bytes'])}; {finished} were there already")
    say(
        f"{_size(result['image_bytes'])} per image and {_size(result['label_bytes'])} per label, "
        f"{_size(result['total_bytes'])} in all; {_size(result['free_bytes'])} free on the disk"
    )
    if not result["fits"]:
        say("this does not fit on the disk")
    say(f"info file {result['info']}")


def _size(size: int) -> str:
    unit, name = next(((unit, name) for unit, name in ((1e9, "GB"), (1e6, "MB")) if size >= unit), (1e3, "kB"))
    return f"{size / unit:.1f} {name}"
