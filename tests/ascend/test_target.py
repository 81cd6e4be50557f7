"""The Ascend targets from the outside: compile, open, run, and say what is missing."""

import json
import sys

import numpy as np
import onnx
import pytest

from fastscnn_opt.ascend.target import Ascend310
from fastscnn_opt.errors import ModelError, TargetError
from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.targets.registry import get_target
from fastscnn_opt.targets.signature import Signature

IMAGES = np.linspace(-2, 2, 2 * 3 * 4 * 6, dtype=np.float32).reshape(2, 3, 4, 6)

RUNNERS = {"ais_bench": 3.55, "msame": 4.5, "benchmark": 1000 * 2 / 1.22321}
"""Every fake tool and the mean ms of a batch of two that it reports."""


def compiled(target, model, tmp_path):
    artefact = tmp_path / "M.om"
    target.compile(model, artefact, tmp_path / "M.log")
    return artefact


@pytest.mark.usefixtures("all_tools")
def test_the_model_decides_on_shapes_and_types(model_file, tmp_path):
    artefact = compiled(Ascend310(), model_file(), tmp_path)
    given = json.loads(artefact.read_text())
    assert given["input_shape"] == "image:2,3,4,6"
    assert given["output_type"] == "FP16"
    assert given["soc_version"] == "Ascend310"
    assert Signature.load(artefact).outputs == (
        TensorSpec("logits", (2, 3, 4, 6), "float16"),
        TensorSpec("first", (2, 1), "float16"),
    )


@pytest.mark.usefixtures("all_tools")
def test_the_words_of_atc_are_kept_after_its_command(model_file, tmp_path):
    compiled(Ascend310(), model_file(), tmp_path)
    words = (tmp_path / "M.log").read_text().splitlines()
    assert words[0].startswith("$ ")
    assert "--framework=5" in words[0]
    assert words[-1].startswith("W11001: ")


@pytest.mark.usefixtures("all_tools")
def test_atc_leaves_nothing_behind_but_the_artefact_its_signature_and_the_log(model_file, tmp_path):
    model = model_file()
    before = set(tmp_path.iterdir())
    compiled(Ascend310(), model, tmp_path)
    assert {file.name for file in set(tmp_path.iterdir()) - before} == {"M.om", "M.om.json", "M.log"}


@pytest.mark.usefixtures("all_tools")
def test_a_release_that_adds_the_machine_to_the_name_is_understood(model_file, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_ATC", "newer")
    assert compiled(Ascend310(), model_file(), tmp_path).is_file()


@pytest.mark.usefixtures("all_tools")
@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        ("fail", r"^atc: E10001: Value \[-1\].*\(log: .*M.log\); .*static-shape$"),
        ("killed", r"^atc: was ended by SIGKILL; its last words: ATC start working now"),
        ("nothing", r"^atc: reported success, but wrote no compiled files \(log: "),
    ],
)
def test_a_failed_compilation_leaves_no_artefact(model_file, tmp_path, monkeypatch, behaviour, sentence):
    monkeypatch.setenv("FAKE_ATC", behaviour)
    model = model_file()
    with pytest.raises(TargetError, match=sentence):
        compiled(Ascend310(), model, tmp_path)
    assert not [file for file in tmp_path.iterdir() if ".om" in file.name]


@pytest.mark.usefixtures("all_tools")
def test_a_compilation_without_an_end_is_ended(model_file, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_ATC", "hang")
    model = model_file()
    with pytest.raises(TargetError, match=r"^atc: not done after 0.5 s and was ended \(log: .*\); .*limit_s"):
        compiled(Ascend310(limit_s=0.5), model, tmp_path)


@pytest.mark.usefixtures("all_tools")
def test_an_older_artefact_survives_a_failed_compilation(model_file, tmp_path, monkeypatch):
    model = model_file()
    artefact = compiled(Ascend310(), model, tmp_path)
    before = artefact.read_bytes()
    monkeypatch.setenv("FAKE_ATC", "fail")
    with pytest.raises(TargetError):
        compiled(Ascend310(), model, tmp_path)
    assert artefact.read_bytes() == before


@pytest.mark.usefixtures("all_tools")
def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "model.onnx").write_text("hello")
    with pytest.raises(ModelError, match="not an ONNX model"):
        compiled(Ascend310(), tmp_path / "model.onnx", tmp_path)


@pytest.mark.usefixtures("all_tools")
def test_normalisation_can_move_to_the_device(model_file, tmp_path):
    artefact = compiled(Ascend310(aipp=True), model_file(), tmp_path)
    assert "src_image_size_w: 6\n  src_image_size_h: 4\n" in json.loads(artefact.read_text())["aipp"]
    assert Signature.load(artefact).inputs == (TensorSpec("image", (2, 4, 6, 3), "uint8"),)


