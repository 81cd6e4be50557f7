"""Reading variants files, good and bad."""

import re
import textwrap

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastscnn_opt.ascend.whitelists.patchfile import shipped, to_toml
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import DataError, PatchError, PipelineError, RunError, TargetError
from fastscnn_opt.scoring.variants import RowPlan, parse_variants, read_variants

GOOD = """
    [model]
    path = "net.onnx"

    [data]
    synthetic = 4

    [score]
    baseline = "as it is"
    targets = ["onnxruntime", "ascend310"]
    batch = [1, 2]
    max_drop = 0.5

    [[variant]]
    name = "as it is"

    [[variant]]
    name = "nearest"
    passes = "resize-nearest{only=head}"
    targets = ["onnxruntime"]
    batch = [1]
"""


@pytest.fixture
def write(tmp_path):
    (tmp_path / "net.onnx").touch()

    def write_file(text: str):
        file = tmp_path / "variants.toml"
        file.write_text(textwrap.dedent(text))
        return file

    return write_file


def test_rows_are_variants_times_targets_times_batches(write):
    rows = read_variants(write(GOOD)).rows
    assert [row.identity for row in rows] == [
        ("as it is", "onnxruntime", 1),
        ("as it is", "onnxruntime", 2),
        ("as it is", "ascend310", 1),
        ("as it is", "ascend310", 2),
        ("nearest", "onnxruntime", 1),
    ]
    assert rows[-1] == RowPlan("nearest", "resize-nearest{only=head}", (), "onnxruntime", 1)


def test_paths_are_relative_to_the_file(write, tmp_path):
    variants = read_variants(write(GOOD.replace("synthetic = 4", 'root = "cities"\nsplit = "test"\nlimit = 3')))
    assert variants.model == tmp_path / "net.onnx"
    assert variants.source == DataSource(str(tmp_path / "cities"), "test", limit=3)


def test_a_patch_of_one_s_own_is_found_beside_the_file(write, tmp_path):
    own = to_toml(shipped()["cann-5.0.2"])
    (tmp_path / "own.toml").write_text(own)
    assert read_variants(write(GOOD + '    patches = ["own.toml"]')).rows[-1].patches == (str(tmp_path / "own.toml"),)


def test_the_first_variant_is_the_baseline_unless_the_file_says_otherwise(write):
    assert read_variants(write(GOOD.replace('baseline = "as it is"\n', ""))).baseline == "as it is"


def test_a_baseline_target_that_the_baseline_does_not_run_on_is_an_error(write):
    text = GOOD.replace("[score]", '[score]\nbaseline_target = "onxruntime"')
    with pytest.raises(RunError, match=r"baseline_target: .* did you mean 'onnxruntime'\?"):
        read_variants(write(text))


def test_a_target_with_options_is_a_row_beside_the_target_without(write):
    options = "targets = ['openvino', 'openvino{ streams=2 }', 'openvino{streams=2}']"
    variants = read_variants(write(changed('targets = ["onnxruntime", "ascend310"]', options)))
    assert [row.target for row in variants.rows if row.variant == "as it is" and row.batch == 1] == [
        "openvino",
        "openvino{streams=2}",
    ]


def test_the_baseline_target_may_have_options(write):
    text = changed("[score]", "[score]\nbaseline_target = 'onnxruntime{ threads=2 }'")
    text = text.replace('targets = ["onnxruntime", "ascend310"]', "targets = ['onnxruntime{threads=2}']")
    assert read_variants(write(text)).tables.score.baseline_target == "onnxruntime{threads=2}"


@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        ("openvino{streams=2", RunError, r"\[score\]: targets number 1: this brace is never closed\n  openvino\{"),
        (
            "openvino{streems=2}",
            TargetError,
            r"openvino\{streems=2\}: target openvino: unknown option 'streems'.*streams",
        ),
        ("openvino{streams=x}", TargetError, r"streams takes a whole number of at least 1, not 'x'"),
        ("opnvino{streams=2}", TargetError, r"unknown target 'opnvino'; did you mean 'openvino'\?"),
        ("ascend310{patches=x}", RunError, r"ascend310\{patches=x\}: patches belong to a variant"),
    ],
)
def test_a_wrong_target_with_options_is_refused_with_its_place(write, target, error, words):
    with pytest.raises(error, match=words):
        read_variants(write(changed('targets = ["onnxruntime", "ascend310"]', f"targets = ['{target}']")))


def test_without_a_model_each_variant_needs_a_path_and_the_first_stands_for_it(write, tmp_path):
    text = changed('[model]\n    path = "net.onnx"\n', "").replace("[[variant]]", '[[variant]]\npath = "net.onnx"')
    assert read_variants(write(text)).model == tmp_path / "net.onnx"


def test_other_images_can_replace_those_of_the_file(write):
    source = DataSource(synthetic=2)
    assert read_variants(write(GOOD.replace("synthetic = 4", 'root = "cities"')), source=source).source == source


def test_a_file_without_images_needs_others(write):
    text = GOOD.replace("[data]\n    synthetic = 4\n", "")
    assert "[data]" not in text
    with pytest.raises(RunError, match="the table 'data' is missing; describe the images in it, or give --data"):
        read_variants(write(text))
    assert read_variants(write(text), source=DataSource(synthetic=2)).source.synthetic == 2


