"""Passes come through entry points, and a wrong name or value is an error with the nearest valid one."""

import sys
from textwrap import dedent

import pytest

from fastscnn_opt.errors import PipelineError, RegistryError
from fastscnn_opt.rewriting.options import options_of
from fastscnn_opt.rewriting.registry import build_pipeline, entry_points, pass_class, text_of

PLUGIN = dedent('''
    from dataclasses import dataclass
    from enum import StrEnum
    from typing import ClassVar

    from fastscnn_opt import Change, Contract, Pass, Select


    class Colour(StrEnum):
        DARK_RED = "dark-red"
        BLUE = "blue"


    @dataclass(frozen=True)
    class Paint(Pass):
        """Paint nodes."""

        name: ClassVar[str] = "paint"
        contract: ClassVar[Contract] = Contract.EXACT

        times: int
        colour: Colour = Colour.BLUE
        glossy: bool = False
        share: float = 0.5
        only: Select = Select.ALL
        keep: tuple[str, ...] = ()
        label: str = ""

        def rewrite(self, graph):
            yield Change("all", "painted")
''')


def install(folder, distribution, entries, code=PLUGIN):
    """Lay out an installed distribution as a package index client would: a module and its metadata."""
    (folder / f"{distribution}_module.py").write_text(code)
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = "\n".join(f"{name} = {value}" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[fastscnn_opt.passes]\n{lines}\n")


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    install(tmp_path, "painter", {"paint": "painter_module:Paint"})
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("painter_module", None)


@pytest.mark.usefixtures("plugin")
def test_a_pass_of_another_distribution_is_found_beside_the_built_in_ones():
    assert pass_class("paint").__module__ == "painter_module"
    assert {"paint", "simplify", "resize-nearest"} <= set(entry_points())


@pytest.mark.usefixtures("plugin")
def test_values_are_converted_by_the_type_of_the_option():
    (item,) = build_pipeline("paint{times=3 colour=dark-red glossy=true share=2 only=head keep=a|b label='x y'}")
    assert (item.times, str(item.colour), item.glossy, item.share) == (3, "dark-red", True, 2.0)
    assert (item.only.pattern, item.keep, item.label) == ("head", ("a", "b"), "x y")


@pytest.mark.usefixtures("plugin")
def test_the_text_of_a_pass_builds_it_again():
    (item,) = build_pipeline("paint{times=3 colour=dark-red glossy=true only=Re*|Co* keep=a|'b c' label=\"true\"}")
    assert build_pipeline(text_of(item)) == (item,)


@pytest.mark.usefixtures("plugin")
def test_options_are_described_with_types_and_defaults():
    described = {info.name: (info.type, info.default) for info in options_of(pass_class("paint"))}
    assert described["times"] == ("a whole number", None)
    assert described["colour"] == ("dark-red|blue", "blue")
    assert described["glossy"] == ("true|false", "false")


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("text", "what", "column"),
    [
        ("pant{times=1}", "unknown pass 'pant'; did you mean 'paint'", 0),
        ("simplify,zzz", "unknown pass 'zzz'; known: ", 9),
        ("paint{tims=1}", "unknown option of paint 'tims'; did you mean 'times'", 6),
        ("paint{times=1.5}", "times takes a whole number, not '1.5'", 12),
        ("paint{times=1 glossy=yes}", "glossy takes true|false, not 'yes'", 21),
        ("paint{times=1 colour=drk-red}", "not 'drk-red'; did you mean 'dark-red'", 21),
        ("paint{times=1|2}", "times takes a whole number, not the list 1|2", 12),
        ("paint{times='1'}", "times takes a whole number, not the text", 12),
        ("paint", "paint needs the option 'times'", 0),
    ],
)
def test_a_mistake_points_at_its_place_and_names_what_is_valid(text, what, column):
    with pytest.raises(PipelineError) as caught:
        build_pipeline(text)
    assert what in str(caught.value)
    assert str(caught.value).split("\n")[-1].index("^") == 2 + column


@pytest.mark.usefixtures("plugin")
def test_a_name_claimed_twice_is_an_error(tmp_path):
    install(tmp_path, "other", {"paint": "other_module:Paint"})
    with pytest.raises(RegistryError, match=r"'paint' is claimed by both other .* and painter .*; uninstall one"):
        pass_class("paint")
    assert "simplify" in entry_points()


@pytest.mark.parametrize(
    ("entry", "code", "what"),
    [
        ("gone_module:Paint", PLUGIN, "cannot be imported: ModuleNotFoundError: No module named 'gone_module'"),
        ("bad_module:Missing", PLUGIN, "cannot be imported: .*Missing"),
        ("bad_module:Colour", PLUGIN, "is no pass of that name"),
        ("bad_module:Paint", PLUGIN.replace('= "paint"', '= "brush"'), "is no pass of that name"),
    ],
)
def test_a_broken_plug_in_is_named(tmp_path, monkeypatch, entry, code, what):
    install(tmp_path, "bad", {"paint": entry}, code)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("bad_module", None)
    with pytest.raises(RegistryError, match=what):
        pass_class("paint")
