"""The command `fastscnn-opt`: run the module of a verb, and turn errors into messages and exit codes.

Only the module of the verb that was asked for is imported, so that `--help` and short verbs start fast.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import traceback
from contextlib import contextmanager
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from fastscnn_opt.cli.command import ApartCommand, ReportedExit, VerbCommand
from fastscnn_opt.cli.failures import one_json_document, report
from fastscnn_opt.cli.printing import NOTES, note, print_error, say
from fastscnn_opt.cli.streams import prepare
from fastscnn_opt.errors import UserError
from fastscnn_opt.files import from_os_error
from fastscnn_opt.text import printable_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Verb(NamedTuple):
    """The folder of a verb's module below `cli.verbs`, and its one-line summary."""

    folder: str
    summary: str


VERBS = {
    "demo": Verb("setup", "Build and score the bundled demo variants and show their table."),
    "passes": Verb("rewriting", "List the installed passes with their contracts and options."),
    "explain": Verb("rewriting", "Print the manual of a pass."),
    "apply": Verb("rewriting", "Apply named passes to a model and verify each one."),
    "diff": Verb("rewriting", "Show what changed between two models."),
    "export": Verb("rewriting", "Turn a FastSCNN checkpoint into an ONNX model."),
    "compile": Verb("ascend", "Compile a model for a target."),
    "prepare": Verb("ascend", "Write the binary images and labels that the vendor's tools read."),
    "data": Verb("scoring", "Check a dataset and its description before anything runs."),
    "eval": Verb("scoring", "Score the accuracy of a model on labelled images."),
    "scenes": Verb("setup", "Write synthetic street scenes with labels as a Cityscapes tree."),
    "bench": Verb("scoring", "Time models side by side, interleaved, with intervals."),
    "score": Verb("scoring", "Build, compile and score every variant of a variants file."),
    "compare": Verb("scoring", "Show the variant table of one run, or two runs side by side."),
    "search": Verb("scoring", "Explore pipelines for the best trade-offs of accuracy and speed."),
    "bisect": Verb("scoring", "Find the pass, and its changes, that cost too much accuracy."),
    "overlay": Verb("scoring", "Draw what a model, or two side by side, see in photographs."),
    "report": Verb("scoring", "Show a run as one HTML page: what to ship, tables and plots."),
    "package": Verb("scoring", "Write a model with all that is needed to use it elsewhere."),
    "patch": Verb("ascend", "List, apply and revert white-list patches of the vendor compiler."),
    "profile": Verb("ascend", "Show where the time of a run went, and what would save it."),
    "lint": Verb("rewriting", "Find what a target will run slowly, differently or not at all."),
    "cache": Verb("setup", "List, size and prune the user's cache, or the files of a run."),
    "doctor": Verb("setup", "Say what is installed, which targets work, what is missing."),
}
"""Every verb, in the order of the help text."""

ANYWHERE = {"--quiet": ("--quiet", "-q"), "--verbose": ("--verbose", "-v"), "--debug": ("--debug",)}
"""Options that are allowed before and after the verb, with their spellings."""

CONTINUED = ("demo", "score", "search")
"""Verbs that continue an interrupted run when they are started again on its folder."""

APART = ("apply", "bisect", "diff", "explain", "export", "lint", "package")
"""Verbs that run native libraries on a user's model by themselves; `main` does them in a child process."""

COMPLETING = "_FASTSCNN_OPT_COMPLETE"
"""Environment variable that a shell sets when it asks for completions."""

_UsageError: Any = typer.BadParameter.__base__  # typer has no public name for it
_THREAD_SECONDS = 0.5
"""How long a thread that is left may take to end by itself."""

WRONG_USAGE = 2
INTERRUPTED = 130
TERMINATED = 143


class _Root(TyperGroup):
    """A group of verbs that reports wrong usage in the form of all other errors."""

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        """Read the options before the verb."""
        with _plain_usage_errors():
            return super().make_context(*arguments, **settings)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        with _plain_usage_errors():
            return super().invoke(ctx)


@contextmanager
def _plain_usage_errors() -> Iterator[None]:
    """Put what typer raises for wrong usage into our words, which cannot control a terminal."""
    try:
        yield
    except _UsageError as error:
        if isinstance(error, typer.BadParameter) and isinstance(error.__cause__, ValueError):
            error.message = _in_our_words(error.__cause__)  # typer lets pydantic check values
        error.message = printable_lines(error.message)
        raise


def _in_our_words(error: ValueError) -> str:
    from pydantic import ValidationError

    from fastscnn_opt.schema import fault

    return fault(error.errors()[0]) if isinstance(error, ValidationError) else str(error)


