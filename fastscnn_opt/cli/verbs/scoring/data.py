"""The verb `data`: check a dataset before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import TableFormat, TableFormatOption, note, print_json, print_table, progress, say
from fastscnn_opt.cli.table import Column
from fastscnn_opt.errors import CheckFailedError
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable


def command(
    data: Annotated[
        Path, typer.Argument(metavar="FILE_OR_ROOT", help="A TOML file that describes a dataset, or a Cityscapes tree.")
    ],
    split: options.Split = None,
    limit: options.ImageLimit = None,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="OUT.png", help="Draw the first sound pair: its mask, with a legend, over its image."),
    ] = None,
    form: TableFormatOption = TableFormat.TABLE,
) -> None:
    """Check a dataset and its description before anything runs.

    Every image and mask is read, also after a bad one. The table shows how many pixels each class has; the sizes of
    images and masks, files that cannot be used, values that no class has, and likely mistakes follow. The exit code is
    3 if there are files or values that cannot be used, and 1 if there is no dataset at all.
    """
    from fastscnn_opt.data.causes import likely_causes
    from fastscnn_opt.data.checking import check_data
    from fastscnn_opt.data.source import DataSource

    source = DataSource.at(str(data), split, limit)
    with progress(None, "pairs") as advance:
        check = check_data(source, advance)
    result = {**check.to_json(), "notes": likely_causes(check)}
    if form is TableFormat.JSON:
        print_json(result)
    else:
        _print(result, form)
    if picture is not None and check.first_sound is None:
        note(f"no pair is sound, so {picture} was not drawn")
    elif picture is not None and check.first_sound is not None:
        from fastscnn_opt.scoring.pictures.labelled_pair import draw_pair

        draw_pair(check.dataset, check.first_sound, picture)
        note(f"drew {check.dataset.names[check.first_sound]} into {picture}")
    if check.problems:
        raise CheckFailedError(f"{counted(len(check.problems), 'problem')} found", where=data)


def _print(result: dict[str, Any], form: TableFormat) -> None:
    columns = [
        Column("index", figures=True), Column("class"), Column("pixels %", figures=True), Column("masks", figures=True),
    ]  # fmt: skip
    rows = [
        [str(item["index"]), item["name"], _percent(item["share"]), str(item["masks"])] for item in result["classes"]
    ]
    title = f"{result['data']}: {counted(result['pairs'], 'pair')}"
    print_table(columns, rows, form, title)
    tell: Callable[[str], None] = say if form is TableFormat.TABLE else note
    tell(f"ignored   {_percent(result['ignored']['share'])} % of the pixels")
    for kind in ("image", "mask"):
        sizes = [f"{size['height']} x {size['width']} ({size['files']})" for size in result[f"{kind}_sizes"]]
        tell(f"{kind}s".ljust(9) + f" {', '.join(sizes) or 'none'}, height x width (how many)")
    if result["unknown"]:
        values = [
            f"{item['value']} ({counted(item['pixels'], 'pixel')} in {counted(item['masks'], 'mask')})"
            for item in result["unknown"]
        ]
        more = f" and {result['more_unknown']} more" if result["more_unknown"] else ""
        tell(f"no class  {', '.join(values)}{more}")
    for problem in result["problems"]:
        tell(f"problem: {problem}")
    if result["more_problems"]:
        tell(f"and {counted(result['more_problems'], 'more problem')}")
    for text in result["notes"]:
        tell(f"note: {text}")


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
