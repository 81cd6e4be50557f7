"""Builds and compiles the rows of a run, unless an earlier start has done so."""

from __future__ import annotations

import logging
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.errors import RunError, UserError
from fastscnn_opt.files import content_hash, sha256_of
from fastscnn_opt.machine import versions
from fastscnn_opt.network.layout import Outputs
from fastscnn_opt.network.unpickling import MOST_BYTES
from fastscnn_opt.scoring.records import BuiltModel, CompiledRecord, Keys, RowPlan, key_of
from fastscnn_opt.scoring.stages.executor import Compilation
from fastscnn_opt.scoring.stages.job import Job
from fastscnn_opt.scoring.stages.patching import patches_key
from fastscnn_opt.scoring.worker.client import Worker
from fastscnn_opt.scoring.worker.commands import NOTES, Build, Export, Identify
from fastscnn_opt.scoring.worker.feeds import NOTHING, StatedInputs
from fastscnn_opt.targets.base import CrossCompiler, RunsCheckpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.processes.limits import Limits
    from fastscnn_opt.scoring.run_folder import OpenRun
    from fastscnn_opt.scoring.stages.executor import Executor
    from fastscnn_opt.scoring.variants import ModelTable, Variants
    from fastscnn_opt.targets.spec import TargetSpec

_notes = logging.getLogger(NOTES)


@dataclass(frozen=True)
class SourceModel:
    """The model that all variants start from; `key` changes with its content and with how a checkpoint is exported.

    `table` has the export options, if the model is a checkpoint.
    """

    file: Path
    key: str
    table: ModelTable | None = None


def identify_source(variants: Variants, limits: Limits) -> SourceModel:
    """Read the model of a variants file in a child process and compute its key.

    Raises ModelError for an unusable ONNX file, and TargetError if a library crashes on it.
    """
    if variants.model is not None:
        return SourceModel(variants.model, _fingerprint(variants.model, limits))
    table = variants.tables.model
    export = {"outputs": table.outputs, "height": table.height, "width": table.width}
    checkpoint = variants.file.parent / str(table.checkpoint)
    content = sha256_of(checkpoint, MOST_BYTES)
    return SourceModel(checkpoint, key_of(content, export, versions(("fastscnn-opt", "onnx"))), table)


def identify_rows(rows: Sequence[RowPlan], limits: Limits) -> tuple[RowPlan, ...]:
    """Return the rows with the keys of the variants' own models. Raises what `identify_source` does."""
    keys = {path: _fingerprint(Path(path), limits) for path in dict.fromkeys(row.path for row in rows) if path}
    return tuple(replace(row, path_key=keys.get(row.path, "")) for row in rows)


def _fingerprint(model: Path, limits: Limits) -> str:
    """Read an ONNX file in a child process, note what is unusual about it, and return what identifies its content."""
    with Worker(str(model), limits=limits) as worker:
        found = worker.run(Identify(model))
    for text in found.notes:
        _notes.warning(text)
    return found.fingerprint


