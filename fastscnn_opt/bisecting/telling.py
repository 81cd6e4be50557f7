"""A bisection in words and as JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from fastscnn_opt.bisecting.bisect import Bisection, Nodes
    from fastscnn_opt.bisecting.measures import Loss, Measure


def in_words(loss: Loss, measure: Measure) -> str:
    """Return a loss as part of a sentence."""
    return f"does not run ({loss.why})" if loss.figure is None else measure.words(loss.figure)


def sentence(found: Bisection) -> str:
    """Return the finding in words."""
    count, limit = len(found.pipeline), f"the limit of {found.measure.limit(found.limit)}"
    if found.culprit is None:
        return f"Nothing breaks {limit}: it is kept after {counted(count, 'pass', 'passes')}."
    culprit = found.culprit
    place = f"{culprit.text}, pass {culprit.number} of {count}, is the first to break {limit}"
    first = f"{place}: {in_words(culprit.loss, found.measure)}."
    return first if found.nodes is None else f"{first} {_blame(found.nodes)}"


def _blame(nodes: Nodes) -> str:
    if nodes.why_not:
        return f"Which of its changes does it cannot be told: {nodes.why_not}."
    if len(nodes.changes) == 1:
        return f"It makes one change, at {next(iter(nodes.changes))!r}."
    count, sets = f"Of its {len(nodes.changes)} changes", [" with ".join(map(repr, group)) for group in nodes.sets]
    if len(sets) > 1:
        return f"{count}, each of these does it without the others: {'; '.join(sets)}."
    return f"{count}, {'that' if len(nodes.sets[0]) == 1 else 'those'} at {sets[0]} alone is enough."


def advice(found: Bisection) -> str:
    """Say which pipeline avoids the culprit, and whether that is enough; the empty text if there is no culprit."""
    avoiding = found.avoiding
    if avoiding is None:
        return ""
    how = "without its harmful changes" if avoiding.partly else "without it"
    if avoiding.why_not:
        return f"There is no pipeline {how}: {avoiding.why_not}."
    verdict = "still too much: bisect it next" if avoiding.breaks else "within the limit"
    return f"The pipeline {how} ({in_words(avoiding.loss, found.measure)}, {verdict}):"


def to_json(found: Bisection) -> dict[str, Any]:
    """Return the finding as the verb prints it; a loss without limit, which JSON cannot hold, is None."""
    culprit, nodes, avoiding = found.culprit, found.nodes, found.avoiding
    return {
        "pipeline": ",".join(found.pipeline),
        "measure": found.measure.key,
        "limit": found.limit,
        "sentence": sentence(found),
        "culprit": culprit and {"number": culprit.number, "pass": culprit.text, **_loss(culprit.loss)},
        "nodes": nodes
        and {
            "changes": [
                {"node": node, "what": what, **_loss(nodes.losses.get((node,)))} for node, what in nodes.changes.items()
            ],
            "sets": nodes.sets,
            "reason": nodes.why_not,
        },
        "avoiding": avoiding
        and {
            "passes": avoiding.passes,
            "breaks": avoiding.breaks,
            **_loss(avoiding.loss),
            "reason": avoiding.why_not or avoiding.loss.why,
        },
        "evaluations": found.evaluations,
        "steps": [
            {"stage": str(step.stage), "what": step.what, "breaks": step.breaks, **_loss(step.loss)}
            for step in found.steps
        ],
    }


def _loss(loss: Loss | None) -> dict[str, Any]:
    if loss is None:
        return {"loss": None, "reason": "not measured"}
    return {"loss": loss.figure if loss.figure is None or math.isfinite(loss.figure) else None, "reason": loss.why}
