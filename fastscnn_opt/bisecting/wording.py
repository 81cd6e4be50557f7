"""A bisection in sentences and as JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from fastscnn_opt.bisecting.losses import LossMetric, MeasuredLoss
    from fastscnn_opt.bisecting.result import Bisection, HarmfulChanges


def loss_in_words(loss: MeasuredLoss, metric: LossMetric) -> str:
    """Return a loss as part of a sentence."""
    return f"does not run ({loss.reason})" if loss.figure is None else metric.words(loss.figure)


def summary(found: Bisection) -> str:
    """Return the first failing pass and its harmful changes in one or two sentences."""
    count, limit = len(found.pipeline), f"the limit of {found.metric.limit(found.limit)}"
    first = found.first_failing
    if first is None:
        return f"Nothing breaks {limit}: it is kept after {counted(count, 'pass', 'passes')}."
    place = f"{first.text}, pass {first.number} of {count}, is the first to break {limit}"
    sentence = f"{place}: {loss_in_words(first.loss, found.metric)}."
    return sentence if found.harmful is None else f"{sentence} {_harmful_changes(found.harmful)}"


def _harmful_changes(harmful: HarmfulChanges) -> str:
    if harmful.reason:
        return f"Its changes cannot be told apart: {harmful.reason}."
    if len(harmful.changes) == 1:
        return f"It makes one change, at {next(iter(harmful.changes))!r}."
    count = f"Of its {len(harmful.changes)} changes"
    sets = [" with ".join(map(repr, nodes)) for nodes in harmful.sets]
    if len(sets) > 1:
        return f"{count}, each of these breaks the limit without the others: {'; '.join(sets)}."
    return f"{count}, {'that' if len(harmful.sets[0]) == 1 else 'those'} at {sets[0]} alone is enough."


def advice(found: Bisection) -> str:
    """Return how much the repaired pipeline loses, in one sentence; the empty text if none is needed."""
    repaired = found.repaired
    if repaired is None:
        return ""
    how = "without its harmful changes" if repaired.keeps_pass else "without it"
    if repaired.reason:
        return f"The pipeline {how} cannot run: {repaired.reason}."
    verdict = "still too much: bisect it next" if repaired.fails else "within the limit"
    return f"The pipeline {how} ({loss_in_words(repaired.loss, found.metric)}, {verdict}):"


def to_json(found: Bisection) -> dict[str, Any]:
    """Return what `bisect --format json` prints; an infinite loss, which JSON cannot hold, is None."""
    # Scripts read these keys, so they keep the names of the first release.
    first, harmful, repaired = found.first_failing, found.harmful, found.repaired
    return {
        "pipeline": ",".join(found.pipeline),
        "measure": found.metric.key,
        "limit": found.limit,
        "sentence": summary(found),
        "culprit": first and {"number": first.number, "pass": first.text, **_loss(first.loss)},
        "nodes": harmful
        and {
            "changes": [
                {"node": node, "what": what, **_loss(harmful.losses.get((node,)))}
                for node, what in harmful.changes.items()
            ],
            "sets": harmful.sets,
            "reason": harmful.reason,
        },
        "avoiding": repaired
        and {
            "passes": repaired.passes,
            "breaks": repaired.fails,
            **_loss(repaired.loss),
            "reason": repaired.reason or repaired.loss.reason,
        },
        "evaluations": found.evaluations,
        "steps": [
            {"stage": str(done.purpose), "what": done.what, "breaks": done.fails, **_loss(done.loss)}
            for done in found.measurements
        ],
    }


def _loss(loss: MeasuredLoss | None) -> dict[str, Any]:
    if loss is None:
        return {"loss": None, "reason": "not measured"}
    return {"loss": loss.figure if loss.figure is None or math.isfinite(loss.figure) else None, "reason": loss.reason}