def build(verb: str | None) -> typer.Typer:
    """Assemble the command: `verb` is imported (``"*"``: all), the others are names with a summary."""
    root = typer.Typer(
        name="fastscnn-opt",
        cls=_Root,
        help="Graph surgery, compilation and trustworthy scoring for segmentation networks such as FastSCNN.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    )
    root.callback()(_root)
    for name, (folder, summary) in VERBS.items():
        if verb not in (name, "*"):
            root.command(name, help=summary)(_not_loaded)
            continue
        module = import_module(f"fastscnn_opt.cli.verbs.{folder}.{name}")
        epilog = f"Options of every verb: {', '.join(ANYWHERE)}."
        if hasattr(module, "app"):
            root.add_typer(module.app, name=name, help=summary, epilog=epilog)
        else:
            root.command(name, cls=ApartCommand if name in APART else VerbCommand, epilog=epilog)(module.command)
    return root


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        say(f"fastscnn-opt {version('fastscnn-opt')}")
        raise typer.Exit


def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and stop.", is_eager=True, callback=_show_version)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print results and errors only, no notes and no progress.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Write a log of the internal steps to stderr.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Declare the options of every verb for the help. `run` and a callback have handled them before."""


def _not_loaded() -> None:
    raise AssertionError("the verb that runs is always the one that was loaded")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command on `arguments` (default: those of the process) and end the process with its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # so that child processes and temporary files end
    prepare()
    sys.excepthook = lambda *error: print_error("".join(traceback.format_exception(*error)))  # with --debug
    code = run(list(sys.argv[1:] if arguments is None else arguments), apart=True)
    sys.stdout = sys.stderr  # for what is printed while the process ends
    _end_threads(code)
    sys.exit(code)


def _end_threads(code: int) -> None:
    """End the process here if a plug-in has left a thread for which Python would wait, maybe for ever."""
    left = [thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]
    for thread in left:
        thread.join(_THREAD_SECONDS)
        if thread.is_alive():
            note(f"the thread {thread.name} of a plug-in was still running, and was ended")
            atexit._run_exitfuncs()
            sys.stderr.flush()
            os._exit(code)


def run(arguments: list[str], *, apart: bool = False) -> int:
    """Run the command and return its exit code: 0 done, 1 bad input, 2 wrong usage, 3 failed check, 130 interrupted.

    With `apart`, the verbs `APART` run in a child process; this process must have no threads then.
    """
    given, arguments = _take_out(arguments)
    debug = "--debug" in given
    if {"--quiet", "--verbose"} <= given:
        print_error("Error: give --quiet or --verbose, not both")
        return WRONG_USAGE
    _set_verbosity(quiet="--quiet" in given, verbose="--verbose" in given)
    words = _completed_words() if COMPLETING in os.environ else arguments
    verb = next((word for word in words if not word.startswith("-")), None)
    try:
        with one_json_document(wanted=_wants_json(arguments)):
            build(verb)(args=arguments, prog_name="fastscnn-opt", obj=apart)
    except (SystemExit, KeyboardInterrupt) as leave:  # the latter while a verb is imported
        code = _exit_code(leave)
        if code == INTERRUPTED and not isinstance(leave, ReportedExit):
            cure = "; finished rows are kept, and the same command goes on from there" if verb in CONTINUED else ""
            print_error(f"interrupted{cure}")
        return code
    except (UserError, OSError) as error:
        if debug:
            raise
        mistake = from_os_error(error) if isinstance(error, OSError) else error
        report([f"error: {line}" for line in mistake.lines], verb)
        return mistake.exit_code
    except MemoryError:
        if debug:
            raise
        report(["error: ran out of memory; free some, or raise the limits of the system (ulimit)"], verb)
        return 1
    except Exception as error:  # the last resort: a bug of ours is reported, and --debug shows its traceback
        if debug:
            raise
        what = f"internal error: {type(error).__name__}: {error} (run again with --debug for the traceback)"
        report([what], verb)
        return 1
    return 0


def _wants_json(arguments: list[str]) -> bool:
    """Return whether the words ask for JSON; errors are needed in it before the verb has read its options."""
    return "--format=json" in arguments or any(pair == ("--format", "json") for pair in pairwise(arguments))


def _take_out(arguments: list[str]) -> tuple[set[str], list[str]]:
    """Return the given options that all verbs have, and the other words; no word after ``--`` is an option."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    spelled = {spelling: option for option, spellings in ANYWHERE.items() for spelling in spellings}
    given = {spelled[word] for word in arguments[:end] if word in spelled}
    return given, [word for word in arguments[:end] if word not in spelled] + arguments[end:]


class _LogFormatter(logging.Formatter):
    """Formats records without characters that control a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        return printable_lines(super().format(record))


def _set_verbosity(*, quiet: bool, verbose: bool) -> None:
    """Turn off notes and progress if `quiet`; let the loggers of all modules write to stderr if `verbose`."""
    logging.getLogger(NOTES).setLevel(logging.ERROR if quiet else logging.INFO)
    package = logging.getLogger("fastscnn_opt")
    package.setLevel(logging.DEBUG if verbose else logging.NOTSET)
    package.handlers.clear()
    if verbose:
        handler = logging.StreamHandler()
        handler.setFormatter(_LogFormatter("%(relativeCreated)6.0f ms  %(name)s: %(message)s"))
        package.addHandler(handler)


def _completed_words() -> list[str]:
    """Return the words of the command line that a shell wants completed, without the name of the command."""
    words = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")
    return words.split()[1:]


def _exit_code(leave: SystemExit | KeyboardInterrupt) -> int:
    if isinstance(leave, KeyboardInterrupt):
        return INTERRUPTED
    return leave.code if isinstance(leave.code, int) else int(leave.code is not None)


if __name__ == "__main__":
    main()
