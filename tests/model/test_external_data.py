"""Weights in files: they stay there, whatever passes do, and a file that cannot be trusted is refused."""

import errno
import shutil
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
from graphs import parse

from fastscnn_opt.errors import ModelError, PassError
from fastscnn_opt.model import saving
from fastscnn_opt.model.external_data import has_weights_outside, is_outside, place_of, values_of
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.saving import fingerprint, save_model
from fastscnn_opt.rewriting.contract import Change, Contract, Pass
from fastscnn_opt.rewriting.manager import PassManager

WEIGHTS = np.random.default_rng(0).standard_normal((20, 20)).astype(np.float32)
BIAS = np.linspace(-1, 1, 20, dtype=np.float32)


def made(initializers):
    model = parse(
        """
        g (float[3,20] x) => (float[3,20] y, float[3,20] z)
        { a = MatMul(x, w) y = Add(a, b) c = MatMul(y, v) z = Relu(c) }
    """,
        17,
    )
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in initializers.items())
    return model


@pytest.fixture
def file(tmp_path):
    """Two matrices and a vector in ``weights.bin`` beside the model."""
    folder = tmp_path / "source"
    folder.mkdir()
    model = made({"w": WEIGHTS, "b": BIAS, "v": WEIGHTS.T.copy()})
    settings = {"location": "weights.bin", "size_threshold": 0}
    onnx.save_model(model, folder / "m.onnx", save_as_external_data=True, **settings)
    return folder / "m.onnx"


@dataclass(frozen=True)
class Do(Pass):
    """Runs a function on the graph."""

    name: ClassVar[str] = "do"
    contract: ClassVar[Contract] = Contract.EXACT

    work: Any

    def rewrite(self, graph):
        self.work(graph)
        yield Change("graph", "done")


def stored(path):
    """What the file holds, read by onnx itself."""
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def test_large_weights_stay_in_their_file_and_small_ones_are_read(file):
    tensors = {tensor.name: tensor for tensor in load_model(file).graph.initializer}
    assert [name for name, tensor in tensors.items() if is_outside(tensor)] == ["w", "v"]
    np.testing.assert_array_equal(values_of(tensors["w"]), WEIGHTS)
    np.testing.assert_array_equal(values_of(tensors["b"]), BIAS)


def test_the_output_has_its_weights_beside_it(file, tmp_path):
    out = tmp_path / "out.onnx"
    save_model(PassManager("drop-outputs").run(load_model(file)).model, out)
    shutil.rmtree(file.parent)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.onnx", "out.onnx.data"]
    assert len(out.read_bytes()) < WEIGHTS.nbytes
    found = stored(out)
    assert list(found) == ["w", "b"]
    np.testing.assert_array_equal(found["w"], WEIGHTS)


def test_a_model_is_rewritten_in_place(file):
    save_model(load_model(file), file.with_name("o.onnx"))
    save_model(PassManager("drop-outputs").run(load_model(file.with_name("o.onnx"))).model, file.with_name("o.onnx"))
    np.testing.assert_array_equal(stored(file.with_name("o.onnx"))["w"], WEIGHTS)


def test_only_what_a_pass_changed_leaves_the_file(file):
    def double(graph):
        constant = graph.nodes[0].inputs[1]
        constant.values = constant.values * 2
        graph.nodes[2].inputs[1].values.sum()  # read, not changed

    loaded = load_model(file)
    places = {tensor.name: place_of(tensor).path for tensor in loaded.graph.initializer if is_outside(tensor)}
    result = PassManager([Do(double)], verify=False).run(loaded).model
    after = {tensor.name: tensor for tensor in result.graph.initializer}
    assert place_of(after["v"]).path == places["v"]
    assert place_of(after["w"]).path != places["w"]
    np.testing.assert_array_equal(values_of(after["w"]), WEIGHTS * 2)


def test_writing_into_the_values_changes_the_model_and_not_the_file(file):
    def double(graph):
        graph.nodes[0].inputs[1].values[:] *= 2

    result = PassManager([Do(double)], verify=False).run(load_model(file)).model
    np.testing.assert_array_equal(values_of(result.graph.initializer[0]), WEIGHTS * 2)
    np.testing.assert_array_equal(stored(file)["w"], WEIGHTS)


def test_passes_are_verified_with_weights_in_files(file):
    def rename(graph):
        graph.nodes[0].name = "renamed"

    def break_it(graph):
        graph.nodes[0].inputs[1].values = WEIGHTS * 1.1

    assert PassManager([Do(rename)]).run(load_model(file)).steps[0].verified is True
    with pytest.raises(Exception, match="broke its contract: output 'y' deviates"):
        PassManager([Do(break_it)]).run(load_model(file))


def test_simplify_takes_weights_in_files_and_refuses_too_many(file, monkeypatch):
    assert PassManager("simplify,drop-outputs").run(load_model(file)).steps[0].verified is True
    from fastscnn_opt.rewriting.graph import content

    monkeypatch.setattr(content, "MOST_INLINE_BYTES", 1000)
    with pytest.raises(PassError, match="larger than the 2 GB that one piece can hold; leave the pass out"):
        PassManager("simplify").run(load_model(file))


def test_the_fingerprint_is_that_of_the_content(file, tmp_path):
    save_model(load_model(file), tmp_path / "copy.onnx")
    before = fingerprint(load_model(file))
    assert fingerprint(load_model(tmp_path / "copy.onnx")) == before
    data = tmp_path / "copy.onnx.data"
    data.write_bytes(data.read_bytes()[:-1] + b"\1")
    assert fingerprint(load_model(tmp_path / "copy.onnx")) != before


