"""Read what to bisect: a model and its pipeline, or a variant of a variants file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import RunError
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.metadata import add_metadata
from fastscnn_opt.network.layout import Outputs
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits
from fastscnn_opt.rewriting.pipeline import read_pipeline
from fastscnn_opt.rewriting.registry import build_pipeline
from fastscnn_opt.scoring.variants import read_variants
from fastscnn_opt.scoring.worker.client import Worker
from fastscnn_opt.scoring.worker.commands import Export
from fastscnn_opt.targets.spec import TargetSpec
from fastscnn_opt.text import unknown

if TYPE_CHECKING:
    import onnx

    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.rewriting.contract import Pass
    from fastscnn_opt.scoring.variants import Variants


@dataclass(frozen=True)
class BisectInput:
    """A model and the passes to search; a variants file adds images, the points that may be lost, target options."""

    model: Path
    passes: tuple[Pass, ...]
    source: DataSource | None = None
    max_drop: float | None = None
    target_options: dict[str, dict[str, Any]] = field(default_factory=dict)

    def load(self) -> onnx.ModelProto:
        """Return the model, with what the description of the images states about it. Raises ModelError."""
        model = load_model(self.model)
        if self.source is not None:
            add_metadata(model, self.source.stated())
        return model

    def complete(self, target: TargetSpec) -> TargetSpec:
        """Return `target` with the options that the variants file gives it; its own options win."""
        return TargetSpec(target.name, {**self.target_options.get(target.name, {}), **target.options})


def from_pipeline(model: Path, passes: str, source: DataSource | None = None) -> BisectInput:
    """Return a model, the passes of a pipeline text or ``@FILE``, and images. Raises PipelineError."""
    return BisectInput(model, build_pipeline(read_pipeline(passes)), source and source.for_model_file(model))


def from_variant(
    file: Path,
    name: str,
    folder: Path,
    *,
    source: DataSource | None = None,
    limit: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> BisectInput:
    """Return the input for a variant of a variants file; a checkpoint is exported into `folder`.

    A `source` replaces the images of the variants file. Without it, `limit` says how many of those are used.

    Raises
    ------
    RunError
        There is no such variant, or it has patches of a vendor compiler.
    UserError
        As `read_variants` does, or the checkpoint cannot be exported.
    """
    variants = read_variants(file, source=source)
    tables = {variant.name: variant for variant in variants.tables.variant}
    if name not in tables:
        raise RunError(unknown("variant", name, tables), where=file)
    if tables[name].patches:
        raise RunError(
            f"the variant {name!r} has patches, which change a vendor's compiler and not the model",
            where=file,
            cure="bisect searches passes, so give it the model and --passes",
        )
    if source is None:
        source = variants.source if limit is None else replace(variants.source, limit=limit)
    pipeline = next(row.passes for row in variants.rows if row.variant == name)
    table = variants.tables
    own = next(row.path for row in variants.rows if row.variant == name)
    model = Path(own) if own else variants.model or _exported(variants, folder, limits)
    source = source.for_model_file(model)
    return BisectInput(model, build_pipeline(pipeline), source, table.score.max_drop, table.target)


def _exported(variants: Variants, folder: Path, limits: Limits) -> Path:
    checkpoint, table = variants.file.parent / str(variants.tables.model.checkpoint), variants.tables.model
    with Worker(str(checkpoint), limits=limits) as worker:
        worker.run(Export(checkpoint, folder / "exported.onnx", Outputs(table.outputs), table.height, table.width))
    return folder / "exported.onnx"
