"""The run folder: reads and writes the records of a run, so that nothing finished is lost or done twice.

``run.json``
    The schema version, the machine, the versions, the variants file and the rows it asks for.
``records.jsonl``
    One line per row, appended and flushed to the disk as soon as its accuracy is known or it has failed.
``compiled.jsonl``
    One line per compiled row, so that another machine can run the artefact.
``timings.jsonl``
    One line per timing session, in which several rows were timed side by side.
``models/``, ``logs/``, ``predictions/``
    Models and artefacts, the output of every child process, and predicted label maps.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from fastscnn_opt.errors import DataError, RunError
from fastscnn_opt.files import MOST_TABLE_BYTES, locked, naming, read_bytes, write_atomically
from fastscnn_opt.schema import first_fault, parse_json
from fastscnn_opt.scoring.description import RunDescription
from fastscnn_opt.scoring.records import CompiledRecord, RowRecord, RowTiming, SessionRecord, adapter, as_json
from fastscnn_opt.scoring.run import Run
from fastscnn_opt.scoring.worker.client import UNFINISHED
from fastscnn_opt.scoring.worker.commands import NOTES
from fastscnn_opt.text import counted, is_utf8, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

_ASIDE = ".damaged"
"""Suffix of the file beside a file of records that gets its damaged lines."""

_FOLDERS = ("models", "logs", "predictions")
_LINES = ("records.jsonl", "timings.jsonl", "compiled.jsonl")
_OURS = {
    "run.json", *_LINES, *(name + _ASIDE for name in _LINES), *_FOLDERS, "demo.toml", "demo.onnx", "front.toml",
}  # fmt: skip

Record = TypeVar("Record", RowRecord, CompiledRecord, SessionRecord)

_notes = logging.getLogger(NOTES)
"""Notes for the user, which ``--quiet`` turns off."""


@dataclass
class OpenRun(Run):
    """A run folder that only this process may write to; `before` is the content of ``run.json`` when it was opened."""

    before: RunDescription | None = None

    def append_row(self, record: RowRecord) -> None:
        """Append a record to the disk, unless the last record of the row is the same."""
        if self.last(record.identity) != record:
            append_line(self.folder / "records.jsonl", as_json(record))
            self.records.append(record)

    def append_compiled(self, record: CompiledRecord) -> None:
        """Append a record of a compiled row to the disk, unless the last one of the row is the same."""
        last = next((known for known in reversed(self.compiled) if known.identity == record.identity), None)
        if last != record:
            append_line(self.folder / "compiled.jsonl", as_json(record))
            self.compiled.append(record)

    def append_session(self, session: SessionRecord) -> None:
        """Append a record of a timing session to the disk."""
        append_line(self.folder / "timings.jsonl", as_json(session))
        self.sessions.append(session)

    def describe(self, description: RunDescription) -> None:
        """Write ``run.json`` with this content."""
        self.description = description
        content = json.dumps(description.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
        try:
            encoded = content.encode()
        except UnicodeEncodeError as error:
            name = printable(content[: error.end].rpartition('"')[2])
            raise RunError(
                f"cannot record {name}..., which is no UTF-8 text", where=self.folder, cure="rename it"
            ) from error
        write_atomically(self.folder / "run.json", encoded + b"\n")

    def relative(self, file: Path) -> str:
        """Return the path of a file relative to the run folder, as the records hold it."""
        return file.relative_to(self.folder).as_posix()

    @property
    def models(self) -> Path:
        """Folder of models and artefacts."""
        return self.folder / "models"

    @property
    def logs(self) -> Path:
        """Folder of the child processes' output."""
        return self.folder / "logs"

    @property
    def predictions(self) -> Path:
        """Folder of the saved label maps."""
        return self.folder / "predictions"


@contextmanager
def open_run(folder: Path, description: RunDescription) -> Iterator[OpenRun]:
    """Open or create a run folder, write `description` to ``run.json``, and lock the folder while the block runs.

    Raises
    ------
    RunError
        Another process scores into the folder, it holds something else, or ``run.json`` is damaged or of another
        version. Damaged lines of the other files are set aside, with a note.
    OSError
        The folder cannot be written to.
    """
    refuse_other_content(folder)
    if not is_utf8(str(folder)):
        raise RunError("its path is no UTF-8 text, and engines take no other", where=folder, cure="rename it")
    for part in _FOLDERS:
        (folder / part).mkdir(parents=True, exist_ok=True)
    with locked(folder, "scoring into this run", RunError):
        before = _read_description(folder) if (folder / "run.json").exists() else None
        _clear_leftovers(folder)
        run = OpenRun(folder, description, *_read_records(folder, repair=True), before=before)
        for text in run.damaged:
            _notes.warning("%s; it was moved aside, and what is missing now is done again", text)
        run.damaged.clear()
        run.describe(description)
        try:
            yield run
        finally:
            _clear_leftovers(folder)


def _clear_leftovers(folder: Path) -> None:
    """Remove the unfinished files of killed processes; the caller holds the lock, so no process is writing them."""
    for part in (folder, *(folder / name for name in _FOLDERS)):
        for leftover in (*part.glob(f"{UNFINISHED}*"), *part.glob(".*.part")):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()


def read_run(folder: str | os.PathLike[str]) -> Run:
    """Read a run folder; another process may be writing to it.

    Lines that are damaged are left out, and `Run.damaged` says so.

    Raises
    ------
    RunError
        There is no ``run.json``, or a damaged one.
    """
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        raise RunError("no run folder (it has no run.json)", where=folder, cure="`fastscnn-opt score` makes one")
    return Run(folder, _read_description(folder), *_read_records(folder, repair=False))


