"""What a search is asked: a model, images and a target, as a variants file with as many rows as wanted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.schema import write_toml
from fastscnn_opt.scoring.variants import RowPlan, Variants, parse_variants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.scoring.worker.client import TargetChoice

FRONT = "front.toml"
"""The variants file of the front, in the run folder, to be scored again with other images or on another target."""


@dataclass(frozen=True)
class Task:
    """The model that all pipelines start from, and how they are scored: `max_drop` in points of mIoU."""

    model: Path
    source: DataSource
    target: TargetChoice
    batch: int
    baseline: RowPlan
    max_drop: float

    @classmethod
    def of(
        cls, model: Path, source: DataSource, target: TargetChoice, *, baseline: str, batch: int, max_drop: float
    ) -> Task:
        """Return the task with the pipeline text `baseline`, which all are compared with."""
        plan = RowPlan("baseline", baseline, (), target.name, batch)
        return cls(model.absolute(), source, target, batch, plan, max_drop)

    def plan(self, name: str, passes: str) -> RowPlan:
        """Return the row of a pipeline."""
        return replace(self.baseline, variant=name, passes=passes)

    @property
    def variants(self) -> Variants:
        """The variants with the baseline as their only row."""
        text = self.text([self.baseline])
        return Variants(self.model.with_name(FRONT), text, parse_variants(text, FRONT), self.source, (self.baseline,))

    def text(self, rows: Sequence[RowPlan]) -> str:
        """Return a variants file with these rows."""
        root = {"root": str(Path(self.source.root).absolute()), "split": self.source.split} if self.source.root else {}
        scenes = {"synthetic": self.source.synthetic, "seed": self.source.seed} if not root else {}
        score = {
            "baseline": self.baseline.variant, "targets": [self.target.name], "batch": [self.batch],
            "max_drop": self.max_drop,
        }  # fmt: skip
        data = {**root, **scenes} | ({"limit": self.source.limit} if self.source.limit else {})
        content: dict[str, Any] = {"model": {"path": str(self.model)}, "data": data, "score": score}
        if self.target.options:
            content["target"] = {self.target.name: self.target.options}
        return write_toml(content | {"variant": [{"name": row.variant, "passes": row.passes} for row in rows]})
