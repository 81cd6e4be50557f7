"""Spaces: the installed one, and those of a user, whose mistakes are named with their place."""

import textwrap

import pytest

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import PipelineError, RunError
from fastscnn_opt.rewriting.pipeline import parse
from fastscnn_opt.rewriting.registry import build_pipeline, entry_points
from fastscnn_opt.searching.space import Slot, Space, default_space, pipeline_of, read_space

SPACE = Space("", (Slot("one", ("", "a", "b")), Slot("two", ("c",)), Slot("three", ("", "d"))), "")

GOOD = """
    baseline = "adaptive-avgpool"
    [[slot]]
    name = "outputs"
    alternatives = ["", "drop-outputs"]
    [[slot]]
    name = "interpolation"
    alternatives = ["", "resize-nearest{only=head},fp16-output"]
"""


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        (tmp_path / "space.toml").write_text(textwrap.dedent(text))
        return read_space(tmp_path / "space.toml")

    return read_text


def test_a_pipeline_is_one_alternative_of_each_slot_in_order():
    pipelines = [pipeline_of(choices) for choices in SPACE.all()]
    assert pipelines == ["c", "c,d", "a,c", "a,c,d", "b,c", "b,c,d"]
    assert SPACE.size == 6


def test_names_tell_what_was_chosen_where_there_is_a_choice():
    assert [SPACE.name(choices) for choices in SPACE.all()] == ["plain", "d", "a", "a + d", "b", "b + d"]


def test_a_text_that_several_slots_offer_is_named_with_its_slot():
    space = Space("", (Slot("first", ("", "a", "b")), Slot("last", ("", "a"))), "")
    names = [space.name(choices) for choices in space.all()]
    assert names == ["plain", "last: a", "first: a", "first: a + last: a", "b", "b + last: a"]


def test_singles_differ_from_the_plain_choices_in_one_slot():
    singles = list(SPACE.singles())
    assert singles == [("", "c", ""), ("", "c", "d"), ("a", "c", ""), ("b", "c", "")]
    assert [SPACE.distance(choices) for choices in singles] == [0, 1, 1, 1]


def test_what_was_no_use_is_left_out():
    left = SPACE.without(("b", "c", ""))
    assert [slot.alternatives for slot in left.slots] == [("", "a"), ("c",), ("", "d")]
    assert ("b", "c", "") not in left
    assert ("a", "c", "d") in left
    assert ("a", "c") not in left


def test_the_space_of_a_user_is_read(read):
    space = read(GOOD)
    assert (space.baseline, space.size) == ("adaptive-avgpool", 4)
    assert [slot.name for slot in space.slots] == ["outputs", "interpolation"]


def test_the_default_space_holds_only_valid_pipelines_of_installed_passes():
    space = default_space()
    for choices in space.singles():
        build_pipeline(pipeline_of(choices))
    build_pipeline(space.baseline)
    assert space.size > 1
    named = {item.name for slot in space.slots for text in slot.alternatives for item in parse(text)}
    assert named == set(entry_points()) - {"static-batch", "static-shape"}
    assert {"simplify", "resize-nearest", "argmax-output"} <= named


def quantising(scored):
    """Return the quantising pass of the default space for these images."""
    (texts,) = ([*slot.alternatives] for slot in default_space(scored).slots if slot.name == "precision")
    (found,) = (item for text in texts for item in build_pipeline(text) if item.name == "int8")
    return found


def test_the_output_that_is_read_is_not_dropped():
    source = DataSource("x", description={"preset": "camvid", "output": "main out"})
    (slot,) = (slot for slot in default_space(source).slots if slot.name == "outputs")
    assert [item.keep for text in slot.alternatives for item in build_pipeline(text)] == [("main out",)]


def test_passes_know_the_order_of_axes_that_the_description_states():
    source = DataSource("x", description={"preset": "camvid", "output_layout": "nhwc"})
    (slot,) = (slot for slot in default_space(source).slots if slot.name == "labels")
    found = [item.layout for text in slot.alternatives for item in build_pipeline(text) if item.name == "argmax-output"]
    assert found == ["nhwc"]


