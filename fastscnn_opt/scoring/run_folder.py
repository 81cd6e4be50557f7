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
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from fastscnn_opt.errors import DataError, RunError
from fastscnn_opt.files import locked, write_atomically
from fastscnn_opt.schema import first_fault
from fastscnn_opt.scoring.description import RunDescription
from fastscnn_opt.scoring.records import CompiledRecord, RowRecord, SessionRecord, adapter, as_json
from fastscnn_opt.scoring.run import Run
from fastscnn_opt.scoring.worker.client import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = 1
"""Version of the run folder's files; another version is refused rather than misread."""

_FOLDERS = ("models", "logs", "predictions")
_OURS = {"run.json", "records.jsonl", "compiled.jsonl", "timings.jsonl", *_FOLDERS, "demo.toml", "demo.onnx"}

Record = TypeVar("Record", RowRecord, CompiledRecord, SessionRecord)


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
        content = {"schema": SCHEMA, **description.to_json()}
        write_atomically(self.folder / "run.json", json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n")

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
        Another process scores into the folder, it holds something else, or its files are damaged or of another version.
    OSError
        The folder cannot be written to.
    """
    refuse_other_content(folder)
    for part in _FOLDERS:
        (folder / part).mkdir(parents=True, exist_ok=True)
    with locked(folder, "scoring into this run", RunError):
        before = _read_description(folder) if (folder / "run.json").exists() else None
        _clear_leftovers(folder)
        records = _read_lines(folder / "records.jsonl", RowRecord, repair=True)
        sessions = _read_lines(folder / "timings.jsonl", SessionRecord, repair=True)
        compiled = _read_lines(folder / "compiled.jsonl", CompiledRecord, repair=True)
        run = OpenRun(folder, description, records, sessions, compiled, before)
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


def read_run(folder: Path) -> Run:
    """Read a run folder; another process may be writing to it. Raises RunError if it is damaged or not a run folder."""
    if not (folder / "run.json").is_file():
        raise RunError("no run folder (it has no run.json)", where=folder, cure="`fastscnn-opt score` makes one")
    description = _read_description(folder)
    records = _read_lines(folder / "records.jsonl", RowRecord, repair=False)
    sessions = _read_lines(folder / "timings.jsonl", SessionRecord, repair=False)
    compiled = _read_lines(folder / "compiled.jsonl", CompiledRecord, repair=False)
    return Run(folder, description, records, sessions, compiled)


def append_line(file: Path, content: dict[str, Any]) -> None:
    """Append `content` as one line of JSON and flush it to the disk; after an error the file is as before."""
    line = json.dumps(content, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    with file.open("ab") as lines:
        before = lines.tell()
        try:
            lines.write(line)
            lines.flush()
            os.fsync(lines.fileno())
        except OSError as error:
            with suppress(OSError):
                os.truncate(file, before)
            error.filename = str(file)
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


def _read_description(folder: Path) -> RunDescription:
    file = folder / "run.json"
    try:
        content = adapter(dict[str, Any]).validate_json(file.read_bytes())
        if (was := content.get("schema")) != SCHEMA:
            raise RunError(
                f"of schema {was}, and this release reads {SCHEMA}", where=file, cure="score into another folder"
            )
        description: RunDescription = adapter(RunDescription).validate_python(content)
    except (ValidationError, DataError) as error:
        what = first_fault(error) if isinstance(error, ValidationError) else error
        raise RunError(f"damaged ({what})", where=file, cure="score into another folder") from error
    return description


def _read_lines(file: Path, kind: type[Record], *, repair: bool) -> list[Record]:
    """Read all complete lines; with `repair`, complete or cut off a last line that an interrupted write left."""
    if not file.exists():
        return []
    *lines, tail = file.read_bytes().split(b"\n")
    if tail:
        whole = _is_json(tail)
        if whole:
            lines.append(tail)
        if repair:
            _mend(file, tail, whole=whole)
    reader = adapter(kind)
    records: list[Record] = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(reader.validate_json(line))
        except ValueError as error:
            raise RunError(
                f"line {number} is no record of this release",
                where=file,
                cure="remove the line, or score into another folder",
            ) from error
    return records


def _mend(file: Path, tail: bytes, *, whole: bool) -> None:
    if whole:
        with file.open("ab") as lines:
            lines.write(b"\n")
    else:
        os.truncate(file, file.stat().st_size - len(tail))


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
