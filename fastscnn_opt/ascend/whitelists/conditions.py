"""The tests of a condition in a normal form, so that the same test written differently compares equal."""

from __future__ import annotations

import ast


def normal_form(code: str) -> str:
    """Return the normal form of one test of a condition: the same text for every spelling of the test.

    Spaces, line breaks, quotes, parentheses and the order of the two sides of ``==`` do not matter. A comparison that
    ignores case becomes ``X.lower() == 'nchw'``, whether the source calls ``lower`` or ``upper``; a comparison that
    can never be true (``X.lower() == "NCHW"``) keeps its own text. Membership in a list of shapes becomes ``NAME in
    [...]``, whichever shapes the list holds.

    Parameters
    ----------
    code
        A Python expression, which may contain line breaks and comments.

    Raises
    ------
    SyntaxError
        `code` is not an expression.
    """
    return normal_form_of(ast.parse(f"(\n{code}\n)", mode="eval").body)


def normal_form_of(test: ast.expr) -> str:
    """Return the normal form of a parsed test."""
    match test:
        case ast.Compare(left=ast.Name(id=name), ops=[ast.In()], comparators=[shapes]) if holds_shapes(shapes):
            return f"{name} in [...]"
        case ast.Compare(left=ast.Constant() as value, ops=[ast.Eq()], comparators=[subject]):
            return _equality(subject, value)
        case ast.Compare(left=subject, ops=[ast.Eq()], comparators=[value]):
            return _equality(subject, value)
    return ast.unparse(test)


def holds_shapes(value: ast.expr) -> bool:
    """Return whether a value is a list of lists, or the ``[...]`` that stands for one in a patch."""
    match value:
        case ast.List(elts=[ast.Constant(value=inner)]) if inner is ...:
            return True
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return all(isinstance(element, ast.List | ast.Tuple) for element in elements)
    return False


def _equality(subject: ast.expr, value: ast.expr) -> str:
    match subject, value:
        case ast.Call(func=ast.Attribute(value=text, attr=("lower" | "upper") as case), args=[], keywords=[]), (
            ast.Constant(value=str(word))
        ) if word == getattr(word, case)():
            return f"{ast.unparse(text)}.lower() == {word.lower()!r}"
    return f"{ast.unparse(subject)} == {ast.unparse(value)}"
