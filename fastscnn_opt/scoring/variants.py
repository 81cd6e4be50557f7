"""The variants file: the variants of a model that are to be scored, on which data and targets.

A TOML file; `VariantsFile` is its schema and `read_variants` its reader. Every mistake is found before anything runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fastscnn_opt.data.description import DataTable, Side, complete
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import DataError, PatchError, PipelineError, RunError, TargetError
from fastscnn_opt.processes.limits import LONGEST_S, parse_memory
from fastscnn_opt.schema import parse_toml, read_text
from fastscnn_opt.scoring.records import RowPlan
from fastscnn_opt.targets.registry import target_names
from fastscnn_opt.targets.spec import TargetSpec, canonical_target
from fastscnn_opt.text import closest, nearest

if TYPE_CHECKING:
    from pathlib import Path

Count = Annotated[int, Field(ge=1, le=65536)]
Name = Annotated[str, Field(min_length=1)]


def _canonical_target(text: str) -> str:
    try:
        return canonical_target(text)
    except TargetError as error:
        raise ValueError(error.what) from None


TargetText = Annotated[str, Field(min_length=1), AfterValidator(_canonical_target)]
"""A target with or without options, such as ``openvino{streams=2}``."""


def _checked_memory(text: str) -> str:
    parse_memory(text)
    return text


class _VariantsTable(BaseModel):
    """A table of the file. The text below a key describes it in the schema and on the documentation page."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True)


class ModelTable(_VariantsTable):
    """``[model]``: an ONNX file, or a checkpoint that is exported first. Paths are relative to the variants file.

    The table may be left out if each variant has a `path`.
    """

    path: Name | None = None
    """An ONNX file. Give this or `checkpoint`."""
    checkpoint: Name | None = None
    """A FastSCNN checkpoint, which is exported first."""
    outputs: Literal["main", "all"] = "main"
    """Outputs of an exported checkpoint: the main one only, or also those of the auxiliary heads."""
    height: Side = 1024
    """Input height of an exported checkpoint, a multiple of 32."""
    width: Side = 2048
    """Input width of an exported checkpoint, a multiple of 32."""


class ScoreTable(_VariantsTable):
    """``[score]``: the baseline, the default targets and batch sizes, limits, and how long to time."""

    baseline: Name | None = None
    """The variant that the others are compared with. The default is the first variant."""
    baseline_target: TargetText | None = None
    """Compare the rows of all targets with the baseline on this target, to compare engines in one table. All rows are
    then timed together. By default, each target has its own baseline row.
    """
    targets: Annotated[list[TargetText], Field(min_length=1)] = ["onnxruntime"]
    """Targets of each variant that has no `targets` of its own. A target may have options behind its name, such as
    `openvino{streams=2}`, and is then a row of its own."""
    batch: Annotated[list[Count], Field(min_length=1)] = [1]
    """Batch sizes of each variant that has no `batch` of its own."""
    max_drop: Annotated[float, Field(ge=0)] | None = None
    """Points of mIoU that a row may lose against the baseline. The command fails if a row loses more."""
    threads: Count | None = None
    """Threads of one operator, for targets with the option `threads`, which takes precedence in `[target.NAME]`. The
    default is every usable core."""
    rounds: Annotated[int, Field(ge=5, le=1_000_000)] | None = None
    """Rounds of timing. Give `rounds` or `seconds`, not both."""
    seconds: Annotated[float, Field(gt=0, le=LONGEST_S)] | None = None
    """Seconds of timing per variant. The default is 15, or 200 rounds if these take less time."""
    streams: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Time each row with this many requests at once, too, which share its threads, and report the images per second of
    all of them. By default, only the latency of one request is timed."""
    time_limit: Annotated[float, Field(ge=1, le=LONGEST_S)] | None = None
    """End a child process that shows no progress for this many seconds; its row fails. The default is 600."""
    memory_limit: Annotated[str, AfterValidator(_checked_memory)] | None = None
    """End a child process that holds more physical memory than this, such as `4 GiB`. By default there is no limit."""


RETRIES = 3
"""How often work on a cluster is started again, by default."""


class ClusterTable(_VariantsTable):
    """``[cluster]``: the Ray cluster that compiles, evaluates and times the rows."""

    address: Name | None = None
    """`HOST:PORT`, `auto` for the cluster of this host, or `local` to start one here. `--cluster` takes precedence."""
    retries: Annotated[int, Field(ge=0, le=100)] = RETRIES
    """How often work is started again whose node or process has died."""
    resources: dict[Name, dict[Name, Annotated[float, Field(ge=0, le=1024)]]] = {}
    """``[cluster.resources]``: what a row of a target takes of a node, by Ray's names, such as `tensorrt = {GPU = 1}`.
    The default is one `GPU` for a target that runs on one, and one `NPU` for a target of Ascend."""


class VariantTable(_VariantsTable):
    """``[[variant]]``: a name and the pipeline that makes it."""

    name: Name
    """Name of the variant; no other variant may have it."""
    path: Name | None = None
    """An ONNX file that this variant starts from in place of `[model]`, such as the same network of another commit."""
    passes: str = ""
    """The pipeline as text, or `@FILE`. An empty pipeline leaves the model as it is."""
    patches: list[Name] = []
    """White-list patches to apply while this variant is compiled: names, or paths of `.toml` files."""
    targets: Annotated[list[TargetText], Field(min_length=1)] | None = None
    """Targets of this variant. The default is `targets` of `[score]`."""
    batch: Annotated[list[Count], Field(min_length=1)] | None = None
    """Batch sizes of this variant. The default is `batch` of `[score]`."""


class VariantsFile(_VariantsTable):
    """The whole file."""

    model: ModelTable = ModelTable()
    data: DataTable | None = None
    score: ScoreTable = ScoreTable()
    cluster: ClusterTable = ClusterTable()
    target: dict[Name, dict[str, Any]] = {}
    """``[target.NAME]``: options of the target NAME. Those behind a name in `targets` take precedence."""
    variant: Annotated[list[VariantTable], Field(min_length=1)]


@dataclass(frozen=True)
class Variants:
    """A variants file that has been checked; `text` is its content."""

    file: Path
    text: str
    tables: VariantsFile
    source: DataSource
    rows: tuple[RowPlan, ...]

    @property
    def model(self) -> Path | None:
        """The ONNX file of ``[model]``, or of the first variant where that is missing; None for a checkpoint."""
        table = self.tables.model
        path = table.path or (None if table.checkpoint else self.tables.variant[0].path)
        return self.file.parent / path if path else None

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint, if the model is given as one."""
        return self.file.parent / self.tables.model.checkpoint if self.tables.model.checkpoint else None

    @property
    def baseline(self) -> str:
        """Name of the variant that the others are compared with; by default the first one."""
        return self.tables.score.baseline or self.tables.variant[0].name