def test_quantisation_is_calibrated_on_the_training_images_of_the_tree(tmp_path, monkeypatch):
    (tmp_path / "tree" / "leftImg8bit" / "train").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    found = quantising(DataSource(root="tree", split="val"))
    assert (found.data, found.split) == (str(tmp_path / "tree"), None)  # of a tree, the pass takes train


@pytest.mark.parametrize(("splits", "split"), [(("train", "val"), "train"), (("val",), "val")])
def test_quantisation_for_described_data_is_calibrated_on_images_of_the_description(tmp_path, splits, split):
    for name in splits:
        (tmp_path / "i" / name).mkdir(parents=True)
        (tmp_path / "i" / name / "a.png").touch()
    file = tmp_path / "own.toml"
    file.write_text('[data]\nroot = "."\nimages = "i/{split}/*.png"\nmasks = "m/*.png"\nclasses = ["a"]\n')
    found = quantising(DataSource.at(str(file)))
    assert (found.data, found.split) == (str(file), split)


@pytest.mark.parametrize(("split", "there"), [("train", "train"), ("val", "val")])
def test_quantisation_is_not_calibrated_on_what_is_scored(tmp_path, split, there):
    (tmp_path / "leftImg8bit" / there).mkdir(parents=True)
    assert quantising(DataSource(root=str(tmp_path), split=split)) == quantising(DataSource(synthetic=1))


def test_a_pass_of_another_package_gets_a_slot(plug_in):
    code = """
        from dataclasses import dataclass
        from typing import ClassVar
        from fastscnn_opt import Contract, Pass

        @dataclass(frozen=True)
        class Free(Pass):
            name: ClassVar[str] = "free"
            contract: ClassVar[Contract] = Contract.EXACT
            def rewrite(self, graph):
                yield from ()

        @dataclass(frozen=True)
        class Needy(Free):
            name: ClassVar[str] = "needy"
            number: int
    """
    plug_in("other", code, passes=["Free", "Needy"])
    slots = default_space().slots
    assert Slot("free", ("", "free")) in slots
    assert "needy" not in {slot.name for slot in slots}, "it cannot be built without its option"


@pytest.mark.parametrize(
    ("wrong", "right", "error", "words"),
    [
        ("alternatives =", "alternatves =", RunError, r"\[\[slot\]\] number 1 .*'alternatves'; did you mean 'altern"),
        ("baseline =", "basline =", RunError, "unknown key 'basline'; did you mean 'baseline'"),
        ('name = "outputs"', "", RunError, r"\[\[slot\]\] number 1: the key 'name' is missing"),
        ('name = "outputs"', "name = 3", RunError, "number 1: name should be a valid string, and is 3"),
        (
            '["", "drop-outputs"]',
            "[]",
            RunError,
            r"number 1 .*: alternatives should have at least 1 item, and",
        ),
        ("interpolation", "outputs", RunError, "two slots are called 'outputs'"),
        ('"drop-outputs"', '""', RunError, "slot 'outputs' has the alternative '' twice"),
        ("drop-outputs", "drop-output", PipelineError, "slot 'outputs': unknown pass 'drop-output'; did you mean"),
        ("adaptive-avgpool", "adaptive", PipelineError, "baseline: unknown pass 'adaptive'"),
        ("baseline", "= baseline", RunError, "not a TOML file"),
    ],
)
def test_mistakes_are_named_with_their_place(read, wrong, right, error, words):
    with pytest.raises(error, match=words):
        read(GOOD.replace(wrong, right, 1))


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(RunError, match=r"nowhere\.toml: the space file cannot be read"):
        read_space(tmp_path / "nowhere.toml")


def test_a_space_without_slots_is_refused(read):
    with pytest.raises(RunError, match="the table 'slot' is missing"):
        read('baseline = ""')
