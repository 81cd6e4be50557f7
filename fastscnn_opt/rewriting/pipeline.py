r"""Pipelines as text: ``name{option=value option=value},name,...``, parsed and printed back.

Grammar::

    pipeline = [ pass { "," pass } ]
    pass     = name [ "{" { option "=" value } "}" ]
    value    = atom { "|" atom }
    atom     = word | quoted

A word holds anything but white space, commas, braces, quotes and ``|``. A quoted atom stands in ``'`` or ``"``, with
``\`` before a quote or a backslash. White space may stand around every part. The type of the option decides what a
value means: a number, a boolean or a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastscnn_opt.errors import PipelineError
from fastscnn_opt.files import read_text_or_pipe
from fastscnn_opt.text import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORD = re.compile(r"[^\s,{}'\"|=]+")
_VALUE_WORD = re.compile(r"[^\s,{}'\"|]+")
_SPACE = re.compile(r"\s*")


class Span(NamedTuple):
    """A place in a pipeline text: the characters from `start` to `end`, the last excluded."""

    start: int
    end: int


@dataclass(frozen=True)
class Atom:
    """One word of a value; `quoted` tells ``"true"`` (a text) from ``true`` (a boolean)."""

    text: str
    quoted: bool = False

    def __str__(self) -> str:
        if self.text and not self.quoted and _VALUE_WORD.fullmatch(self.text):
            return self.text
        return quoted(self.text)


@dataclass(frozen=True)
class Option:
    """``name=value``, the value as one atom or several joined by ``|``."""

    name: str
    value: tuple[Atom, ...]
    span: Span = field(default=Span(0, 0), compare=False)
    value_span: Span = field(default=Span(0, 0), compare=False)

    def __str__(self) -> str:
        return f"{self.name}=" + "|".join(map(str, self.value))


@dataclass(frozen=True)
class PassText:
    """One pass of a pipeline as written: its name and its options in order."""

    name: str
    options: tuple[Option, ...] = ()
    span: Span = field(default=Span(0, 0), compare=False)

    @property
    def texts(self) -> dict[str, str]:
        """The options without quotes."""
        return {option.name: "|".join(atom.text for atom in option.value) for option in self.options}

    def __str__(self) -> str:
        return self.name + ("{" + " ".join(map(str, self.options)) + "}" if self.options else "")


def parse(text: str) -> tuple[PassText, ...]:
    """Parse a pipeline text; the empty text is the empty pipeline.

    Raises
    ------
    PipelineError
        With the place in the text.
    """
    return _Parser(text).pipeline()


def parse_one(text: str, what: str) -> PassText:
    """Parse the name and the options of one `what`, such as a target, written as a pass. Raises PipelineError."""
    parser = _Parser(text, what)
    parser.skip_space()
    one = parser.one_pass()
    if parser.at < len(text):
        raise parser.wrong(f"expected the end of the {what}")
    return one


def parse_options(text: str) -> dict[str, str]:
    """Parse ``option=value option=value``, as it stands between the braces of a pass. Raises PipelineError."""
    (one,) = parse(f"options{{{text}}}")
    return one.texts


def format_options(options: Mapping[str, str]) -> str:
    """Print options so that `parse_options` reads them back to the same."""
    return " ".join(f"{name}={Atom(value)}" for name, value in options.items())


def format_pipeline(passes: tuple[PassText, ...]) -> str:
    """Print a pipeline in its canonical form, with one blank between options; `parse` reads it back to the same."""
    return ",".join(map(str, passes))


def read_pipeline(argument: str) -> str:
    """Return the pipeline text that a command line gives: itself, or the content of the file after ``@``.

    Raises
    ------
    PipelineError
        The file is missing, empty or not text. It may be a pipe, such as ``@/dev/stdin``.
    """
    if not argument.startswith("@"):
        return argument
    path = Path(argument[1:])
    try:
        text = read_text_or_pipe(path).strip()
    except OSError as error:
        raise PipelineError(
            f"the pipeline file cannot be read ({error.strerror})", where=path, cure="check the name after @"
        ) from error
    except UnicodeDecodeError as error:
        raise PipelineError("the pipeline file is not UTF-8 text", where=path) from error
    if not text:
        raise PipelineError("the pipeline file is empty", where=path, cure="write passes into it; '' is no pass at all")
    return text


def point_at(text: str, span: Span, message: str) -> PipelineError:
    """Make the error that shows `message` with the place in the text marked below it."""
    start_of_line = text.rfind("\n", 0, span.start) + 1
    line = text[start_of_line:].split("\n", 1)[0]
    width = max(1, min(span.end, start_of_line + len(line)) - span.start)
    marker = " " * (span.start - start_of_line) + "^" * width
    shown = "".join(character if character.isprintable() else " " for character in line)
    return PipelineError(f"{message}\n  {shown}\n  {marker}")


class _Parser:
    """Recursive descent over the text; `at` is the place of the next character."""

    def __init__(self, text: str, what: str = "pass") -> None:
        self.text = text
        self.what = what
        self.at = 0

    def pipeline(self) -> tuple[PassText, ...]:
        self.skip_space()
        if self.at == len(self.text):
            return ()
        passes = [self.one_pass()]
        while self.accept(","):
            passes.append(self.one_pass())
        if self.at < len(self.text):
            raise self.wrong(
                "expected a comma and the next pass" if self.text[self.at] != "}" else "this brace closes nothing"
            )
        return tuple(passes)

    def one_pass(self) -> PassText:
        name, span = self.word(_WORD, f"expected the name of a {self.what}")
        options: list[Option] = []
        opening = Span(self.at, self.at + 1)
        if self.accept("{"):
            while not self.accept("}"):
                if self.at == len(self.text):
                    raise point_at(self.text, opening, "this brace is never closed")
                options.append(self.option())
        self.refuse_repeats(options)
        return PassText(name, tuple(options), span)

    def option(self) -> Option:
        name, span = self.word(_WORD, "expected option=value; white space parts two options")
        if not self.accept("="):
            raise self.wrong(f"expected '=' and a value after the option {name!r}")
        start = self.at
        atoms = [self.atom()]
        while self.accept("|"):
            atoms.append(self.atom())
        end = start + len(self.text[start : self.at].rstrip())
        return Option(name, tuple(atoms), span, Span(start, end))

    def atom(self) -> Atom:
        if self.at < len(self.text) and self.text[self.at] in "'\"":
            return Atom(self.quoted(), quoted=True)
        return Atom(self.word(_VALUE_WORD, "expected a value")[0])

    def quoted(self) -> str:
        start, quote = self.at, self.text[self.at]
        self.at += 1
        characters: list[str] = []
        while self.at < len(self.text) and self.text[self.at] != quote:
            if self.text[self.at] == "\\" and self.text[self.at + 1 : self.at + 2] in ("\\", "'", '"'):
                self.at += 1
            characters.append(self.text[self.at : self.at + 1])
            self.at += 1
        if self.at >= len(self.text):
            raise point_at(self.text, Span(start, start + 1), "this quote is never closed")
        self.at += 1
        self.skip_space()
        return "".join(characters)

    def word(self, pattern: re.Pattern[str], otherwise: str) -> tuple[str, Span]:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise self.wrong(otherwise)
        self.at = match.end()
        self.skip_space()
        return match.group(), Span(*match.span())

    def accept(self, character: str) -> bool:
        if not self.text.startswith(character, self.at):
            return False
        self.at += 1
        self.skip_space()
        return True

    def skip_space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def refuse_repeats(self, options: list[Option]) -> None:
        seen: set[str] = set()
        for option in options:
            if option.name in seen:
                raise point_at(self.text, option.span, f"the option {option.name!r} is given twice")
            seen.add(option.name)

    def wrong(self, message: str) -> PipelineError:
        return point_at(self.text, Span(self.at, self.at + 1), message)
