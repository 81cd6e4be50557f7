"""The five questions that a report answers first, in sentences computed from the records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.report.commands import commands_for
from fastscnn_opt.report.pass_costs import PassCost, pass_costs
from fastscnn_opt.report.recommending import Recommendation, host_work, recommend
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.scoring.caveats import run_caveats
from fastscnn_opt.scoring.pareto import NOTICEABLE
from fastscnn_opt.scoring.tables.commands import command_for_run

if TYPE_CHECKING:
    from fastscnn_opt.report.content import ReportContent, ReportRow


@dataclass(frozen=True)
class Answer:
    """A question, the answer in one sentence, more sentences, and commands."""

    question: str
    short: str
    more: str = ""
    commands: tuple[str, ...] = ()


def answers(content: ReportContent) -> list[Answer]:
    """Return the answers: which variant to ship, its cost, the class and the pass that lose most, how to reproduce it.

    If no row can be recommended, the first answer says why, and the questions about the recommended row are left out.
    """
    chosen = recommend(content)
    if not chosen:
        return [_nothing_to_ship(content), _blame(content, None), _repeat(content, None)]
    first = chosen[0].entry
    return [
        _ship(content, chosen),
        _cost(content, first),
        _class(content, first),
        _blame(content, first),
        _repeat(content, first),
    ]


_SHIP = "Which variant to ship?"


def _nothing_to_ship(content: ReportContent) -> Answer:
    if not content.complete:
        return Answer(_SHIP, "None yet: no row has both its accuracy and its speed.", _reasons(content))
    return Answer(
        _SHIP,
        f"None: every scored row loses more than {content.affordable_drop:g} points of mIoU, or has no baseline.",
        _reasons(content),
    )


def _reasons(content: ReportContent) -> str:
    return " ".join(f"“{entry.short}”: {entry.row.reason}." for entry in content.entries if entry.row.reason)


def _ship(content: ReportContent, chosen: list[Recommendation]) -> Answer:
    first, *others = chosen
    within = f"at most {content.affordable_drop:g} points of mIoU"
    if content.limit is None:
        within += " (an assumption: the variants file sets no max_drop)"
    where = f" on {first.entry.row.target}" if len({entry.row.target for entry in content.entries}) > 1 else ""
    if first.ties:
        rows = (first.entry, *first.ties)
        short = f"{_either(first)}{where}: their 95 % intervals overlap."
        speeds = "; ".join(f"“{entry.short}” is {_speed(entry)}" for entry in rows)
        more = [f"{speeds}.", f"They are the fastest rows that lose {within}."]
    else:
        short = f"“{first.entry.short}”{where}: {_speed(first.entry)}."
        more = [f"It is the fastest row that loses {within}."]
    more += [f"{caveat[0].upper()}{caveat[1:]}." for caveat in run_caveats(content.run)]
    more += [host] if (host := host_work(first)) else []
    more += [f"On {other.entry.row.target}: {_either(other)}, {_speed(other.entry)}." for other in others]
    return Answer(_SHIP, short, " ".join(more))


def _either(choice: Recommendation) -> str:
    *others, last = [f"“{entry.short}”" for entry in (choice.entry, *choice.ties)]
    return f"{', '.join(others)} or {last}" if others else last


def _speed(entry: ReportRow) -> str:
    row = entry.row
    if entry.is_baseline or row.ratio is None:
        return f"{row.fps:.1f} images per second" + (", the baseline itself" if entry.is_baseline else "")
    interval = f"95 % interval {row.ratio_low:.2f} to {row.ratio_high:.2f}"
    return f"{row.ratio:.2f} times as fast as the baseline ({interval}), {row.fps:.1f} images per second"


def _cost(content: ReportContent, entry: ReportRow) -> Answer:
    question = "What does it cost?"
    base = content.baseline_of(entry)
    if base is None or entry.is_baseline:
        return Answer(question, "Nothing: it is the baseline.")
    drop = entry.row.mIoU_drop or 0.0
    if abs(drop) < NOTICEABLE:
        short = "No accuracy that shows in two digits."
    else:
        short = f"{drop:.2f} points of mIoU." if drop > 0 else f"Nothing: mIoU is {-drop:.2f} points higher."
    figures = [
        f"mIoU {100 * entry.miou:.2f} % against {100 * base.miou:.2f} %",
        f"pixel accuracy {100 * (entry.row.pixAcc or 0):.2f} % against {100 * (base.row.pixAcc or 0):.2f} %",
    ]
    for key, name, digits in (("model_bytes", "model size", 1), ("peak_rss_bytes", "peak memory", 0)):
        sizes = [getattr(row, key) for row in (entry.row, base.row)]
        if all(sizes):
            here, there = (f"{size / 1e6:.{digits}f} MB" for size in sizes)
            figures.append(f"{name} {here} against {there}")
    return Answer(question, short, "; ".join(figures) + ".")


def _class(content: ReportContent, first: ReportRow) -> Answer:
    question = "Which class suffers most?"
    losses = content.losses(first)
    if not losses:
        return Answer(question, "Not known: the IoU of the classes was not recorded.")
    worst = max(losses, key=lambda name: losses[name])
    if losses[worst] >= NOTICEABLE:
        base = content.baseline_of(first)
        before, after = (100 * float(row.iou[worst] or 0) for row in (base or first, first))
        short = f"“{worst}” loses {losses[worst]:.2f} points of IoU ({before:.2f} to {after:.2f} %)."
    else:
        short = f"None in “{first.short}”: no class loses anything that shows in two digits."
    others = [
        (max(found.values()), max(found, key=lambda name: found[name]), entry)
        for entry in content.entries
        if entry is not first and (found := content.losses(entry))
    ]
    points, name, entry = max(others, key=lambda other: other[0], default=(0.0, "", first))
    more = f"Over all rows: “{name}” in “{entry.short}”, {points:.2f} points." if points >= NOTICEABLE else ""
    return Answer(question, short, more)


def _blame(content: ReportContent, first: ReportRow | None) -> Answer:
    question = "Which pass costs the most?"
    costs = pass_costs(content)
    if not costs:
        lossy = dict.fromkeys(
            step.name for entry in content.entries for step in entry.row.steps if step.contract is Contract.LOSSY
        )
        more = f"Lossy passes, which may change accuracy: {', '.join(lossy)}." if lossy else ""
        return Answer(question, "Not known: no row's pipeline is another's with passes added.", more)
    worst = max(costs, key=lambda cost: cost.points)
    if worst.points < NOTICEABLE:
        return Answer(question, "None: no added pass costs accuracy that shows in two digits.")
    used = first is not None and first.pipeline[: len(worst.entry.pipeline)] == worst.entry.pipeline
    within = f"“{first.short}” uses it." if used and first else ""
    if first and not used:
        own = [cost for cost in costs if cost.points >= NOTICEABLE and _is_part(cost, first)]
        within = "; ".join(f"In “{first.short}”, {cost.text} costs {cost.points:.2f} points" for cost in own)
        within = f"{within}." if within else f"“{first.short}” has no pass that costs accuracy."
    short = f"{worst.text}: it costs {worst.points:.2f} points of mIoU in “{worst.entry.short}”"
    return Answer(question, f"{short}, on top of “{worst.before.short}”.", within)


def _is_part(cost: PassCost, entry: ReportRow) -> bool:
    made = cost.entry.pipeline
    return entry.pipeline[: len(made)] == made and entry.row.target == cost.entry.row.target


def _repeat(content: ReportContent, first: ReportRow | None) -> Answer:
    again = command_for_run(content.run)
    if first is None:
        return Answer("How to reproduce it?", "Score the run again with the command below.", commands=(again,))
    short = "The first command builds the model, the last one scores the whole run again."
    return Answer("How to reproduce it?", short, commands=(*commands_for(content.run, first), again))
