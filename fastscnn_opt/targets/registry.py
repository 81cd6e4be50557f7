"""Find targets through the entry point group ``fastscnn_opt.targets``, the built-in ones included."""

from __future__ import annotations

import logging
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from fastscnn_opt.errors import RegistryError, TargetError
from fastscnn_opt.plugins import calling, entry_points_of, load, origin_of
from fastscnn_opt.rewriting.options import hints_of
from fastscnn_opt.targets.base import HasLintRules
from fastscnn_opt.text import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed import DataclassInstance
    from numpy.typing import NDArray

    from fastscnn_opt.linting.rules import Rule, RuleSet
    from fastscnn_opt.measuring.session import Session, TensorSpec
    from fastscnn_opt.targets.base import Target

Value = TypeVar("Value")

_log = logging.getLogger(__name__)

GROUP = "fastscnn_opt.targets"
"""Entry point group of targets."""


_METHODS = ("availability", "tool_versions", "compile", "open")
"""What every target has."""

_OPTIONAL = ("can_compile", "can_run", "compile_checkpoint", "environment", "fps_per_card", "lint_rules")


def target_names() -> tuple[str, ...]:
    """Return every name that `get_target` takes."""
    return tuple(entry_points_of(GROUP))


def target_class(name: str) -> type[DataclassInstance]:
    """Import and return the class of the target called `name`, a dataclass whose fields are the options.

    Raises
    ------
    TargetError
        There is no such target; the message names the nearest.
    RegistryError
        An installed target cannot be loaded, or claims the name of another.
    """
    known = entry_points_of(GROUP)
    if name not in known:
        raise TargetError(f"unknown target {name!r}", cure=nearest(name, known))
    cls: Any = load(known[name], "target")
    if not (isinstance(cls, type) and is_dataclass(cls) and isinstance(getattr(cls, "name", None), str)):
        raise RegistryError(f"the target {name!r} of {origin_of(known[name])} is no dataclass with a name")
    return cls


def get_target(name: str, options: Mapping[str, object] | None = None) -> Target:
    """Return the target called `name` with `options` set, available or not.

    Raises
    ------
    TargetError
        There is no such target, or it has no such option; the message names the nearest.
    RegistryError
        An installed target cannot be loaded, or claims the name of another.
    """
    given = dict(options or {})
    cls: Any = target_class(name)
    names = [field.name for field in fields(cls)]
    for option in given:
        if option not in names:
            raise TargetError(f"unknown option {option!r}", where=f"target {name}", cure=nearest(option, names))
    if not cls.__dictoffset__:  # its objects have slots only, and those of a subclass take the methods below, too
        cls = type(cls.__name__, (cls,), {"__doc__": cls.__doc__})
    with calling(f"the target {name} cannot be built", TargetError):
        built: Any = cls(**given)
    for method in (*_METHODS, *(method for method in _OPTIONAL if hasattr(built, method))):
        call = getattr(built, method, _missing)
        object.__setattr__(built, method, _named(f"the target {name} failed in {method}", call))
    opening = built.open
    object.__setattr__(built, "open", lambda artefact: _NamedSession(opening(artefact), name))
    target: Target = built
    return target


def _missing(*_: Any) -> None:
    raise TypeError("it has no such method")


def _named(what: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of a target that says in errors which target it belongs to."""

    @wraps(method)
    def call(*arguments: Any, **settings: Any) -> Any:
        try:
            with calling(what, TargetError):
                return method(*arguments, **settings)
        except TargetError as error:
            if isinstance(error.__cause__, OSError):  # a full disk is no fault of the target
                raise error.__cause__ from None
            raise

    return call


class _NamedSession:
    """A session that says in errors which target it belongs to."""

    def __init__(self, session: Session, target: str) -> None:
        self._session = session
        self._failed = f"the session of the target {target} failed in "

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The graph inputs."""
        return self._call("inputs", lambda: self._session.inputs)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The graph outputs."""
        return self._call("outputs", lambda: self._session.outputs)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run once."""
        return self._call("run", lambda: self._session.run(feeds))

    def timer(self, feeds: Mapping[str, NDArray[Any]]) -> Callable[[int], list[float]]:
        """Prepare what is timed; its errors are named, too."""
        timer = self._call("timer", lambda: self._session.timer(feeds))
        return lambda iterations: self._call("timer", lambda: timer(iterations))

    def close(self) -> None:
        """Close the session."""
        self._call("close", lambda: self._session.close())  # noqa: PLW0108 - it may have none

    def _call(self, method: str, call: Callable[[], Value]) -> Value:
        result: Value = _named(self._failed + method, call)()
        return result


def option_names(name: str) -> frozenset[str]:
    """Return the names of the options of the target called `name`. Raises TargetError if there is no such target."""
    return frozenset(field.name for field in fields(target_class(name)))


def option_types(name: str) -> dict[str, Any]:
    """Return the types of the options of the target called `name`.

    Raises TargetError or RegistryError if there is no such target, or it cannot be used.
    """
    cls = target_class(name)
    with calling(f"the options of the target {name} cannot be described", RegistryError):
        return hints_of(cls)


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
    return [name for name in target_names() if _has_rules(name)]


def _has_rules(name: str) -> bool:
    try:
        target = get_target(name)
        return isinstance(target, HasLintRules) and target.lint_rules() is not None
    except (RegistryError, TargetError) as error:  # `doctor` lists it, and other targets have rules without it
        _log.warning("left out: %s", error)
        return False
