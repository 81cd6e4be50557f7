"""A short run of the fuzzing, and every finding of the long ones that no other test covers."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest

from fastscnn_opt.errors import DataError, ModelError, PassError, PatchError, RunError
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.sampling.samples import sample_inputs
from fastscnn_opt.rewriting.manager import PassManager

RUN = Path(__file__).with_name("run.py")


def test_a_short_run_finds_nothing(tmp_path):
    options = ["--count", "30", "--seed", "1", "--limit-s", "120", "--keep", str(tmp_path / "f")]
    command = [sys.executable, str(RUN), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert not list(tmp_path.iterdir())


CONV = """
    <ir_version: 8, opset_import: ["" : 13]>
    net (float[1,3,4,4] image) => (float[1,3,4,4] out)
    <float[3,3,1,1] w = {1, 0, 0, 0, 1, 0, 0, 0, 1}> { [conv] out = Conv<auto_pad = "VALID">(image, w) }
"""


def set_type(model):
    model.graph.input[0].type.tensor_type.elem_type = 77


def set_dims(model):
    model.graph.initializer[0].dims[0] = 2**40


def set_data_type(model):
    model.graph.initializer[0].data_type = -1


def set_segment(model):
    model.graph.initializer[0].segment.begin = 1


def set_text(model):
    model.graph.node[0].attribute[0].s = b"\xff\xfe"


def set_reference(model):
    model.graph.node[0].attribute[0].ref_attr_name = "mode"


def set_pooling(model):
    model.graph.node[0].op_type = "AdaptiveAvgPool2d"
    del model.graph.node[0].input[:]


def set_raw(model):
    model.graph.initializer[0].ClearField("float_data")
    model.graph.initializer[0].raw_data = b"123"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (set_type, "'image' is of the element type 77, which ONNX does not have"),
        (set_dims, r"the tensor 'w' holds 9 values, but 3298534883328 follow from its dimensions"),
        (set_data_type, "the tensor 'w' is of the element type -1"),
        (set_segment, "the tensor 'w' is only a segment"),
        (set_text, "attribute 'auto_pad' of node 'conv' is a text that is not UTF-8"),
        (set_reference, "attribute 'auto_pad' of node 'conv' refers to one of a function"),
        (set_pooling, "node 'conv' is an AdaptiveAvgPool2d without one input and one output"),
        (set_raw, "the tensor 'w' holds 3 bytes, but 36 follow"),
    ],
)
def test_a_model_that_is_not_what_it_says_is_refused(tmp_path, damage, words):
    model = onnx.parser.parse_model(CONV)
    damage(model)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=words):
        load_model(tmp_path / "net.onnx")


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.uint8, np.bool_, np.complex64, np.str_])
@pytest.mark.parametrize("raw", [True, False])
def test_a_whole_tensor_of_any_type_is_none(tmp_path, dtype, raw):
    if dtype is np.str_ and raw:
        pytest.skip("texts are never kept as bytes")
    values = np.array([[1, 0, 1]]).astype(dtype)
    data = values.tobytes() if raw else list(values.ravel().astype(object) if dtype is np.str_ else values.ravel())
    kind = onnx.TensorProto.STRING if dtype is np.str_ else onnx.helper.np_dtype_to_tensor_dtype(values.dtype)
    model = onnx.parser.parse_model(CONV)
    model.graph.initializer.append(onnx.helper.make_tensor("other", kind, values.shape, data, raw=raw))
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    load_model(tmp_path / "net.onnx")


@pytest.mark.parametrize("kind", ["UINT4", "INT4"])
def test_types_that_share_a_byte_are_counted_so(tmp_path, kind):
    model = onnx.parser.parse_model(CONV.replace('"" : 13', '"" : 21').replace("ir_version: 8", "ir_version: 10"))
    tensor = onnx.helper.make_tensor("small", getattr(onnx.TensorProto, kind), [3], [1, 2, 3])
    model.graph.initializer.append(tensor)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    load_model(tmp_path / "net.onnx")


def test_a_constant_without_a_value_has_none():
    text = '<ir_version: 8, opset_import: ["" : 13]> g (float[2] x) => (float[2] y) { c = Constant() y = Add(x, c) }'
    (step,) = PassManager("deduplicate", verify=False).run(onnx.parser.parse_model(text)).steps
    assert step.changes == []


@pytest.mark.parametrize("scales", [np.ones((1, 4), np.float32), np.ones(0, np.float32), np.ones(3, np.float32)])
def test_scales_that_do_not_fit_are_refused_or_left_alone(scales):
    text = '<ir_version: 8, opset_import: ["" : 13]> g (float[1,1,2,2] x) => (float[a,b,c,d] y) { y = Resize(x, , s) }'
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(onnx.numpy_helper.from_array(scales, "s"))
    for pipeline in ("static-batch{n=2}", "remove-noops", "simplify"):
        with suppress(ModelError, PassError):
            PassManager(pipeline, verify=False).run(model)


def test_an_input_of_huge_dimensions_gets_no_sample():
    with pytest.raises(ModelError, match=r"'image' has 3458764513820540928 elements"):
        sample_inputs(onnx.parser.parse_model(CONV.replace("1,3,4,4] image", "1,3,1073741824,1073741824] image")))


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 3000,
        "x = " + "[" * 3000 + "]" * 3000,
        "x = " + "not " * 20000 + "y",
        "x = " + "-" * 20000 + "y",
        "x = a" + ".a" * 20000,
    ],
    ids=["open", "lists", "not", "minus", "attributes"],
)
def test_a_source_that_would_overflow_the_parser_s_stack_is_refused(text):
    from fastscnn_opt.ascend.whitelists.operator_source import OperatorSource

    with pytest.raises(PatchError, match=r"a\.py.*(nested too deeply|not valid Python)"):
        OperatorSource(text.encode() + b"\n", "a.py")


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '|u1', 'shape': (1, 4, 6), {a={a=",
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (9" + b"9" * 99,
    ],
)
def test_an_array_with_a_damaged_header_is_refused(tmp_path, header):
    from fastscnn_opt.ascend.dumps.content import content_of
    from fastscnn_opt.ascend.dumps.files import DumpChoice, find_dumps

    header = header.ljust(118) + b"\n"
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    (tmp_path / "image_1.npy").write_bytes(start + header + bytes(24))
    with pytest.raises(DataError, match="not an array file of numpy"):
        content_of(find_dumps(DumpChoice(tmp_path), ["image"]), 24, None, 19)


@pytest.mark.parametrize("number", ["9" * 400, "[" * 3000])
def test_a_summary_with_impossible_numbers_is_refused(tmp_path, number):
    from fastscnn_opt.ascend.reports import read_reports

    (tmp_path / "s.json").write_text(
        '{"NPU_compute_time": {"min": 2, "max": 5, "mean": 4, "median": 4, "percentile(99%)": 5}, "throughput": '
        + number
        + "}"
    )
    with pytest.raises(DataError, match="is not a summary"):
        read_reports(tmp_path / "s.json")


@pytest.mark.parametrize("about", ['{"schema": 1, "rows": [{"variant": "x"}]}', "[" * 3000, '{"schema": 1}', "3"])
def test_a_damaged_run_is_refused(tmp_path, about):
    from fastscnn_opt.scoring.run_folder import read_run

    (tmp_path / "run.json").write_text(about)
    with pytest.raises(RunError, match=r"run\.json: damaged"):
        read_run(tmp_path)


def test_a_compressed_bomb_among_kept_predictions_is_refused(tmp_path):
    import zipfile

    from fastscnn_opt.scoring.pictures.predictions import SavedPredictions

    with zipfile.ZipFile(tmp_path / "p.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("about.json", '{"names": ["image"], "sizes": [[8, 8]]}')
        archive.writestr("00000.png", bytes(1 << 27))
    assert (tmp_path / "p.zip").stat().st_size < 1 << 20
    with pytest.raises(RunError, match="larger than"):
        SavedPredictions(tmp_path / "p.zip", 19).load(0)


def test_values_nested_too_deeply_are_refused(tmp_path):
    from fastscnn_opt.ascend.whitelists.patchfile import parse
    from fastscnn_opt.scoring.variants import parse_variants
    from fastscnn_opt.searching.space import read_space

    text = "a = " + "[" * 3000 + "]" * 3000
    with pytest.raises(PatchError, match="nested too deeply"):
        parse(text, "p.toml")
    with pytest.raises(RunError, match="nested too deeply"):
        parse_variants(text, "v.toml")
    (tmp_path / "space.toml").write_text(text)
    with pytest.raises(RunError, match="nested too deeply"):
        read_space(tmp_path / "space.toml")


def test_an_image_that_claims_to_be_huge_is_refused_before_it_is_decoded(tmp_path):
    import zlib

    from fastscnn_opt.data.images import read_image

    chunks = [b"IHDR" + (60000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00", b"IDAT"]
    content = b"\x89PNG\r\n\x1a\n"
    for chunk in chunks:
        content += (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png: too large an image"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("size", [1 << 33])
def test_an_endless_file_is_refused_before_it_is_read(tmp_path, size):
    from fastscnn_opt.ascend.dumps.content import content_of
    from fastscnn_opt.ascend.dumps.files import DumpChoice, find_dumps
    from fastscnn_opt.ascend.reports import read_reports

    with (tmp_path / "image_1.txt").open("wb") as file:
        file.truncate(size)  # takes no space on the disk
    with pytest.raises(DataError, match="the report cannot be read"):
        read_reports(tmp_path / "image_1.txt")
    with pytest.raises(DataError, match=r"cannot be read \(it has"):
        content_of(find_dumps(DumpChoice(tmp_path), ["image"]), 24, None, 19)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"steps": [{"contract": "exact"}]}, r"steps\.0\.pass"),
        ({"accuracy": {"mIoU": 0.5}}, r"accuracy\.pixAcc"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_record_without_its_figures_is_refused(tmp_path, change, where):
    import json

    from runs import BASE, described

    from fastscnn_opt.scoring.records import Keys, RowRecord, Status, as_json
    from fastscnn_opt.scoring.run_folder import open_run, read_run

    with open_run(tmp_path / "run", described(BASE)) as run:
        run.append_row(RowRecord("v", "", (), "onnxruntime", 1, "m", "d", Keys("r"), Status.OK))
    record = as_json(read_run(tmp_path / "run").records[0]) | change
    (tmp_path / "run" / "records.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(RunError, match=rf"records\.jsonl: line 1: {where} is"):
        read_run(tmp_path / "run").check_whole()


def test_a_report_with_a_broken_number_is_refused(tmp_path):
    from fastscnn_opt.ascend.reports import read_reports

    times = "min = 6.1 ms, max = 6.3 ms, mean = 1+15 ms, median = 6.2 ms, percentile(99%) = 6.3 ms"
    (tmp_path / "t.log").write_text(f"[I] GPU Compute Time: {times}")
    with pytest.raises(DataError, match=r"'1\+15', not a number above 0"):
        read_reports(tmp_path / "t.log")


@pytest.mark.parametrize("damage", ["[]]", "{}", "[" * 3000, '[{"ts": -1}]', '[{"dur": ' + "9" * 400 + "}]"])
def test_a_damaged_trace_is_refused(tmp_path, damage):
    from fastscnn_opt.errors import TargetError
    from fastscnn_opt.targets.onnxruntime.profile import read_trace

    (tmp_path / "trace.json").write_text(damage)
    with pytest.raises(TargetError, match=r"trace\.json: not a trace of onnxruntime"):
        read_trace(tmp_path / "trace.json")
