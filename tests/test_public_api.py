"""The names that the package offers: each can be imported, and plug-ins need no others."""

import ast
from pathlib import Path

import pytest

import fastscnn_opt
from fastscnn_opt import errors

ERRORS = [name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.UserError)]


@pytest.mark.parametrize("name", fastscnn_opt.__all__)
def test_every_public_name_can_be_imported(name):
    assert getattr(fastscnn_opt, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'PassManger'"):
        _ = fastscnn_opt.PassManger


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_public(name):
    assert getattr(fastscnn_opt, name) is getattr(errors, name)


@pytest.mark.parametrize("name", ["Runner", "Feeds", "Tensor", "Step", "PassError"])
def test_what_a_pass_needs_is_public(name):
    assert name in fastscnn_opt.__all__


def test_type_checkers_see_the_names_that_are_imported_lazily():
    tree = ast.parse(Path(fastscnn_opt.__file__).read_text("utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(fastscnn_opt.__all__) <= imported
