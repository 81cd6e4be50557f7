import pytest

from fastscnn_opt.ascend.whitelists.conditions import normal_form


@pytest.mark.parametrize(
    "spelling",
    [
        'dst_format.lower() == "nchw"',
        "dst_format.lower() == 'nchw'",
        'dst_format.upper() == "NCHW"',
        '( dst_format . lower( )=="nchw" )',
        '"nchw" == dst_format.lower()',
        'dst_format.lower() \\\n    == "nchw"',
        'dst_format.lower() == (  # as text\n "nchw")',
    ],
)
def test_one_test_has_one_form(spelling: str) -> None:
    assert normal_form(spelling) == "dst_format.lower() == 'nchw'"


@pytest.mark.parametrize(
    "other",
    [
        'dst_format == "nchw"',
        'dst_format.lower() == "NCHW"',
        'dst_format.lower() == "nhwc"',
        'dst_format.lower() != "nchw"',
        'not dst_format.lower() == "nchw"',
        'src_format.lower() == "nchw"',
        'dst_format.strip() == "nchw"',
        'dst_format.lower() in "nchw"',
        'dst_format.lower() == "nchw" == layout',
    ],
)
def test_another_test_has_another_form(other: str) -> None:
    assert normal_form(other) != "dst_format.lower() == 'nchw'"


@pytest.mark.parametrize(
    "spelling",
    [
        "s in [...]",
        "s in [[1, 2], [3, 4]]",
        "s in ([1, 2], [3, 4],)",
        "(s in [[1],\n  # why\n  [2]])",
        "s in []",
        "s in [(1, 2)]",
    ],
)
def test_a_list_of_shapes_has_one_form(spelling: str) -> None:
    assert normal_form(spelling) == "s in [...]"


@pytest.mark.parametrize(
    "other", ["s in [1, 2]", "s not in [[1]]", "s in shapes", "s == [[1]]", "s in (...)", "s in ['nchw']"]
)
def test_other_containers_are_not_lists_of_shapes(other: str) -> None:
    assert normal_form(other) != "s in [...]"
