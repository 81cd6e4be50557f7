"""The tests of a condition in a normal form, so that the same test written differently compares equal."""

from __future__ import annotations

import ast


def normal_form(code: str) -> str:
    """Write one test of a condition the way every spelling of it is written here.

    Spaces, line breaks, quotes, parentheses and the order of the two sides of ``==`` do not matter. A string compared
    without regard to case reads ``X.lower() == 'nchw'`` whether the source says ``lower`` or ``upper``; a comparison
    that can never be true (``X.lower() == "NCHW"``) keeps its own text. Membership in a list of shapes reads ``NAME in
    [...]`` whatever the list holds.

    Parameters
    ----------
    code
        A Python expression; line breaks and comments inside it are welcome.

    Raises
    ------
    SyntaxError
        `code` is not an expression.
    """
    node = ast.parse(f"(\n{code}\n)", mode="eval").body
    match node:
        case ast.Compare(left=ast.Name(id=name), ops=[ast.In()], comparators=[ast.List() | ast.Tuple() as shapes]):
            return f"{name} in [...]" if _holds_shapes(shapes) else ast.unparse(node)
        case ast.Compare(left=ast.Constant() as value, ops=[ast.Eq()], comparators=[subject]):
            return _equality(subject, value)
        case ast.Compare(left=subject, ops=[ast.Eq()], comparators=[value]):
            return _equality(subject, value)
    return ast.unparse(node)


def _equality(subject: ast.expr, value: ast.expr) -> str:
    match subject, value:
        case ast.Call(func=ast.Attribute(value=text, attr="lower"), args=[], keywords=[]), ast.Constant(
            value=str(word)
        ):
            if word == word.lower():
                return f"{ast.unparse(text)}.lower() == {word!r}"
        case ast.Call(func=ast.Attribute(value=text, attr="upper"), args=[], keywords=[]), ast.Constant(
            value=str(word)
        ):
            if word == word.upper():
                return f"{ast.unparse(text)}.lower() == {word.lower()!r}"
    return f"{ast.unparse(subject)} == {ast.unparse(value)}"


def _holds_shapes(display: ast.List | ast.Tuple) -> bool:
    """Tell a list of lists, or the ``[...]`` that stands for one in a patch, from any other list."""
    match display.elts:
        case [ast.Constant(value=value)] if value is ...:
            return True
    return all(isinstance(element, ast.List | ast.Tuple) for element in display.elts)