def read_variants(file: Path, *, source: DataSource | None = None, needs_model: bool = True) -> Variants:
    """Read and check a variants file; if `source` is given, its images take the place of those of the file.

    If `needs_model` is false, the model may be missing, as on a machine that only runs models compiled elsewhere.

    Raises
    ------
    RunError
        The file is missing, is no TOML, or breaks the schema (with the table, the key and the nearest valid key), a
        name is used twice, or the baseline is unknown.
    PipelineError, PatchError, TargetError, DataError
        A pipeline does not parse, a patch or a target is unknown, or the data are not described properly, with the
        file and the variant.
    """
    text = read_text(file, "variants file")
    tables = parse_variants(text, str(file))
    _check_names(tables, str(file))
    _check_cluster(tables.cluster, f"{file}: [cluster.resources]")
    _check_model(tables, file, needs_model=needs_model)
    source = source or _data_source(tables.data, file)
    pipelines = {variant.name: _pipeline(variant, file) for variant in tables.variant}
    patches = {variant.name: _patches(variant, file) for variant in tables.variant}
    rows = tuple(_plan(tables, pipelines, patches, file))
    _check_targets(rows, tables, str(file))
    variants = Variants(file, text, tables, source, rows)
    _check_baseline_target(variants)
    return variants


def parse_variants(text: str, where: str) -> VariantsFile:
    """Parse `text` and check it against the schema; `where` names the file in errors. Raises RunError."""
    return parse_toml(text, where, VariantsFile)


def _check_names(tables: VariantsFile, where: str) -> None:
    names = [variant.name for variant in tables.variant]
    for name in names:
        if names.count(name) > 1:
            raise RunError(f"two variants are called {name!r}", where=where, cure="give each a name of its own")
    baseline = tables.score.baseline
    if baseline is not None and baseline not in names:
        near = closest(baseline, names, likeness=0.4)
        cure = f"did you mean {near!r}?" if near is not None else f"the variants are {', '.join(map(repr, names))}"
        raise RunError(f"the baseline {baseline!r} is no variant", where=f"{where}: [score]", cure=cure)
    if tables.score.rounds is not None and tables.score.seconds is not None:
        raise RunError("rounds and seconds are both given", where=f"{where}: [score]", cure="leave one out")


def _check_cluster(table: ClusterTable, where: str) -> None:
    for name in table.resources:
        if name not in target_names():
            raise RunError(f"unknown target {name!r}", where=where, cure=nearest(name, target_names()))


def _check_baseline_target(variants: Variants) -> None:
    wanted = variants.tables.score.baseline_target
    known = [row.target for row in variants.rows if row.variant == variants.baseline]
    if wanted is not None and wanted not in known:
        raise RunError(
            f"unknown target of the baseline {variants.baseline!r} {wanted!r}",
            where=f"{variants.file}: [score]: baseline_target",
            cure=nearest(wanted, dict.fromkeys(known)),
        )


