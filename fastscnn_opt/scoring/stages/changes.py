"""What has changed in a run folder since the last start: its rows, the options of targets, the model, the images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastscnn_opt.scoring.records import RowPlan
    from fastscnn_opt.scoring.run import Run
    from fastscnn_opt.targets.spec import TargetSpec


def changes(run: Run, before: Mapping[str, Any], targets: Mapping[RowPlan, TargetSpec]) -> str:
    """Return in one sentence what has changed since ``run.json`` held `before`; the empty text if nothing has.

    `targets` holds the target of each row that is asked for now, with the options that it gets.
    """
    earlier = {plan.identity: plan for plan in replace(run, about=dict(before)).plan}
    options = {record.identity: record.options for record in run.compiled}
    groups: dict[str, list[str]] = {"new": [], "another pipeline": [], "other options": []}
    for plan, target in targets.items():
        was = earlier.pop(plan.identity, None)
        if was is None:
            groups["new"].append(plan.label)
        elif not was.matches(plan):
            groups["another pipeline"].append(plan.label)
        elif options.get(plan.identity, target.options) != target.options:
            groups["other options"].append(plan.label)
    groups["no longer asked for"] = [plan.label for plan in earlier.values()]
    found = [f"{what}: {', '.join(labels)}" for what, labels in groups.items() if labels]
    others = {"another model": "model", "other images": "data"}
    found += [f"{what} for all rows" for what, key in others.items() if _differ(before[key], run.about[key])]
    return f"changed since the last start: {'; '.join(found)}" if found else ""


def _differ(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Tell whether the keys of the model or the data differ; a run that was only compiled has no data yet."""
    return bool(before["key"]) and before["key"] != now["key"]
