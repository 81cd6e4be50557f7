"""The options of a target: fields of a frozen dataclass, checked and converted when it is made."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, get_type_hints

from pydantic import AfterValidator, TypeAdapter, ValidationError

from fastscnn_opt.errors import TargetError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def written(pattern: str, form: str) -> AfterValidator:
    """Return what makes an annotated text match all of `pattern`; `form` shows a user how it is written."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"should be written as {form}")
        return text

    return AfterValidator(check)


def check_options(target: DataclassInstance, name: str) -> None:
    """Convert the fields of a frozen dataclass to their annotated types, in place.

    Raises
    ------
    TargetError
        A value does not fit its option; the message names the option of the target `name`.
    """
    hints = get_type_hints(type(target), include_extras=True)
    for option in (field.name for field in fields(target)):
        given = getattr(target, option)
        try:
            value = TypeAdapter(hints[option]).validate_python(given)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise TargetError(f"target {name}: option {option} is {given!r}, but {_lower(reason)}") from error
        object.__setattr__(target, option, value)


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
