"""Find targets through the entry point group ``fastscnn_opt.targets``, the built-in ones included."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import TargetError
from fastscnn_opt.plugins import entry_points_of, load
from fastscnn_opt.targets.base import HasLintRules
from fastscnn_opt.text import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastscnn_opt.linting.rules import Rule, RuleSet
    from fastscnn_opt.targets.base import Target

GROUP = "fastscnn_opt.targets"
"""Entry point group of targets."""


def target_names() -> tuple[str, ...]:
    """Return every name that `get_target` takes."""
    return tuple(entry_points_of(GROUP, "target"))


def get_target(name: str, options: Mapping[str, object] | None = None) -> Target:
    """Return the target called `name` with `options` set, available or not.

    Raises
    ------
    TargetError
        There is no such target, or it has no such option; the message names the nearest.
    RegistryError
        An installed target cannot be loaded, or claims the name of another.
    """
    known = entry_points_of(GROUP, "target")
    given = dict(options or {})
    if name not in known:
        raise TargetError(f"unknown target {name!r}", cure=nearest(name, known))
    cls: type[Target] = load(known[name], "target")
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # targets are dataclasses
    for option in given:
        if option not in names:
            raise TargetError(f"unknown option {option!r}", where=f"target {name}", cure=nearest(option, names))
    return cls(**given)


def option_names(name: str) -> frozenset[str]:
    """Return the names of the options of the target called `name`. Raises TargetError if there is no such target."""
    return frozenset(field.name for field in fields(type(get_target(name))))  # type: ignore[arg-type]  # targets are dataclasses


def lint_rules_of(name: str, options: Mapping[str, object] | None = None) -> RuleSet:
    """Return the lint rules of the target called `name` with `options` set.

    Raises
    ------
    TargetError
        There is no such target or option, or it has no rules; the message names targets that have some.
    """
    target = get_target(name, options)
    rules = target.lint_rules() if isinstance(target, HasLintRules) else None
    if rules is None:
        raise TargetError(f"there are no lint rules for the target {name!r}", cure=nearest(name, _linted()))
    return rules


def lint_rule(code: str) -> Rule[Any]:
    """Return the lint rule with a code, of any target. Raises TargetError if there is none."""
    from fastscnn_opt.linting.rules import rule_of

    return rule_of(code, [rule for name in _linted() for rule in lint_rules_of(name).rules])


def _linted() -> list[str]:
    targets = {name: get_target(name) for name in target_names()}
    return [name for name, target in targets.items() if isinstance(target, HasLintRules) and target.lint_rules()]