def _check_model(tables: VariantsFile, file: Path, *, needs_model: bool) -> None:
    table = tables.model
    named = {f"[model]: {key}": path for key in ("path", "checkpoint") if (path := getattr(table, key))}
    if "model" not in tables.model_fields_set:
        if not all(variant.path for variant in tables.variant):
            raise RunError("the table 'model' is missing", where=file, cure="it may be if each variant has a path")
    elif len(named) != 1:
        raise RunError("give either path, of an ONNX file, or checkpoint", where=f"{file}: [model]")
    named |= {f"variant {variant.name!r}: path": variant.path for variant in tables.variant if variant.path}
    for place, name in named.items():
        chosen = file.parent / name
        if needs_model and not chosen.is_file():
            where = f"{file}: {place}"
            raise RunError(f"there is no file {chosen}", where=where, cure="paths are relative to the variants file")


def _data_source(table: DataTable | None, file: Path) -> DataSource:
    if table is None:
        raise RunError("the table 'data' is missing", where=file, cure="describe the images in it, or give --data")
    if table.synthetic is not None and "split" in table.model_fields_set:
        what = "split goes with root, and synthetic scenes have none"
        raise RunError(what, where=f"{file}: [data]", cure="leave it out")
    try:
        return DataSource.of(complete(table, file.parent), file)
    except DataError as error:
        raise RunError(error.what, where=error.where, cure=error.cure).within(file) from None


def _pipeline(variant: VariantTable, file: Path) -> str:
    """Return the pipeline text of a variant, from the file after ``@`` if it names one. Raises PipelineError."""
    from fastscnn_opt.rewriting.pipeline import read_pipeline
    from fastscnn_opt.rewriting.registry import build_pipeline

    try:
        text = read_pipeline(
            f"@{file.parent / variant.passes[1:]}" if variant.passes.startswith("@") else variant.passes
        )
        build_pipeline(text)
    except PipelineError as error:
        raise error.within(f"{file}: variant {variant.name!r}") from None
    return text


def _patches(variant: VariantTable, file: Path) -> tuple[str, ...]:
    """Return the patches of a variant, paths relative to the folder of `file`. Raises PatchError for an unknown one."""
    from fastscnn_opt.ascend.whitelists.patchfile import find

    names = tuple(str(file.parent / name) if name.endswith(".toml") else name for name in variant.patches)
    for name in names:
        try:
            find(name)
        except PatchError as error:
            raise error.within(f"{file}: variant {variant.name!r}") from None
    return names


def _plan(
    tables: VariantsFile, pipelines: dict[str, str], patches: dict[str, tuple[str, ...]], file: Path
) -> list[RowPlan]:
    paths = {variant.name: str(file.parent / variant.path) if variant.path else "" for variant in tables.variant}
    return [
        RowPlan(variant.name, pipelines[variant.name], patches[variant.name], target, batch, path=paths[variant.name])
        for variant in tables.variant
        for target in dict.fromkeys(variant.targets or tables.score.targets)
        for batch in dict.fromkeys(variant.batch or tables.score.batch)
    ]


def _check_targets(rows: tuple[RowPlan, ...], tables: VariantsFile, where: str) -> None:
    from fastscnn_opt.targets.base import RunsCheckpoint

    for text in sorted({row.target for row in rows} | set(tables.target)):
        place = f"{where}: {text}" if "{" in text else where
        try:
            spec = TargetSpec.of(text)
            options = {**tables.target.get(spec.name, {}), **spec.options}
            if "patches" in options:
                place = place if "{" in text else f"{where}: [target.{text}]"
                raise RunError("patches belong to a variant", where=place, cure="name them in its [[variant]] table")
            target = TargetSpec(spec.name, options).open()
        except TargetError as error:
            raise error.within(place) from None
        if isinstance(target, RunsCheckpoint):
            _check_checkpoint_rows([row for row in rows if row.target == text], tables.model, where)


def _check_checkpoint_rows(rows: list[RowPlan], table: ModelTable, where: str) -> None:
    """Check rows of a target that runs the checkpoint of ``[model]`` itself."""
    for row in rows:
        what, cure = "", f"take {row.target} out of its targets"
        if table.checkpoint is None:
            what, cure = (
                f"the target {row.target} runs checkpoints, and [model] names none",
                "name the checkpoint there",
            )
        elif row.path:
            what = f"the target {row.target} runs the checkpoint of [model], and this variant has a path of its own"
        elif row.passes.strip():
            what = f"the target {row.target} runs the checkpoint itself, which passes do not change"
        if what:
            raise RunError(what, where=f"{where}: variant {row.variant!r}", cure=cure)