class RowCompiler:
    """Builds and compiles rows of one source into the ``models`` folder of a run, with logs in ``logs``.

    `images` are what the models will be run on; their description states things about the model. `note` is told which
    files are damaged and made again.
    """

    def __init__(
        self,
        run: OpenRun,
        source: SourceModel,
        images: DataSource,
        executor: Executor,
        *,
        verify: bool,
        limits: Limits,
        note: Callable[[str], None],
    ) -> None:
        self._run = run
        self._note = note
        self._hashes: dict[Path, str] = {}
        """The hash of each artefact, which is computed once."""
        self._source = source
        self._executor = executor
        self._stated, self._inputs = images.stated(), StatedInputs.of(images)
        self._verify = verify
        self._limits = limits

    def source_file(self) -> Path:
        """Return the ONNX file that all variants start from, exported from the checkpoint if the source is one."""
        table = self._source.table
        if table is None:
            return self._source.file
        file = self._run.models / f"source-{self._source.key[:16]}.onnx"
        before = self._run.before.model if self._run.before else None
        recorded = before.exported_sha256 if before and before.key == self._source.key else ""
        if not self.is_whole(file, recorded):
            log = self._run.logs / "export.log"
            with Worker(str(self._source.file), log=log, limits=self._limits) as worker:
                worker.run(Export(self._source.file, file, Outputs(table.outputs), table.height, table.width))
            self._hashes[file] = content_hash(file)
        description = self._run.description
        if description.model.exported_sha256 != self._hashes[file]:
            model = replace(description.model, exported_sha256=self._hashes[file])
            self._run.describe(replace(description, model=model))
        return file

    def is_whole(self, file: Path, recorded: str) -> bool:
        """Tell whether a file of the run has the content whose hash is `recorded`; note if it has another."""
        if file not in self._hashes:
            self._hashes[file] = content_hash(file)
            if recorded and self._hashes[file] not in ("", recorded):
                self._note(f"{file}: its content has changed since it was written; it is made again")
        return bool(recorded) and self._hashes[file] == recorded

    def compile(self, plan: RowPlan, target: TargetSpec) -> CompiledRecord:
        """Build the model of a row, compile it if no earlier start has, and record that it is compiled.

        Raises
        ------
        UserError
            The pipeline, its verification or the compilation failed, crashed or hung.
        """
        source = Path(plan.path) if plan.path else self.source_file()
        models = self._run.models
        with self._worker(plan, target) as worker:
            built = worker.run(Build(source, plan.passes, models, plan.batch, self._verify, models, self._stated))
            checkpoint = None if self._source.table is None else self._source.file
            return self._compile(worker, plan, target, built, checkpoint)

    def recompile(self, plan: RowPlan, target: TargetSpec, record: CompiledRecord) -> CompiledRecord:
        """Return `record`; if its artefact only runs on the machine that made it, and this is another, compile again.

        Raises
        ------
        UserError
            The compilation failed, crashed or hung, or the files are damaged.
        """
        opened = target.open()
        same = (self._executor.tool_versions(target), target.options) == (record.tools, record.options)
        crossed, artefact = isinstance(opened, CrossCompiler), self._run.folder / record.artefact
        whole = not record.artefact_sha256 or self.is_whole(artefact, record.artefact_sha256)
        if whole and (same or crossed):
            return record
        built = BuiltModel(self._run.folder / record.model, record.model_sha256, record.steps)
        unique = crossed or (isinstance(opened, RunsCheckpoint) and not whole)  # nothing here makes it again
        with self._worker(plan, target) as worker:
            if unique or worker.run(Identify(built.file)).fingerprint != built.sha256:
                what = artefact if unique else built.file
                cure = "copy the run folder again, or start with --stage compile where the compiler is"
                raise RunError("its content has changed since it was written", where=what, cure=cure)
            return self._compile(worker, plan, target, built, artefact)

    def _compile(
        self, worker: Worker, plan: RowPlan, target: TargetSpec, built: BuiltModel, checkpoint: Path | None
    ) -> CompiledRecord:
        opened = target.open()
        options, tools = dict(target.options), self._executor.tool_versions(target)
        speed = key_of(built.sha256, target.name, options, tools, patches_key(target), plan.batch)
        artefact = self._run.models / f"{built.sha256[:16]}.{target.name}-{speed[:8]}{opened.artefact_suffix}"
        known = [record for record in self._run.compiled if record.artefact == self._run.relative(artefact)]
        if not self.is_whole(artefact, known[-1].artefact_sha256 if known else ""):
            try:
                log = self._log(plan).with_suffix(".compile.log")
                self._executor.compile(
                    Compilation(plan.label, target, built.file, artefact, log, checkpoint), self._limits, worker
                )
            except UserError as error:
                if error.where == str(built.file):  # a name that this run made up
                    passes = f" after {plan.passes}" if plan.passes else ""
                    raise error.within(f"{plan.path or self._source.file}{passes}") from None
                raise
            self._hashes[artefact] = content_hash(artefact)
        worker.close()
        record = CompiledRecord(
            **asdict(plan),
            source=self._source.key,
            options=options,
            tools=tools,
            model=self._run.relative(built.file),
            model_sha256=built.sha256,
            artefact=self._run.relative(artefact),
            steps=built.steps,
            speed_key=speed,
            artefact_sha256=self._hashes[artefact],
        )
        self._run.append_compiled(record)
        return record

    def job(self, plan: RowPlan, record: CompiledRecord, data: str) -> Job:
        """Return the compiled row with the keys that its figures on `data` get."""
        accuracy = key_of(record.speed_key, data, versions(("fastscnn-opt", "numpy", "pillow")))
        row = key_of(accuracy, record.source, plan.passes, plan.patches, self._verify)
        speed = key_of(record.speed_key, asdict(self._inputs)) if self._inputs != NOTHING else record.speed_key
        return Job(plan, record, Keys(row, accuracy, speed), self._run.folder, self._log(plan), self._inputs)

    def _worker(self, plan: RowPlan, target: TargetSpec) -> Worker:
        return Worker(plan.label, target, log=self._log(plan), limits=self._limits)

    def _log(self, plan: RowPlan) -> Path:
        """Return where the output of a row's processes goes."""
        return self._run.logs / f"{_file_name(plan)}.log"


def _file_name(plan: RowPlan) -> str:
    """Return a readable name for a row's files, which no other row has."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{plan.variant}-{plan.target}-b{plan.batch}").strip("-.")[:80]
    return f"{readable}-{key_of(plan.identity)[:6]}"
