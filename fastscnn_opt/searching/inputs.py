"""What a search starts from: a model, images and a target, which also make the variants file of its results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.schema import write_toml
from fastscnn_opt.scoring.records import RowPlan
from fastscnn_opt.scoring.variants import Variants, parse_variants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.targets.spec import TargetSpec

FRONT_FILE = "front.toml"
"""The variants file of the front, in the run folder, to be scored again with other images or on another target."""


@dataclass(frozen=True)
class SearchInput:
    """The model that all pipelines start from, and how they are scored.

    `baseline_passes` is the pipeline that all are compared with, and `max_drop` is in points of mIoU.
    """

    model: Path
    source: DataSource
    target: TargetSpec
    baseline_passes: str
    batch: int
    max_drop: float

    @property
    def baseline(self) -> RowPlan:
        """The row that all are compared with."""
        return self.plan("baseline", self.baseline_passes)

    def plan(self, name: str, passes: str) -> RowPlan:
        """Return the row of a pipeline."""
        return RowPlan(name, passes, (), self.target.name, self.batch)

    @property
    def variants(self) -> Variants:
        """The variants with the baseline as their only row."""
        text, rows = self.text([self.baseline]), (self.baseline,)
        file = self.model.absolute().with_name(FRONT_FILE)
        return Variants(file, text, parse_variants(text, FRONT_FILE), self.source, rows)

    def text(self, rows: Sequence[RowPlan]) -> str:
        """Return a variants file with these rows."""
        root = {"root": str(Path(self.source.root).absolute()), "split": self.source.split} if self.source.root else {}
        scenes = {"synthetic": self.source.synthetic, "seed": self.source.seed} if not root else {}
        limit = {"limit": self.source.limit} if self.source.limit else {}
        data = {**root, **scenes, **limit, **self.source.description}
        score = {
            "baseline": self.baseline.variant, "targets": [self.target.name], "batch": [self.batch],
            "max_drop": self.max_drop,
        }  # fmt: skip
        content: dict[str, Any] = {"model": {"path": str(self.model.absolute())}, "data": data, "score": score}
        if self.target.options:
            content["target"] = {self.target.name: self.target.options}
        return write_toml(content | {"variant": [{"name": row.variant, "passes": row.passes} for row in rows]})