@pytest.mark.usefixtures("all_tools")
def test_the_device_normalises_as_the_model_states(model_file, tmp_path):
    file = model_file()
    model = onnx.load(file)
    stated = {"image_mean": [10, 20, 30], "image_std": [2, 4, 8], "rescale_factor": 1}
    model.metadata_props.add(key="fastscnn_opt.preprocess", value=json.dumps(stated))
    onnx.save(model, file)
    text = json.loads(compiled(Ascend310(aipp=True), file, tmp_path).read_text())["aipp"]
    assert "min_chn_0: 10\n  min_chn_1: 20\n  min_chn_2: 30\n" in text
    assert "var_reci_chn_0: 0.5\n  var_reci_chn_1: 0.25\n  var_reci_chn_2: 0.125\n" in text


@pytest.mark.usefixtures("all_tools")
@pytest.mark.parametrize("runner", RUNNERS)
def test_every_tool_gives_the_outputs(model_file, tmp_path, runner):
    target = Ascend310(runner=runner, device=1)
    session = target.open(compiled(target, model_file(), tmp_path))
    result = session.run({"image": IMAGES})
    doubled = (2 * IMAGES).astype(np.float16)
    np.testing.assert_array_equal(result["logits"], doubled, strict=True)
    np.testing.assert_array_equal(result["first"], doubled[:, :1, 0, 0], strict=True)


@pytest.mark.usefixtures("all_tools")
@pytest.mark.parametrize("runner", RUNNERS)
def test_every_tool_tells_the_mean_latency(model_file, tmp_path, runner):
    target = Ascend310(runner=runner)
    time = target.open(compiled(target, model_file(), tmp_path)).timer({"image": IMAGES})
    assert time(3) == pytest.approx([RUNNERS[runner]] * 3)


