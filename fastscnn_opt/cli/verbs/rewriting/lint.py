"""The verb `lint`: find in a model what a target will run slowly, differently or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import Format, FormatOption, TableFormat, note, print_json, print_table, say
from fastscnn_opt.cli.table import Column
from fastscnn_opt.errors import CheckFailedError
from fastscnn_opt.processes.limits import DEFAULT_LIMITS
from fastscnn_opt.text import counted

_ORDERED = "ascend310"
"""The target for which models are ordered."""

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.linting.rules import Finding, RuleSet


def command(
    model: Annotated[Path | None, typer.Argument(metavar="MODEL", help=options.MODEL, show_default=False)] = None,
    others: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[OTHER]...", help="Models to order by speed with the first.", show_default=False),
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            help="The target whose rules are applied: onnxruntime (for CPUs), or ascend310.",
            autocompletion=options.complete_target,
        ),
    ] = "ascend310",
    patch: Annotated[
        list[str] | None,
        typer.Option(help="White-list patch that the Ascend toolkit has: a name or a .toml path; repeatable."),
    ] = None,
    cann: Annotated[
        str | None,
        typer.Option(
            help="Release of the Ascend toolkit; the white lists matter on 5.0.x only.",
            show_default="5.0.2",
        ),
    ] = None,
    measured: Annotated[
        Path | None,
        typer.Option(
            help="Report of a run of MODEL, as `profile` reads it: what OTHER saves, where that is known.",
            metavar="REPORT",
            show_default=False,
        ),
    ] = None,
    fix_pipeline: Annotated[
        bool,
        typer.Option("--fix-pipeline", help="Print the pipeline that mends what passes can mend, and exit with 0."),
    ] = False,
    explain: Annotated[
        str | None, typer.Option(help="Print the manual of a rule of any target.", metavar="CODE")
    ] = None,
    rules: Annotated[bool, typer.Option("--rules", help="List the rules.")] = False,
    limit_s: options.TimeLimit = DEFAULT_LIMITS.silence_s,
    memory: options.MemoryLimit = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Find what a target will run slowly, differently or not at all.

    An error will be refused, computes something else, or leaves the AI Core; a warning costs time; a hint pays for some
    uses of the model only. Every finding names the pass, option or patch that cures it. Errors make the exit code 3.

    Several models for ascend310 are ordered by speed instead, where it is certain which is faster: the same work with
    fewer outputs, float16 in place of float32 outputs, or fewer operators off the AI Core. Everything else is unknown.
    """
    del limit_s, memory  # of ApartCommand
    from fastscnn_opt.model.loading import load_model
    from fastscnn_opt.scoring.model_name import model_file
    from fastscnn_opt.targets.registry import lint_rules_of

    if sum((model is not None, explain is not None, rules)) != 1:
        raise typer.BadParameter("give a model, --explain CODE or --rules", param_hint="MODEL")
    if others and (target != _ORDERED or fix_pipeline):
        raise typer.BadParameter(f"are ordered for {_ORDERED} only, without --fix-pipeline", param_hint="OTHER")
    if measured and not others:
        raise typer.BadParameter("goes with several models", param_hint="--measured")
    if explain is not None:
        _explain(explain, form)
        return
    given: dict[str, object] = ({"patches": tuple(patch)} if patch else {}) | ({"cann": cann} if cann else {})
    known = lint_rules_of(target, given or None)
    if model is None:
        _list_rules(target, known, form)
        return
    if others:
        _order([model, *others], target, known, measured, form)
        return
    findings = known.lint(load_model(model_file(model)))
    if fix_pipeline:
        _print_pipeline(target, known.fix_pipeline(findings), findings, form)
    else:
        _report(model, target, known.fix_pipeline(findings), findings, form)


def _order(models: Sequence[Path], target: str, known: RuleSet, measured: Path | None, form: Format) -> None:
    from fastscnn_opt.ascend.lint.calibration import differences
    from fastscnn_opt.ascend.lint.order import order_of
    from fastscnn_opt.model.loading import load_model
    from fastscnn_opt.scoring.model_name import model_file

    if len(set(models)) < len(models):
        raise typer.BadParameter("is given twice", param_hint="OTHER")
    graphs: dict[str, Any] = {str(model): known.open(load_model(model_file(model))) for model in models}
    orders = order_of(graphs)
    saved = differences(graphs, measured) if measured else []
    if form is Format.JSON:
        known_times = {"differences": [row.to_json() for row in saved]} if measured else {}
        print_json({"target": target, "order": [order.to_json() for order in orders], **known_times})
        return
    for order in orders:
        said = f"{order.faster} is faster than {order.slower}" if order.faster else " and ".join(order.models)
        say(f"{said}: {order.why}")
    for row in saved:
        if row.saved_ms is None:
            say(f"{row.model}: {row.refused}")
        else:
            words = "more" if row.saved_ms < 0 else "less"
            say(f"{row.model}: {abs(row.saved_ms):.1f} ms {words} than the measured {row.measured_ms:.1f} ms")
            say(f"     source: {row.source}")


def _report(model: Path, target: str, pipeline: str, findings: Sequence[Finding], form: Format) -> None:
    from fastscnn_opt.linting.rules import Severity

    counts = {f"{kind}s": sum(finding.severity is kind for finding in findings) for kind in Severity}
    result: dict[str, Any] = {
        "model": str(model),
        "target": target,
        **counts,
        "pipeline": pipeline,
        "findings": [finding.to_json() for finding in findings],
    }
    if form is Format.JSON:
        print_json(result)
    else:
        say(f"{model}: checked against the rules of {target}")
        for finding in findings:
            problem = finding.problem
            say(f"{finding.code} {finding.severity} {problem.node}: {problem.message}\n     cure: {problem.cure}")
        say(", ".join(f"{kind}: {count}" for kind, count in counts.items()))
        if pipeline:
            note(f"passes mend some of it: --passes {pipeline!r}")
    if counts["errors"]:
        what = f"lint errors on {target}: {counts['errors']} of {counted(len(findings), 'finding')}"
        raise CheckFailedError(what, where=model)


def _print_pipeline(target: str, pipeline: str, findings: Sequence[Finding], form: Format) -> None:
    from fastscnn_opt.linting.rules import Severity

    rest = [finding for finding in findings if not finding.problem.passes and finding.severity is not Severity.HINT]
    if form is Format.JSON:
        print_json({"target": target, "pipeline": pipeline, "not_mended": [finding.to_json() for finding in rest]})
        return
    note(f"what passes can mend for {target}:")
    say(pipeline)
    for finding in rest:
        note(f"not mended by a pass: {finding.code} {finding.problem.node}; {finding.problem.cure}")


def _list_rules(target: str, known: RuleSet, form: Format) -> None:
    if form is Format.JSON:
        print_json([{"code": rule.code, "severity": str(rule.severity), "title": rule.title} for rule in known.rules])
        return
    rows = [[rule.code, str(rule.severity), rule.title] for rule in known.rules]
    columns = [Column("code"), Column("severity"), Column("what it finds")]
    print_table(columns, rows, TableFormat.TABLE, title=f"rules of {target}")


def _explain(code: str, form: Format) -> None:
    from fastscnn_opt.targets.registry import lint_rule

    rule = lint_rule(code)
    if form is Format.JSON:
        print_json({"code": rule.code, "severity": str(rule.severity), "title": rule.title, "manual": rule.manual})
        return
    say(f"{rule.code}, {rule.severity}: {rule.title}\n\n{rule.manual}")
