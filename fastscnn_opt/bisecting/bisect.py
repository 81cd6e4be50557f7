"""Finds the first pass that costs too much, which of its changes do, and the pipeline that avoids them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from fastscnn_opt.bisecting.measures import Loss
from fastscnn_opt.bisecting.narrowing import all_breaking, first_breaking
from fastscnn_opt.bisecting.telling import in_words
from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.partial import Divisible
from fastscnn_opt.rewriting.registry import text_of
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    from fastscnn_opt.bisecting.graphs import Graph, Workshop
    from fastscnn_opt.bisecting.measures import Measure
    from fastscnn_opt.rewriting.contract import Pass

Say = Callable[[str], None]
"""Takes a line about the progress, for people."""


class Stage(StrEnum):
    """What a measurement was for."""

    PASSES = "passes"
    NODES = "nodes"
    AVOIDING = "avoiding"


@dataclass(frozen=True)
class Step:
    """One measurement: what was measured, what it has lost, and whether that is too much."""

    stage: Stage
    what: str
    loss: Loss
    breaks: bool


@dataclass(frozen=True)
class Culprit:
    """The first pass after which the loss is too much: its number in the pipeline, from 1, and its text."""

    number: int
    text: str
    loss: Loss


@dataclass(frozen=True)
class Nodes:
    """The changes of the culprit: all of them with what was done, and which are to blame.

    Attributes
    ----------
    changes
        What the pass does, by node.
    sets
        Disjoint sets of nodes whose changes together lose too much, while without any one of the set they do not.
    losses
        What was measured for some of the changes, by their nodes.
    why_not
        Why the changes could not be told apart, in which case there are no sets.
    """

    changes: dict[str, str] = field(default_factory=dict)
    sets: list[list[str]] = field(default_factory=list)
    losses: dict[tuple[str, ...], Loss] = field(default_factory=dict)
    why_not: str = ""


@dataclass(frozen=True)
class Avoiding:
    """The pipeline without the culprit, or without its harmful changes, and what it still loses; or why there is none.

    `partly` tells that an option leaves out the harmful changes alone.
    """

    passes: str
    loss: Loss
    breaks: bool
    partly: bool = False
    why_not: str = ""


@dataclass
class Bisection:
    """The whole finding; `losses` holds what was measured after a pass, by its number, and `idle` who changed nothing.

    A culprit of None means that nothing breaks the limit.
    """

    pipeline: list[str]
    measure: Measure
    limit: float
    losses: dict[int, Loss] = field(default_factory=dict)
    idle: set[int] = field(default_factory=set)
    steps: list[Step] = field(default_factory=list)
    culprit: Culprit | None = None
    nodes: Nodes | None = None
    avoiding: Avoiding | None = None

    @property
    def evaluations(self) -> dict[str, int]:
        """How many measurements each stage took, those of graphs that were measured before included."""
        return {str(stage): sum(step.stage is stage for step in self.steps) for stage in Stage}


def bisect(
    workshop: Workshop,
    model: onnx.ModelProto,
    passes: Sequence[Pass],
    measure: Measure,
    limit: float,
    *,
    nodes: bool = False,
    say: Say = lambda _: None,
) -> Bisection:
    """Find the first of `passes` after which `model` has lost more than `limit`; with `nodes`, which of its changes do.

    The measurements for the pass are at most log2(n) + 2 for n passes, that of `model` itself included. A graph that
    does not run counts as lost. Contracts are not checked.

    Raises
    ------
    UserError
        A pass cannot do its work, or `model` or the data cannot be used.
    """
    return _Bisecting(workshop, passes, measure, limit, say).run(model, nodes=nodes)


class _Bisecting:
    def __init__(self, workshop: Workshop, passes: Sequence[Pass], measure: Measure, limit: float, say: Say) -> None:
        self._workshop = workshop
        self._passes = list(passes)
        self._measure = measure
        self._known: dict[str, Loss] = {}
        self._say = say
        self._found = Bisection([text_of(item) for item in passes], measure, limit)

    def run(self, model: onnx.ModelProto, *, nodes: bool) -> Bisection:
        found = self._found
        source = self._workshop.keep(model)
        if start := self._measure.start(source):
            found.steps.append(Step(Stage.PASSES, "before the first pass", Loss(0.0), breaks=False))
            self._say(f"before the first pass: {start}")
        graphs = [source, *self._workshop.grow(source, self._passes)]
        working = [number for number in range(1, len(graphs)) if graphs[number].sha256 != graphs[number - 1].sha256]
        found.idle = set(range(1, len(graphs))) - set(working)

        def breaks(count: int) -> bool:
            number = working[count - 1]
            found.losses[number] = self._loss(graphs[number])
            return self._note(Stage.PASSES, f"after pass {number}, {found.pipeline[number - 1]}", found.losses[number])

        first = first_breaking(len(working), breaks)
        if first is None:
            return found
        number = working[first - 1]
        found.culprit = Culprit(number, found.pipeline[number - 1], found.losses[number])
        kept = self._blame(graphs[number - 1], self._passes[number - 1]) if nodes else None
        self._avoid(graphs[number - 1], number, kept)
        return found

    def _loss(self, graph: Graph) -> Loss:
        if graph.sha256 not in self._known:
            self._known[graph.sha256] = self._measure.loss(graph)
        return self._known[graph.sha256]

    def _note(self, stage: Stage, what: str, loss: Loss) -> bool:
        """Enter a measurement, say it, and tell whether it breaks the limit."""
        broken = self._breaks(loss)
        self._found.steps.append(Step(stage, what, loss, broken))
        self._say(f"{what}: {in_words(loss, self._measure)}, {'too much' if broken else 'within the limit'}")
        return broken

    def _breaks(self, loss: Loss) -> bool:
        return loss.figure is None or not loss.figure <= self._found.limit

    def _blame(self, before: Graph, item: Pass) -> Pass | None:
        """Find the changes to blame; return the pass without them, if it has an option for that and does more."""
        try:
            divisible = Divisible(item, before.load())
            sets, losses, rest = self._split(before, divisible)
        except PassError as error:
            self._found.nodes = Nodes(why_not=str(error))
            return None
        self._found.nodes = Nodes(divisible.nodes, sets, losses)
        return divisible.restricted(rest) if rest and divisible.has_option else None

    def _split(
        self, before: Graph, divisible: Divisible
    ) -> tuple[list[list[str]], dict[tuple[str, ...], Loss], list[str]]:
        losses: dict[tuple[str, ...], Loss] = {}

        def breaks(chosen: Sequence[str]) -> bool:
            key = tuple(chosen)
            if key in losses:
                return self._breaks(losses[key])
            graph = self._workshop.keep(divisible.run(chosen), before, divisible.restricted(chosen))
            losses[key] = self._loss(graph)
            count = f"{len(chosen)} of {counted(len(divisible.nodes), 'change')}"
            return self._note(Stage.NODES, f"{count} of {divisible.item.name} ({', '.join(chosen)})", losses[key])

        sets, rest = all_breaking(list(divisible.nodes), breaks)
        return sets, losses, rest

    def _avoid(self, before: Graph, number: int, kept: Pass | None) -> None:
        """Try the pipeline without the culprit, or with what is `kept` of it."""
        others = [*([kept] if kept else []), *self._passes[number:]]
        text = ",".join(text_of(item) for item in [*self._passes[: number - 1], *others])
        try:
            end = [before, *self._workshop.grow(before, others)][-1]
        except PassError as error:
            self._found.avoiding = Avoiding(text, Loss(None), breaks=True, why_not=str(error))
            return
        loss = self._loss(end)
        broken = self._note(Stage.AVOIDING, f"the pipeline {text or 'without a pass'}", loss)
        self._found.avoiding = Avoiding(text, loss, broken, partly=kept is not None)