@pytest.mark.usefixtures("all_tools")
def test_a_release_with_hyphens_is_understood(model_file, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_AIS_BENCH", "-")
    target = Ascend310()
    result = target.open(compiled(target, model_file(), tmp_path)).run({"image": IMAGES})
    np.testing.assert_array_equal(result["logits"], (2 * IMAGES).astype(np.float16))


@pytest.mark.usefixtures("all_tools")
def test_the_words_of_the_tool_are_kept_beside_the_artefact(model_file, tmp_path):
    target = Ascend310(runner="ais_bench")
    artefact = compiled(target, model_file(), tmp_path)
    target.open(artefact).run({"image": IMAGES})
    assert "Performance Summary" in (tmp_path / "M.om.run.log").read_text()


@pytest.mark.usefixtures("all_tools")
def test_an_error_line_of_the_tool_reaches_the_user(model_file, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_DEVICE", "lost")
    target = Ascend310(runner="ais_bench")
    session = target.open(compiled(target, model_file(), tmp_path))
    with pytest.raises(TargetError, match=r"^python3: \[ERROR\] aclrtSetDevice failed, device id is 0 \(log: "):
        session.run({"image": IMAGES})


@pytest.mark.usefixtures("all_tools")
def test_the_python_package_runs_where_it_can_be_imported(model_file, tmp_path, monkeypatch):
    package = tmp_path / "site" / "ais_bench" / "infer"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "interface.py").write_text("class InferSession:\n    def __init__(self, device_id, model_path): pass\n")
    (tmp_path / "site" / "aclruntime.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    for name in ("ais_bench", "ais_bench.infer", "ais_bench.infer.interface"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    target = Ascend310()
    assert target.tool_versions()["runner"] == "session"
    assert type(target.open(compiled(target, model_file(), tmp_path))).__name__ == "AisBenchSession"


@pytest.mark.usefixtures("install")
def test_everything_that_is_missing_is_named_with_its_cure():
    availability = Ascend310().availability()
    assert not availability.available
    for what in ("atc is not on the PATH", "no ais_bench, msame or benchmark", "there is no Ascend device"):
        assert what in availability.missing
    for how in ("install the CANN toolkit", "install the wheels of ais_bench", "an Ascend card and its driver"):
        assert how in availability.cure


def test_compiling_needs_no_device(install, model_file, tmp_path):
    install("atc", "import pathlib, sys\npathlib.Path(sys.argv[3].removeprefix('--output=') + '.om').touch()")
    assert Ascend310().can_compile().available
    assert not Ascend310().can_run().available
    assert compiled(Ascend310(), model_file(), tmp_path).is_file()


def test_a_toolkit_of_another_release_than_wished_does_not_compile(install, model_file, tmp_path):
    atc = install("atc", "raise SystemExit('it was called')")
    (atc.parent / "ascend_toolkit_install.info").write_text("version=6.0.RC1\n")
    with pytest.raises(TargetError, match=r"the toolkit is CANN 6\.0\.RC1, not 5\.0\.2"):
        compiled(Ascend310(cann="5.0.2"), model_file(), tmp_path)
    with pytest.raises(TargetError, match="it was called"):
        compiled(Ascend310(cann="6.0"), model_file(), tmp_path)


@pytest.mark.usefixtures("install")
def test_without_atc_compiling_says_how_to_get_it(model_file, tmp_path):
    with pytest.raises(TargetError, match="target ascend310: atc is not on the PATH; install"):
        compiled(Ascend310(), model_file(), tmp_path)


@pytest.mark.usefixtures("install")
def test_without_a_device_opening_says_what_is_missing(tmp_path):
    (tmp_path / "M.om").touch()
    with pytest.raises(TargetError, match=r"target ascend310: no ais_bench.*no Ascend device"):
        Ascend310().open(tmp_path / "M.om")


@pytest.mark.usefixtures("install")
def test_a_runner_that_is_not_installed_is_named(tmp_path):
    (tmp_path / "M.om").touch()
    with pytest.raises(TargetError, match="the runner msame is not installed"):
        Ascend310(runner="msame").open(tmp_path / "M.om")


@pytest.mark.usefixtures("all_tools")
def test_a_missing_artefact_is_named(tmp_path):
    with pytest.raises(TargetError, match="no such compiled file"):
        Ascend310().open(tmp_path / "M.om")


@pytest.mark.usefixtures("all_tools")
def test_an_artefact_without_its_signature_is_refused_with_the_cure(tmp_path):
    (tmp_path / "M.om").touch()
    with pytest.raises(TargetError, match="compile the model again"):
        Ascend310(runner="msame").open(tmp_path / "M.om")


@pytest.mark.usefixtures("all_tools")
def test_with_everything_installed_it_is_available():
    availability = Ascend310().availability()
    assert (availability.available, availability.version) == (True, "CANN unknown")


@pytest.mark.usefixtures("all_tools")
def test_tool_versions_name_what_figures_depend_on(tmp_path):
    assert Ascend310(runner="ais_bench").tool_versions() == {
        "cann": "unknown",
        "atc": str(tmp_path / "bin" / "atc"),
        "driver": "21.0.2",
        "runner": "ais_bench",
    }


@pytest.mark.parametrize(
    ("name", "soc_version", "card"),
    [
        ("ascend310", "Ascend310", 4),
        ("ascend310p", "Ascend310P3", 1),
        ("ascend310b", "Ascend310B4", 1),
        ("ascend910", "Ascend910A", 1),
    ],
)
def test_the_registry_knows_every_processor(name, soc_version, card):
    target = get_target(name)
    assert (target.name, target.soc_version, target.fps_per_card(5.0)) == (name, soc_version, 5.0 * card)


def test_an_unknown_processor_is_refused_with_the_nearest():
    with pytest.raises(TargetError, match="unknown target 'ascend311'; did you mean 'ascend310"):
        get_target("ascend311")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"soc_version": "Ascend999"}, "soc_version takes .*, not 'Ascend999'"),
        ({"precision_mode": "fp16"}, r"precision_mode takes force_fp16\|.*, not 'fp16'"),
        ({"output_type": "FP8"}, "output_type takes a text written as FP32, FP16.*, not 'FP8'"),
        ({"out_nodes": "Conv_1"}, "out_nodes takes a text written as node:0.*, not 'Conv_1'"),
        ({"input_shape": "image"}, "input_shape takes a text written as name:1,3.*, not 'image'"),
        ({"device": -1}, "device takes a whole number of at least 0, not -1"),
        ({"aipp": True, "insert_op_conf": "a.cfg"}, "use one of the two"),
        ({"socversion": "Ascend310"}, "did you mean 'soc_version'"),
    ],
)
def test_a_wrong_option_is_refused(options, complaint):
    with pytest.raises(TargetError, match=f"target ascend310: .*{complaint}"):
        get_target("ascend310", options)


def test_options_as_they_come_from_json_are_converted():
    target = get_target("ascend310", {"patches": ["cann-5.0.2"], "dynamic_batch_size": [1, 2], "log": "debug"})
    assert (target.patches, target.dynamic_batch_size, target.log) == (("cann-5.0.2",), (1, 2), "debug")