def append_line(file: Path, content: dict[str, Any]) -> None:
    """Append `content` as one line of JSON and flush it to the disk; after an error the file is as before."""
    line = json.dumps(content, ensure_ascii=False, allow_nan=False).encode(errors="replace") + b"\n"
    before = file.stat().st_size if file.exists() else 0
    try:
        with naming(file), file.open("ab") as lines:
            lines.write(line)
            lines.flush()
            os.fsync(lines.fileno())
    except OSError:  # also of the end of the block, which tries once more to write what is left of the line
        with suppress(OSError):
            os.truncate(file, before)
        raise


def refuse_other_content(folder: Path) -> None:
    """Raise RunError if `folder` is a file, or a folder that holds something other than a run."""
    if folder.exists() and not folder.is_dir():
        raise RunError("is a file", where=folder, cure="give the path of a folder for --run")
    if not folder.exists() or (folder / "run.json").exists():
        return
    others = sorted(
        entry.name for entry in folder.iterdir() if entry.name not in _OURS and not entry.name.startswith(".")
    )
    if others:
        raise RunError(
            f"holds something else ({others[0]}) and is no run folder", where=folder, cure="name a new folder for --run"
        )


def refuse_search(folder: Path) -> None:
    """Raise RunError if the folder holds a run of `search`, which `score` would change."""
    if (folder / "run.json").is_file() and _read_description(folder).search is not None:
        raise RunError(
            "is a run of `search`, which `score` would change", where=folder, cure="name a new folder for --run"
        )


def refuse_own_file(place: Path, folder: Path) -> None:
    """Raise RunError if `place` is a file that the run in `folder` consists of, or is in one of its folders."""
    file, root = place.resolve(), folder.resolve()
    if file.is_relative_to(root) and file.relative_to(root).parts[0] in _OURS:
        raise RunError("is the place of a file of the run", where=place, cure="give another name")


def _read_records(
    folder: Path, *, repair: bool
) -> tuple[list[RowRecord], list[SessionRecord], list[CompiledRecord], list[str]]:
    """Return the records of rows, sessions and compiled rows, and what is wrong with the lines that hold none."""
    records, one = _read_lines(folder / "records.jsonl", RowRecord, repair=repair)
    sessions, two = _read_lines(folder / "timings.jsonl", SessionRecord, repair=repair)
    compiled, three = _read_lines(folder / "compiled.jsonl", CompiledRecord, repair=repair)
    return records, sessions, compiled, [text for text in (one, two, three) if text]


def _read_description(folder: Path) -> RunDescription:
    file = folder / "run.json"
    try:
        description: RunDescription = parse_json(read_bytes(file, MOST_TABLE_BYTES), file, adapter(RunDescription))
        source = description.data.source
        if source is not None and source.description:
            source.table  # noqa: B018 - the table is checked when it is made
    except (RunError, ValidationError, DataError) as error:
        what = first_fault(error) if isinstance(error, ValidationError) else error.what
        cure = (
            "score into another folder, or remove the file and start the same command again, which keeps what is done"
        )
        raise RunError(f"damaged ({what})", where=file, cure=cure) from error
    return description


def _read_lines(file: Path, kind: type[Record], *, repair: bool) -> tuple[list[Record], str]:
    """Return the records in a file, and what is wrong with the lines that hold none; the empty text if nothing is.

    A last line that is not ended, as a killed or a writing process leaves it, is no error. With `repair` it is
    completed or cut off, and damaged lines move to another file, see `_ASIDE`. Of a damaged timing session, the rows
    that are whole are kept.
    """
    try:
        lines = read_bytes(file, MOST_TABLE_BYTES).split(b"\n")
    except FileNotFoundError:
        return [], ""
    tail = lines.pop()
    if _is_json(tail):
        lines.append(tail)
    records: list[Record] = []
    damaged: list[tuple[bytes, RunError]] = []
    whole: list[bytes] = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(parse_json(line, f"{file}: line {number}", adapter(kind)))
            whole.append(line + b"\n")
        except RunError as error:
            damaged.append((line + b"\n", error))
            if rest := _whole_rows(line) if kind is SessionRecord else b"":
                records.append(parse_json(rest, file, adapter(kind)))
                whole.append(rest + b"\n")
    if repair and damaged:
        with file.with_name(file.name + _ASIDE).open("ab") as aside:
            aside.writelines(line for line, _ in damaged)
    if repair and (damaged or tail):
        write_atomically(file, b"".join(whole))
    if not damaged:
        return records, ""
    more = f" (and {counted(len(damaged) - 1, 'more damaged line')})" if len(damaged) > 1 else ""
    instead = "" if repair else ", so that an earlier record of the row counts, if there is one"
    return records, f"{damaged[0][1]}{more}{instead}"


def _whole_rows(line: bytes) -> bytes:
    """Return a damaged line of `timings.jsonl` without the rows that are damaged; empty if more than rows is wrong."""
    try:
        content = json.loads(line)
        content["rows"] = [row for row in content["rows"] if _fits(row, RowTiming)]
        return json.dumps(content, ensure_ascii=False).encode() if _fits(content, SessionRecord) else b""
    except (ValueError, RecursionError, TypeError, KeyError):
        return b""


def _fits(content: object, kind: type) -> bool:
    """Tell whether a value from a line of JSON is a record of a kind."""
    try:
        adapter(kind).validate_json(json.dumps(content))
    except ValueError:
        return False
    return True


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
