"""Builds and compiles the rows of a run, and finds again by content what an earlier start has built."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.machine import versions
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.saving import fingerprint
from fastscnn_opt.scoring.records import CompiledRecord, Keys, key_of
from fastscnn_opt.scoring.stages.patching import patched, patches_key
from fastscnn_opt.scoring.worker.client import Engine, TargetChoice
from fastscnn_opt.targets.base import CrossCompiler
from fastscnn_opt.targets.registry import get_target

if TYPE_CHECKING:
    from fastscnn_opt.scoring.run_folder import OpenRun
    from fastscnn_opt.scoring.variants import RowPlan, Variants
    from fastscnn_opt.targets.processes.limits import Limits


@dataclass(frozen=True)
class Source:
    """The model that all variants start from; `key` changes with its content and with how a checkpoint is exported."""

    file: Path
    key: str
    export: dict[str, Any] | None = None


@dataclass(frozen=True)
class Prepared:
    """A row whose model is built and compiled."""

    plan: RowPlan
    choice: TargetChoice
    model: Path
    model_sha256: str
    steps: list[dict[str, Any]]
    artefact: Path
    log: Path
    keys: Keys


def identify_source(variants: Variants) -> Source:
    """Read the model of a variants file far enough to know what it is. Raises ModelError for an unusable ONNX file."""
    if variants.model is not None:
        return Source(variants.model, fingerprint(load_model(variants.model)))
    table = variants.tables.model
    export = {"outputs": table.outputs, "height": table.height, "width": table.width}
    checkpoint = variants.file.parent / str(table.checkpoint)
    content = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    return Source(checkpoint, key_of(content, export, versions(("fastscnn-opt", "onnx"))), export)


class Preparer:
    """Builds and compiles rows of one source into the ``models`` folder of a run, with logs in ``logs``."""

    def __init__(self, run: OpenRun, source: Source, *, verify: bool, limits: Limits) -> None:
        self._run = run
        self._source = source
        self._verify = verify
        self._limits = limits

    def source_file(self) -> Path:
        """Return the ONNX file that all variants start from, exported from the checkpoint if the source is one."""
        if self._source.export is None:
            return self._source.file
        file = self._run.models / f"source-{self._source.key[:16]}.onnx"
        if not file.exists():
            log = self._run.logs / "export.log"
            with self._engine(str(self._source.file), TargetChoice(""), log) as engine:
                engine.export(self._source.file, file, **self._source.export)
        return file

    def prepare(self, plan: RowPlan, choice: TargetChoice) -> CompiledRecord:
        """Build a row, compile it if no earlier start has, and record that it is compiled.

        Raises
        ------
        UserError
            The pipeline, its verification or the compilation failed, crashed or hung.
        """
        source = self.source_file()
        target = get_target(choice.name, choice.options)
        log = self.log(plan)
        with self._engine(plan.label, choice, log) as engine:
            built = engine.build(
                source, plan.passes, self._run.models,
                batch=plan.batch, verify=self._verify, reports=self._run.models,
            )  # fmt: skip
            tools, options = target.tool_versions(), dict(choice.options)
            speed = key_of(built["sha256"], choice.name, options, tools, patches_key(choice), plan.batch)
            model = Path(built["file"])
            artefact = self._run.models / f"{built['sha256'][:16]}.{choice.name}-{speed[:8]}{target.artefact_suffix}"
            if not artefact.exists():
                with patched(choice):
                    engine.compile(model, artefact, log.with_suffix(".compile.log"))
            engine.close()
        record = CompiledRecord(
            plan.variant, plan.passes, list(plan.patches), plan.target, plan.batch,
            self._source.key, options, tools, f"models/{model.name}", built["sha256"], f"models/{artefact.name}",
            built["steps"], speed,
        )  # fmt: skip
        self._run.append_compiled(record)
        return record

    def recompile(self, plan: RowPlan, choice: TargetChoice, record: CompiledRecord) -> CompiledRecord:
        """Return `record`, or, if its artefact belongs to the machine that made it and this is another, one made here.

        Raises
        ------
        UserError
            The compilation failed, crashed or hung.
        """
        target = get_target(choice.name, choice.options)
        tools, options = target.tool_versions(), dict(choice.options)
        if isinstance(target, CrossCompiler) or (tools, options) == (record.tools, record.options):
            return record
        speed = key_of(record.model_sha256, choice.name, options, tools, patches_key(choice), plan.batch)
        name = f"{record.model_sha256[:16]}.{choice.name}-{speed[:8]}{target.artefact_suffix}"
        log = self.log(plan)
        with self._engine(plan.label, choice, log) as engine:
            engine.compile(self._run.folder / record.model, self._run.models / name, log.with_suffix(".compile.log"))
            engine.close()
        record = replace(record, options=options, tools=tools, artefact=f"models/{name}", speed_key=speed)
        self._run.append_compiled(record)
        return record

    def ready(self, plan: RowPlan, record: CompiledRecord, data: str) -> Prepared:
        """Return the compiled row with the keys that its figures on `data` get."""
        accuracy = key_of(record.speed_key, data, versions(("fastscnn-opt", "numpy", "pillow")))
        row = key_of(accuracy, record.source, plan.passes, plan.patches, self._verify)
        folder = self._run.folder
        return Prepared(
            plan, TargetChoice(plan.target, record.options), folder / record.model, record.model_sha256, record.steps,
            folder / record.artefact, self.log(plan), Keys(row, accuracy, record.speed_key),
        )  # fmt: skip

    def log(self, plan: RowPlan) -> Path:
        """Return where the output of a row's processes goes."""
        return self._run.logs / f"{_file_name(plan)}.log"

    def _engine(self, name: str, choice: TargetChoice, log: Path) -> Engine:
        return Engine(name, choice, log=log, limits=self._limits)


def _file_name(plan: RowPlan) -> str:
    """Return a readable name for a row's files, which no other row has."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{plan.variant}-{plan.target}-b{plan.batch}").strip("-.")[:80]
    return f"{readable}-{key_of(plan.identity)[:6]}"
