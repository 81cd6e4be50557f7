"""Errors of the user: their fields, the message made of these, and their exit codes."""

import inspect
import pickle
from pathlib import Path

import pytest

from fastscnn_opt import errors
from fastscnn_opt.errors import CheckFailedError, DataError, ModelError, UserError

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, UserError)]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("holds no node"), "holds no node"),
        (UserError("holds no node", where="a.onnx"), "a.onnx: holds no node"),
        (UserError("holds no node", cure="export it again"), "holds no node; export it again"),
        (UserError("holds no node", where="a.onnx", cure="export it again"), "a.onnx: holds no node; export it again"),
        (UserError("holds no node", where=Path("b") / "a.onnx"), "b/a.onnx: holds no node"),
    ],
)
def test_the_message_says_where_what_and_the_cure(error, message):
    assert str(error) == message


def test_a_caller_may_name_the_place_better():
    error = ModelError("holds no node", where="/tmp/copy.onnx", cure="export it again")
    error.where = "net.onnx"
    assert str(error) == "net.onnx: holds no node; export it again"


def test_fields_survive_pickling():
    error = pickle.loads(pickle.dumps(DataError("is empty", where="val", cure="use another split")))
    assert (type(error), error.where, error.what, error.cure) == (DataError, "val", "is empty", "use another split")


@pytest.mark.parametrize("kind", CLASSES)
def test_a_failed_check_exits_with_3_and_every_other_mistake_with_1(kind):
    assert kind.exit_code == (3 if issubclass(kind, CheckFailedError) else 1)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_can_be_made_of_its_fields(kind):
    """The parent of a child process makes the error again from these."""
    assert str(kind("is wrong", where="a.onnx", cure="mend it")) == "a.onnx: is wrong; mend it"
