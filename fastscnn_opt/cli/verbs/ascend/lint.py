"""The verb `lint`: find in a model what a target will run slowly, differently or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastscnn_opt.ascend.lint.base import TARGET, Severity
from fastscnn_opt.cli.printing import Format, FormatOption, TableFormat, note, print_json, print_table, say
from fastscnn_opt.cli.table import Column
from fastscnn_opt.errors import CheckFailedError, TargetError
from fastscnn_opt.text import counted, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.ascend.lint.base import Finding


def command(
    model: Annotated[Path | None, typer.Argument(metavar="MODEL", help="The ONNX model.", show_default=False)] = None,
    target: Annotated[str, typer.Option(help="The target whose rules are applied; only ascend310 has any.")] = TARGET,
    patch: Annotated[
        list[str] | None,
        typer.Option(help="White-list patch that the toolkit has: a name or a .toml path; repeatable."),
    ] = None,
    fix_pipeline: Annotated[
        bool,
        typer.Option("--fix-pipeline", help="Print the pipeline that mends what passes can mend, and exit with 0."),
    ] = False,
    explain: Annotated[str | None, typer.Option(help="Print the manual of a rule.", metavar="CODE")] = None,
    rules: Annotated[bool, typer.Option("--rules", help="List the rules.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Find what a target will run slowly, differently or not at all.

    An error will be refused, computes something else, or leaves the AI Core; a warning costs time. Every finding names
    the pass, option or patch that cures it. Errors make the exit code 3.
    """
    if target != TARGET:
        raise TargetError(f"there are no lint rules for the target {target!r}", cure=nearest(target, [TARGET]))
    if sum((model is not None, explain is not None, rules)) != 1:
        raise typer.BadParameter("give a model, --explain CODE or --rules", param_hint="MODEL")
    if explain is not None:
        _explain(explain, form)
        return
    if model is None:
        _list_rules(form)
        return
    from fastscnn_opt.ascend.lint.rules import lint_file

    findings = lint_file(model, patch or [])
    if fix_pipeline:
        _print_pipeline(findings, form)
    else:
        _report(model, findings, form)


def _report(model: Path, findings: Sequence[Finding], form: Format) -> None:
    from fastscnn_opt.ascend.lint.rules import fix_pipeline

    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    result: dict[str, Any] = {
        "model": str(model),
        "target": TARGET,
        "errors": errors,
        "warnings": len(findings) - errors,
        "pipeline": fix_pipeline(findings),
        "findings": [finding.to_json() for finding in findings],
    }
    if form is Format.JSON:
        print_json(result)
    else:
        say(f"{model}: checked against the rules of {TARGET}")
        for finding in findings:
            problem = finding.problem
            say(f"{finding.code} {finding.severity} {problem.node}: {problem.message}\n     cure: {problem.cure}")
        typer.echo(f"errors: {errors}, warnings: {len(findings) - errors}")
        if result["pipeline"]:
            note(f"passes mend some of it: --passes {result['pipeline']!r}")
    if errors:
        raise CheckFailedError(f"lint errors on {TARGET}: {errors} of {counted(len(findings), 'finding')}", where=model)


def _print_pipeline(findings: Sequence[Finding], form: Format) -> None:
    from fastscnn_opt.ascend.lint.rules import fix_pipeline

    rest = [finding for finding in findings if not finding.problem.passes]
    if form is Format.JSON:
        print_json(
            {
                "target": TARGET,
                "pipeline": fix_pipeline(findings),
                "not_mended": [finding.to_json() for finding in rest],
            }
        )
        return
    note(f"what passes can mend for {TARGET}:")
    typer.echo(fix_pipeline(findings))
    for finding in rest:
        note(f"not mended by a pass: {finding.code} {finding.problem.node}; {finding.problem.cure}")


def _list_rules(form: Format) -> None:
    from fastscnn_opt.ascend.lint.rules import RULES

    if form is Format.JSON:
        print_json([{"code": rule.code, "severity": str(rule.severity), "title": rule.title} for rule in RULES])
        return
    rows = [[rule.code, str(rule.severity), rule.title] for rule in RULES]
    columns = [Column("code"), Column("severity"), Column("what it finds")]
    print_table(columns, rows, TableFormat.TABLE, title=f"rules of {TARGET}")


def _explain(code: str, form: Format) -> None:
    from fastscnn_opt.ascend.lint.rules import rule_of

    rule = rule_of(code)
    if form is Format.JSON:
        print_json({"code": rule.code, "severity": str(rule.severity), "title": rule.title, "manual": rule.manual})
        return
    typer.echo(f"{rule.code}, {rule.severity}: {rule.title}\n\n{rule.manual}")
