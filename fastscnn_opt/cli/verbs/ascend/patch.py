"""The verb `patch`: list, show, apply and revert white-list patches of the vendor compiler, and derive new ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.command import ApartCommand
from fastscnn_opt.cli.printing import (
    Format,
    FormatOption,
    TableFormat,
    TableFormatOption,
    note,
    print_json,
    print_table,
    say,
)
from fastscnn_opt.cli.table import Column
from fastscnn_opt.processes.limits import DEFAULT_LIMITS
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.ascend.whitelists.derive import Derived
    from fastscnn_opt.ascend.whitelists.plan import FileChange

app = typer.Typer(no_args_is_help=True)

RootOption = Annotated[
    Path | None,
    typer.Option(
        "--root",
        help="The toolkit folder that holds 'opp', or any folder from which exactly one tbe/impl is reached.",
        show_default="the toolkit that the CANN environment variables name",
    ),
]
PatchArgument = Annotated[
    str, typer.Argument(metavar="PATCH", help="Name of a patch, or the path of one that ends in .toml.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and write nothing.")]


@app.command("list")
def list_patches(root: RootOption = None, form: TableFormatOption = TableFormat.TABLE) -> None:
    """List the shipped patches; with --root also those applied there, and the state of each file."""
    from fastscnn_opt.ascend.whitelists.impl_folder import find_impl
    from fastscnn_opt.ascend.whitelists.status import known_patches, status

    impl = find_impl(root) if root is not None else None
    patches = known_patches(impl)
    states = {
        name: {row.file: row.state.value for row in status(impl, [patch])} if impl else None
        for name, patch in patches.items()
    }
    if form is TableFormat.JSON:
        print_json([patch.to_json() | {"states": states[patch.name]} for patch in patches.values()])
        return
    columns = [
        Column("patch"),
        Column("CANN"),
        Column("entries", figures=True),
        Column("what it does"),
        Column("state"),
    ]
    print_table(
        columns,
        [
            [
                patch.name,
                ", ".join(patch.versions),
                str(patch.entry_count),
                patch.summary,
                ", ".join(f"{file} {state}" for file, state in (states[patch.name] or {}).items()) or "-",
            ]
            for patch in patches.values()
        ],
        form,
    )


@app.command()
def show(patch: PatchArgument, root: RootOption = None, form: FormatOption = Format.TABLE) -> None:
    """Show what a patch adds to which statement, and why; with --root also the statement's line in that tree."""
    from fastscnn_opt.ascend.whitelists.impl_folder import find_impl
    from fastscnn_opt.ascend.whitelists.patchfile import to_toml
    from fastscnn_opt.ascend.whitelists.plan import locate
    from fastscnn_opt.ascend.whitelists.status import find_patch

    impl = find_impl(root) if root is not None else None
    found = find_patch(patch, impl)
    places = [{"file": edit.file, "line": locate(impl, edit).line} for edit in found.edits] if impl else None
    if form is Format.JSON:
        print_json(found.model_dump(mode="json") | {"statements": places})
        return
    say(to_toml(found), nl=False)
    for place in places or ():
        note(f"{impl}/{place['file']}: line {place['line']}")


@app.command("status")
def show_status(
    patches: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATCH", help="Names or .toml paths.", show_default="those applied, else all shipped"),
    ] = None,
    root: RootOption = None,
    form: TableFormatOption = TableFormat.TABLE,
) -> None:
    """Show the state of each file: untouched, patched, partly patched, edited since, statement not found, no effect.

    A change that was interrupted is undone first. Where this user cannot write to the toolkit, its files are pending.
    """
    from fastscnn_opt.ascend.whitelists.impl_folder import find_impl
    from fastscnn_opt.ascend.whitelists.status import status_of

    rows = status_of(find_impl(root), patches or ())
    if form is TableFormat.JSON:
        print_json([row.to_json() for row in rows])
        return
    columns = [Column("patch"), Column("file"), Column("state"), Column("reason")]
    print_table(columns, [[row.patch, row.file, row.state.value, row.reason] for row in rows], form)


@app.command()
def diff(patch: PatchArgument, root: RootOption = None, form: FormatOption = Format.TABLE) -> None:
    """Show the change that applying a patch would make, or, where it is applied, the change that it made."""
    from fastscnn_opt.ascend.whitelists.applying import made_or_planned
    from fastscnn_opt.ascend.whitelists.impl_folder import find_impl
    from fastscnn_opt.ascend.whitelists.status import find_patch

    impl = find_impl(root)
    changes = made_or_planned(impl, find_patch(patch, impl))
    if form is Format.JSON:
        print_json([{"file": change.file, "diff": change.diff} for change in changes])
    else:
        say("".join(change.diff for change in changes), nl=False)


