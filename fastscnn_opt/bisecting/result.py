"""The result of a bisection: the first failing pass, its harmful changes, the pipeline without them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastscnn_opt.bisecting.losses import LossMetric, MeasuredLoss


class Purpose(StrEnum):
    """What a measurement was made for. The values are words of the JSON output and stay as they are."""

    PASSES = "passes"
    CHANGES = "nodes"
    REPAIR = "avoiding"


@dataclass(frozen=True)
class Measurement:
    """One measured graph, described in words, its loss, and whether that is more than the limit."""

    purpose: Purpose
    what: str
    loss: MeasuredLoss
    fails: bool


@dataclass(frozen=True)
class FirstFailingPass:
    """The first pass after which the loss is more than the limit: its number in the pipeline, from 1, and its text."""

    number: int
    text: str
    loss: MeasuredLoss


@dataclass(frozen=True)
class HarmfulChanges:
    """The changes of the first failing pass, and the smallest sets of them that fail.

    Attributes
    ----------
    changes
        What the pass does, by node.
    sets
        Disjoint sets of nodes. The changes of one set together lose more than the limit; without any one of them they
        do not.
    losses
        The measured losses, by the nodes that were changed.
    reason
        Why the changes could not be separated, in which case there are no sets.
    """

    changes: dict[str, str] = field(default_factory=dict)
    sets: list[list[str]] = field(default_factory=list)
    losses: dict[tuple[str, ...], MeasuredLoss] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class RepairedPipeline:
    """The pipeline without the first failing pass, or without its harmful changes, and what it still loses.

    Attributes
    ----------
    keeps_pass
        The pass is still in the pipeline; an option of it leaves out the harmful changes.
    reason
        Why this pipeline cannot run.
    """

    passes: str
    loss: MeasuredLoss
    fails: bool
    keeps_pass: bool = False
    reason: str = ""


@dataclass
class Bisection:
    """The result of `bisect`.

    Attributes
    ----------
    losses
        The measured losses, by the number of the pass after which the graph was measured.
    unchanged
        Numbers of the passes that changed nothing.
    images
        What the graphs were run on, in words; None for made-up inputs.
    first_failing
        None if every measured graph is within the limit.
    """

    pipeline: list[str]
    metric: LossMetric
    limit: float
    losses: dict[int, MeasuredLoss] = field(default_factory=dict)
    unchanged: set[int] = field(default_factory=set)
    measurements: list[Measurement] = field(default_factory=list)
    images: str | None = None
    first_failing: FirstFailingPass | None = None
    harmful: HarmfulChanges | None = None
    repaired: RepairedPipeline | None = None

    @property
    def evaluations(self) -> dict[str, int]:
        """The number of measurements for each purpose; a graph that is looked up again counts again."""
        return {
            str(purpose): sum(measurement.purpose is purpose for measurement in self.measurements)
            for purpose in Purpose
        }
