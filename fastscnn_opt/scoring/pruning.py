"""The models, artefacts and predictions of a run folder, and those that no row needs any more."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import RunError
from fastscnn_opt.files import locked
from fastscnn_opt.scoring.run_folder import read_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastscnn_opt.scoring.run import Run


@dataclass(frozen=True)
class RunFile:
    """A file of a run: its path relative to the folder, its size, and the rows that refer to it."""

    file: str
    size_bytes: int
    rows: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return the file as `cache list RUN` prints it."""
        return {"file": self.file, "bytes": self.size_bytes, "rows": list(self.rows)}


def run_files(run: Run) -> list[RunFile]:
    """Return the models, artefacts and predictions of a run, each with the rows of its variants file that need it."""
    users: dict[str, list[str]] = defaultdict(list)
    for label, file in _references(run):
        if label not in users[file]:
            users[file].append(label)
    found = []
    for path in sorted((*(run.folder / "models").glob("*"), *(run.folder / "predictions").glob("*"))):
        file = path.relative_to(run.folder).as_posix()
        if path.is_file() and not path.name.startswith((".", "step-", "source-")):
            rows = users[file] or users[file.removesuffix(path.suffix)]  # a file that belongs to an artefact
            found.append(RunFile(file, path.stat().st_size, tuple(rows)))
    return found


def prune(folder: Path, *, dry_run: bool) -> list[RunFile]:
    """Remove the files of a run that no row needs, and return them.

    Raises
    ------
    RunError
        The folder is no run, has damaged records, or another process is scoring into it.
    """
    read_run(folder).check_whole()
    with locked(folder, "scoring into this run", RunError):
        unused = [item for item in run_files(read_run(folder)) if not item.rows]
        for item in unused if not dry_run else ():
            (folder / item.file).unlink()
    return unused


def _references(run: Run) -> Iterator[tuple[str, str]]:
    """Yield the label of a row and a file that it needs, for every row of the variants file."""
    for plan in run.plan:
        record, compiled = run.last(plan.identity), run.last_compiled(plan)
        files = (
            [record.model, record.artefact, record.details.predictions if record.details else None] if record else []
        )
        files += [compiled.model, compiled.artefact] if compiled else []
        for file in files:
            if file is not None:
                yield plan.label, file