@app.command()
def apply(
    patch: PatchArgument, root: RootOption = None, dry_run: DryRunOption = False, form: FormatOption = Format.TABLE
) -> None:
    """Add the shapes of a patch that are missing, in all its files or in none."""
    from fastscnn_opt.ascend.whitelists import applying
    from fastscnn_opt.ascend.whitelists.impl_folder import find_impl
    from fastscnn_opt.ascend.whitelists.plan import remarks
    from fastscnn_opt.ascend.whitelists.status import find_patch

    impl = find_impl(root)
    found = find_patch(patch, impl)
    changes = applying.apply(impl, found, dry_run=dry_run)
    for remark in remarks(impl, found):
        note(f"note: {remark}")
    _print_changes(impl, found.name, changes, form, dry_run=dry_run)


@app.command()
def revert(
    patch: PatchArgument,
    root: RootOption = None,
    own_entries: Annotated[
        bool,
        typer.Option("--own-entries", help="From a file that was edited since, remove the patch's own entries only."),
    ] = False,
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Put back the original bytes of every file that a patch changed."""
    from fastscnn_opt.ascend.whitelists import applying
    from fastscnn_opt.ascend.whitelists.impl_folder import find_impl
    from fastscnn_opt.ascend.whitelists.status import find_patch

    impl = find_impl(root)
    name = find_patch(patch, impl).name
    try:
        changes = applying.revert(impl, name, own_entries=own_entries, dry_run=dry_run)
    except applying.EditedSinceError as error:
        note(error.difference.rstrip("\n"))
        raise
    _print_changes(impl, name, changes, form, dry_run=dry_run)


@app.command(cls=ApartCommand)
def derive(
    profile: Annotated[
        Path | None, typer.Option("--profile", metavar="CSV", help="An op_summary table of the profiler.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="ONNX", help="A model to look at without a run.")
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Batch size, with --model.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="TOML", help="Where the patch goes.", show_default="printed on stdout"),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the patch.", show_default="that of the output file, or of the source")
    ] = None,
    root: RootOption = None,
    dry_run: DryRunOption = False,
    limit_s: options.TimeLimit = DEFAULT_LIMITS.silence_s,
    memory: options.MemoryLimit = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Write a new patch with the shapes that pay, each with its reason; with --root without those listed already."""
    del limit_s, memory  # of ApartCommand
    from fastscnn_opt.ascend.whitelists.derive import without_listed
    from fastscnn_opt.ascend.whitelists.impl_folder import find_impl
    from fastscnn_opt.ascend.whitelists.patchfile import name_from, to_toml
    from fastscnn_opt.files import write_atomically
    from fastscnn_opt.model.saving import keep_apart

    derived = _derive(profile, model, batch, name or name_from(output or profile or model or Path("derived")))
    if root is not None:
        derived = without_listed(derived, find_impl(root))
    if output is not None and not dry_run:
        if (source := profile or model) is not None:
            keep_apart(output, source, "profile" if profile else "model")
        write_atomically(output, to_toml(derived.patch).encode())
    if form is Format.JSON:
        print_json(derived.to_json() | {"output": str(output) if output else None})
    elif output is None or dry_run:
        say(to_toml(derived.patch), nl=False)
    else:
        say(f"{output}: {counted(derived.patch.entry_count, 'entry', 'entries')}")
    if form is not Format.JSON:
        for skip in derived.skipped:
            note(f"left out {skip.what}: {skip.why}")


def _derive(profile: Path | None, model: Path | None, batch: int | None, name: str) -> Derived:
    from fastscnn_opt.ascend.whitelists.derive import from_model_file, from_profile_file

    if profile is not None and model is None and batch is None:
        return from_profile_file(profile, name)
    if profile is None and model is not None and batch is not None:
        return from_model_file(model, batch, name)
    raise typer.BadParameter("give either --profile, or --model with --batch")


def _print_changes(impl: Path, name: str, changes: Sequence[FileChange], form: Format, *, dry_run: bool) -> None:
    if form is Format.JSON:
        files = [change.to_json() for change in changes]
        print_json({"patch": name, "impl": str(impl), "dry_run": dry_run, "files": files})
        return
    if not changes:
        say(f"{name} is not applied to {impl}; nothing to do")
    for change in changes:
        where = f"{change.file}:{change.line}" if change.line else change.file
        say(f"{where}: {_summary(change)}{' (dry run)' if dry_run else ''}")
        if dry_run:
            say(change.diff, nl=False)


def _summary(change: FileChange) -> str:
    if change.before == change.after:
        return (
            f"nothing to change, {counted(len(change.already), 'entry is', 'entries are')} listed already"
            if change.already
            else "nothing to change"
        )
    if change.added:
        return f"{counted(len(change.added), 'entry', 'entries')} added" + (
            f", {counted(len(change.already), 'was', 'were')} listed already" if change.already else ""
        )
    return f"{counted(len(change.removed), 'entry', 'entries')} removed" + (
        ", the edits since are kept" if change.line else ", the original is back"
    )