def test_a_pipeline_can_come_from_a_file_beside_the_variants_file(write, tmp_path):
    (tmp_path / "head.passes").write_text("resize-nearest{only=head}\n")
    variants = read_variants(write(GOOD.replace('"resize-nearest{only=head}"', '"@head.passes"')))
    assert variants.rows[-1].passes == "resize-nearest{only=head}"


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            changed("passes =", "pases ="),
            r"\[\[variant\]\] number 2 \('nearest'\): unknown key 'pases'; did you mean 'passes'\?",
        ),
        (changed("max_drop", "max_dorp"), r"\[score\]: unknown key 'max_dorp'; did you mean 'max_drop'\?"),
        (changed("[score]", "[scores]"), r"unknown key 'scores'; did you mean 'score'\?"),
        (changed("synthetic = 4", "splt = 1"), r"\[data\]: unknown key 'splt'; did you mean 'split'\?"),
        (changed("batch = [1, 2]", "batch = 1"), r"\[score\]: batch should be a valid list, and is 1"),
        (
            changed("batch = [1, 2]", "batch = [0]"),
            r"\[score\]: batch number 1 should be at least 1, and is 0",
        ),
        (changed("max_drop = 0.5", 'max_drop = "0.5"'), r"\[score\]: max_drop should be a valid number, and is '0\.5'"),
        (changed('name = "nearest"', "name = 3"), r"\[\[variant\]\] number 2: name should be a valid string, and is 3"),
        (changed('name = "nearest"\n', ""), r"\[\[variant\]\] number 2: the key 'name' is missing"),
        (changed("[model]\n", "[[model]]\n"), r"model should be .*"),
        ("[data]\nsynthetic = 1\n[[variant]]\nname = 'x'", r"the table 'model' is missing"),
        ("[model]\npath = 'net.onnx'\n[data]\nsynthetic = 1\n", r"the table 'variant' is missing"),
        ("[model]\nvariant = []\n= 3", r"not a TOML file: .*line 3"),
        (changed('name = "nearest"', 'name = "as it is"'), r"two variants are called 'as it is'"),
        (
            changed('baseline = "as it is"', 'baseline = "as is"'),
            r"\[score\]: the baseline 'as is' .*did you mean 'as it is'\?",
        ),
        (changed('path = "net.onnx"', ""), r"\[model\]: give either path"),
        (changed('path = "net.onnx"', 'path = "net.onnx"\ncheckpoint = "x.pth"'), r"\[model\]: give either path"),
        (changed('path = "net.onnx"', 'path = "other.onnx"'), r"\[model\]: path: there is no file .*other\.onnx"),
        (changed("synthetic = 4", ""), r"\[data\]: give either root"),
        (
            changed("max_drop = 0.5", "rounds = 5\nseconds = 3"),
            r"\[score\]: rounds and seconds are both given",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_place(write, text, words):
    with pytest.raises(RunError, match=r"variants\.toml: " + words):
        read_variants(write(text))


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(RunError, match=r"gone\.toml: the variants file cannot be read"):
        read_variants(tmp_path / "gone.toml")


def test_a_file_that_is_no_text_is_reported(write):
    file = write("")
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match="not UTF-8"):
        read_variants(file)


def test_an_unknown_pass_is_reported_with_file_variant_and_place(write):
    with pytest.raises(PipelineError, match=r"variants\.toml: variant 'nearest': (?s:.*)resize-nearest"):
        read_variants(write(changed("resize-nearest", "resize-nearst")))


def test_an_unknown_patch_is_reported_with_file_and_variant(write):
    with pytest.raises(PatchError, match=r"variants\.toml: variant 'nearest': there is no patch 'cann-5\.0\.3'"):
        read_variants(write(GOOD + 'patches = ["cann-5.0.3"]\n'))


def test_an_unknown_target_is_reported_with_the_file(write):
    with pytest.raises(TargetError, match=r"variants\.toml: unknown target 'onnxrt'"):
        read_variants(write(changed('"onnxruntime", "ascend310"', '"onnxrt"')))


def test_impossible_data_are_reported_with_the_file(write):
    with pytest.raises((RunError, DataError), match=r"variants\.toml: \[data\]"):
        read_variants(write(changed("synthetic = 4", "synthetic = 4\nlimit = 0")))


@given(st.text(max_size=60) | st.text("[]variantmodelscore= \n'\"123.", max_size=60))
@example("variant = 3")
@example("[[variant]]\n[model]\n[data]")
@example("variant = [1, 2]\n[model]\n[data]")
def test_no_text_at_all_breaks_the_reader(text):
    with pytest.raises(RunError, match=r"^file: "):
        parse_variants(text, "file")


TRAINED = """
    [model]
    {model}
    [data]
    synthetic = 1
    [[variant]]
    name = "trained"
    targets = ["onnxruntime", "torch"]
    {variant}
"""


@pytest.mark.parametrize(
    ("model", "variant", "words"),
    [
        (
            'path = "net.onnx"',
            "",
            "the target torch runs checkpoints, and [model] names none; name the checkpoint there",
        ),
        ('checkpoint = "net.onnx"', 'passes = "simplify"', "runs the checkpoint itself, which passes do not change"),
        ('checkpoint = "net.onnx"', 'path = "net.onnx"', "and this variant has a path of its own; take torch out of"),
    ],
)
def test_a_target_of_checkpoints_takes_nothing_else(write, model, variant, words):
    with pytest.raises(RunError, match=rf"variants\.toml: variant 'trained': .*{re.escape(words)}"):
        read_variants(write(TRAINED.format(model=model, variant=variant)))


def test_a_checkpoint_is_a_row_beside_its_export(write):
    text = TRAINED.format(model='checkpoint = "net.onnx"', variant="")
    assert [row.target for row in read_variants(write(text)).rows] == ["onnxruntime", "torch"]
