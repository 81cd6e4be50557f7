"""What has changed in a run folder since the last start: its rows, the options of targets, the model, the images."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastscnn_opt.scoring.description import RunDescription
    from fastscnn_opt.scoring.records import RowPlan
    from fastscnn_opt.scoring.run import Run
    from fastscnn_opt.targets.spec import TargetSpec


def changes(run: Run, before: RunDescription, targets: Mapping[RowPlan, TargetSpec]) -> str:
    """Return in one sentence what has changed since ``run.json`` held `before`; the empty text if nothing has.

    `targets` holds the target of each row that is asked for now, with the options that it gets.
    """
    earlier = {plan.identity: plan for plan in before.rows}
    options = {record.identity: record.options for record in run.compiled}
    groups: dict[str, list[str]] = {
        "new": [], "another model of its own": [], "another pipeline": [], "other options": [],
    }  # fmt: skip
    for plan, target in targets.items():
        was = earlier.pop(plan.identity, None)
        if was is None:
            groups["new"].append(plan.label)
        elif was.path_key != plan.path_key:
            groups["another model of its own"].append(plan.label)
        elif not was.matches(plan):
            groups["another pipeline"].append(plan.label)
        elif options.get(plan.identity, target.options) != target.options:
            groups["other options"].append(plan.label)
    groups["no longer asked for"] = [plan.label for plan in earlier.values()]
    found = [f"{what}: {', '.join(labels)}" for what, labels in groups.items() if labels]
    keys = {
        "another model": (before.model.key, run.description.model.key),
        "other images": (before.data.key, run.description.data.key),
    }
    # A run that was only compiled has no data yet.
    found += [f"{what} for all rows" for what, (was, now) in keys.items() if was not in ("", now)]
    return f"changed since the last start: {'; '.join(found)}" if found else ""
