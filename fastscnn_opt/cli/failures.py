"""Report how a command failed: on stderr for people, in the JSON on stdout, and as annotations in GitHub Actions."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastscnn_opt.cli.printing import TableFormat, collected_json, print_error, print_json, say
from fastscnn_opt.errors import Breach, GateError, UserError
from fastscnn_opt.text import markdown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def report(lines: Sequence[str], verb: str | None) -> None:
    """Print messages of errors on stderr, in GitHub Actions as annotations, too."""
    for line in lines:
        print_error(line)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in lines:  # stderr is read for annotations, too, and stdout may hold JSON
            title = f"fastscnn-opt {verb}" if verb else "fastscnn-opt"
            print_error(f"::error title={title}::{_escaped(line.partition('error: ')[2] or line)}")


def _escaped(text: str) -> str:
    """Return the message of a workflow command, as GitHub's toolkit escapes it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


@contextmanager
def one_json_document(*, wanted: bool) -> Iterator[None]:
    """Write the JSON that the block prints when it ends; if an error ends it, that is in the JSON, as ``error``.

    With `wanted`, an error of a block that has printed none is a document of its own. A list stays as it is.
    """
    failure: Exception | None = None
    documents: list[object] = []
    try:
        with collected_json(documents):
            yield
    except Exception as error:
        failure = error
        raise
    finally:
        for document in documents if failure is None else _with_error(documents, failure, wanted=wanted):
            print_json(document)


def _with_error(documents: list[object], failure: Exception, *, wanted: bool) -> list[object]:
    if not documents:
        return [{"error": _as_json(failure)}] if wanted else []
    *others, last = documents
    return [*others, {**last, "error": _as_json(failure)} if isinstance(last, dict) else last]


def _as_json(error: Exception) -> dict[str, Any]:
    known = {"kind": type(error).__name__, "message": str(error)}
    if not isinstance(error, UserError):
        return known
    if isinstance(error, GateError):
        return known | {"breaches": [breach._asdict() for breach in error.breaches]}
    return known | {"where": error.where, "cure": error.cure}


def conclude(breaches: Sequence[Breach], form: TableFormat) -> None:
    """Say below a Markdown table how its gate ended, and raise GateError if there are breaches."""
    if form is TableFormat.MD:
        say(f"\n**Gate: {'failed' if breaches else 'passed'}**")
        lines = [f"- {markdown(breach.where)}: {markdown(breach.what)}" for breach in breaches]
        say("\n".join(["", *lines]), nl=bool(lines))
    if breaches:
        raise GateError.of(breaches)