def test_a_model_too_large_for_one_file_gets_a_second_one(tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "MOST_INLINE_BYTES", 1000)
    save_model(made({"w": WEIGHTS, "b": BIAS, "v": WEIGHTS}), tmp_path / "m.onnx")
    assert has_weights_outside(load_model(tmp_path / "m.onnx"))
    np.testing.assert_array_equal(stored(tmp_path / "m.onnx")["v"], WEIGHTS)


def test_a_failure_leaves_both_files_as_they_were(file, tmp_path, monkeypatch):
    save_model(load_model(file), tmp_path / "out.onnx")
    before = {path.name: path.read_bytes() for path in tmp_path.glob("out*")}

    def full_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(saving, "write_outside", full_disk)
    with pytest.raises(OSError, match=r"out\.onnx"):
        save_model(load_model(file), tmp_path / "out.onnx")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_weights_that_were_replaced_meanwhile_are_noticed(file):
    loaded = load_model(file)
    replaced = file.with_name("new.bin")
    replaced.write_bytes(bytes(file.with_name("weights.bin").stat().st_size))
    replaced.replace(file.with_name("weights.bin"))
    with pytest.raises(ModelError, match=r"weights\.bin: was changed or removed while its weights were in use"):
        values_of(loaded.graph.initializer[0])


def test_data_inside_control_flow_is_read(tmp_path):
    model = parse(
        """
        g (bool c, float[20,20] x) => (float[20,20] y) {
            y = If(c) <
                then_branch = t () => (float[20,20] p) { p = Add(x, w) },
                else_branch = e () => (float[20,20] q) { q = Relu(x) }
            >
        }
    """,
        17,
    )
    body = next(attribute.g for attribute in model.graph.node[0].attribute if attribute.name == "then_branch")
    tensor = body.initializer.add()
    tensor.CopyFrom(onnx.numpy_helper.from_array(WEIGHTS, "w"))
    onnx.external_data_helper.set_external_data(tensor, "w.bin")
    (tmp_path / "w.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    loaded = load_model(tmp_path / "m.onnx").graph.node[0].attribute[0].g.initializer[0]
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(loaded), WEIGHTS)


def set_entries(file, **entries):
    """Change the external data of the first initializer in the file itself."""
    model = onnx.load(file, load_external_data=False)
    tensor = model.graph.initializer[0]
    kept = {entry.key: entry.value for entry in tensor.external_data} | entries
    del tensor.external_data[:]
    for key, value in kept.items():
        tensor.external_data.add(key=key, value=value)
    file.write_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("../weights.bin", "no path inside the folder"),
        ("sub/../../weights.bin", "no path inside the folder"),
        ("..\\weights.bin", "no path inside the folder"),
        ("", "no path inside the folder"),
        ("/etc/passwd", "an absolute path"),
        ("C:\\weights.bin", "an absolute path"),
        ("link.bin", "a link that leaves the folder"),
        ("sub", "no file"),
        ("loop", "not there"),
    ],
)
def test_data_outside_the_folder_of_the_model_is_refused(file, tmp_path, location, why):
    (file.parent / "sub").mkdir()
    shutil.copy(file.with_name("weights.bin"), tmp_path / "weights.bin")
    (file.parent / "link.bin").symlink_to(tmp_path / "weights.bin")
    (file.parent / "loop").symlink_to("loop")
    set_entries(file, location=location)
    with pytest.raises(ModelError, match=rf"m\.onnx: its external data cannot be read \('w' lies in .*{why}"):
        load_model(file)


def test_a_link_within_the_folder_is_followed(file):
    (file.parent / "link.bin").symlink_to("weights.bin")
    set_entries(file, location="link.bin")
    np.testing.assert_array_equal(values_of(load_model(file).graph.initializer[0]), WEIGHTS)


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ({"offset": "100000"}, "ends at byte 101600 of weights.bin, which has"),
        ({"offset": "-1"}, "the offset of 'w' is '-1', which is no number of bytes"),
        ({"length": "999999999999"}, "'w' is said to have 999999999999 bytes, and its shape and type make 1600"),
        ({"length": "9" * 5000}, "which is no number of bytes"),
    ],
)
def test_sizes_that_cannot_be_are_refused_before_anything_is_read(file, entries, why):
    set_entries(file, **entries)
    with pytest.raises(ModelError, match=why):
        load_model(file)


def test_a_shape_that_is_larger_than_the_file_is_refused(file):
    model = onnx.load(file, load_external_data=False)
    model.graph.initializer[0].dims[0] = 2**40
    model.graph.initializer[0].external_data.pop()
    file.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="its external data cannot be read"):
        load_model(file)


@pytest.mark.parametrize("data_type", ["BFLOAT16", "FLOAT16", "INT4", "UINT4", "FLOAT8E4M3FN", "BOOL"])
def test_every_type_comes_back_as_it_was(tmp_path, data_type):
    kind = getattr(onnx.TensorProto, data_type)
    values = (np.arange(600) % 2).astype(onnx.helper.tensor_dtype_to_np_dtype(kind))
    tensor = onnx.numpy_helper.from_array(values, "w")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["w"], ["y"])],
        "g",
        [],
        [onnx.helper.make_tensor_value_info("y", kind, [600])],
        [tensor],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    onnx.save_model(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    loaded = load_model(tmp_path / "m.onnx")
    assert is_outside(loaded.graph.initializer[0])
    assert values_of(loaded.graph.initializer[0]).tolist() == values.tolist()
    save_model(loaded, tmp_path / "o.onnx")
    assert stored(tmp_path / "o.onnx")["w"].tolist() == values.tolist()
