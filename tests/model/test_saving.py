"""Saving beside weights that other models read: no file of theirs is touched, and no interruption costs a model."""

import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
from graphs import parse, random_input

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model import saving
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.saving import keep_apart, keep_weights_of_others, save_model


def write(path, seed, location=None):
    """Write a model of 20 x 20 weights, kept in the file `location`."""
    weights = np.random.default_rng(seed).standard_normal((20, 20)).astype(np.float32)
    model = parse("g (float[3,20] x) => (float[3,20] y) { y = MatMul(x, w) }", w=weights)
    location = location or f"{path.name}.data"
    onnx.save_model(model, path, save_as_external_data=True, location=location, size_threshold=0)
    return path


def result_of(path):
    """What the model in the file computes, in the engine itself."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": random_input(3, 20)})[0]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def other(tmp_path):
    """A model whose weights have the name that those of ``net.onnx`` would get."""
    return write(tmp_path / "backup.onnx", 1, "net.onnx.data")


def test_the_weights_of_another_model_are_not_written_over(other, tmp_path):
    write(tmp_path / "source.onnx", 2)
    before = result_of(other)
    save_model(load_model(tmp_path / "source.onnx"), tmp_path / "net.onnx")
    np.testing.assert_array_equal(result_of(other), before)
    np.testing.assert_array_equal(result_of(tmp_path / "net.onnx"), result_of(tmp_path / "source.onnx"))


def test_the_weights_that_a_copy_of_the_old_model_reads_stay(tmp_path):
    output = write(tmp_path / "net.onnx", 1)
    copy = shutil.copy(output, tmp_path / "copy.onnx")
    before = result_of(copy)
    save_model(load_model(write(tmp_path / "source.onnx", 2)), output)
    np.testing.assert_array_equal(result_of(copy), before)


def test_the_weights_that_a_model_reads_through_a_link_stay(tmp_path):
    output = write(tmp_path / "net.onnx", 1)
    reader = write(tmp_path / "reader.onnx", 1, "weights.bin")
    (tmp_path / "weights.bin").unlink()
    (tmp_path / "weights.bin").symlink_to("net.onnx.data")
    before = result_of(reader)
    save_model(load_model(write(tmp_path / "source.onnx", 2)), output)
    np.testing.assert_array_equal(result_of(reader), before)


def test_the_weights_that_a_model_in_the_folder_above_reads_stay(tmp_path):
    (tmp_path / "inner").mkdir()
    output = write(tmp_path / "inner" / "net.onnx", 1)
    write(tmp_path / "above.onnx", 1, "inner/net.onnx.data")
    before = result_of(tmp_path / "above.onnx")
    save_model(load_model(write(tmp_path / "source.onnx", 2)), output)
    np.testing.assert_array_equal(result_of(tmp_path / "above.onnx"), before)


def test_saving_again_leaves_no_old_weights(tmp_path):
    for seed in range(3):
        save_model(load_model(write(tmp_path / "source.onnx", seed)), tmp_path / "net.onnx")
        np.testing.assert_array_equal(result_of(tmp_path / "net.onnx"), result_of(tmp_path / "source.onnx"))
    assert len([name for name in names_in(tmp_path) if name.startswith("net.onnx.")]) == 1


def test_a_small_model_in_the_place_of_a_large_one_leaves_no_old_weights(tmp_path, tiny_model):
    save_model(tiny_model, write(tmp_path / "net.onnx", 1))
    assert names_in(tmp_path) == ["net.onnx"]


def test_weights_of_another_name_beside_the_old_model_stay(tmp_path, tiny_model):
    save_model(tiny_model, write(tmp_path / "net.onnx", 1, "weights.bin"))
    assert names_in(tmp_path) == ["net.onnx", "weights.bin"]


@pytest.mark.parametrize("step", ["write_outside", "serialize"])
def test_an_interruption_leaves_the_old_model_as_it_was(tmp_path, monkeypatch, step):
    output = write(tmp_path / "net.onnx", 1)
    before = result_of(output)
    model = load_model(write(tmp_path / "source.onnx", 2))

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(saving, step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_model(model, output)
    np.testing.assert_array_equal(result_of(output), before)
    assert names_in(tmp_path) == ["net.onnx", "net.onnx.data", "source.onnx", "source.onnx.data"]


def test_a_kill_at_any_move_leaves_a_model_that_loads(tmp_path, monkeypatch):
    """Whenever a file takes its place or goes, the output is the old model or the new one."""
    output = write(tmp_path / "net.onnx", 1)
    model = load_model(write(tmp_path / "source.onnx", 2))
    allowed = [result_of(output), result_of(tmp_path / "source.onnx")]
    seen = []

    def watched(name):
        original = getattr(type(output), name)

        def run(self, *rest, **named):
            original(self, *rest, **named)
            found = result_of(output)
            seen.append([np.array_equal(found, one) for one in allowed].index(True))

        monkeypatch.setattr(type(output), name, run)

    watched("replace")
    watched("unlink")
    save_model(model, output)
    assert seen == [0, 1, 1]


def test_an_output_among_the_weights_of_the_input_is_refused(tmp_path):
    source = write(tmp_path / "source.onnx", 1, "w.bin")
    with pytest.raises(ModelError, match=r"w\.bin: holds weights of .*source\.onnx, which stay as they are; give"):
        keep_apart(tmp_path / "w.bin", source)


def test_an_output_beside_which_the_weights_of_the_input_lie_is_refused(other, tmp_path):
    with pytest.raises(ModelError, match=r"net\.onnx\.data: holds weights"):
        keep_apart(tmp_path / "net.onnx", other)


def test_a_hard_link_to_the_weights_counts_as_the_weights(tmp_path):
    source = write(tmp_path / "source.onnx", 1)
    (tmp_path / "out.onnx.bin").hardlink_to(tmp_path / "source.onnx.data")
    with pytest.raises(ModelError, match=r"out\.onnx\.bin: holds weights"):
        keep_apart(tmp_path / "out.onnx", source)


def test_a_name_that_the_model_continues_is_free(tmp_path):
    keep_apart(tmp_path / "source", write(tmp_path / "source.onnx", 1, "w.bin"))


@pytest.mark.usefixtures("other")
def test_weights_of_another_model_beside_an_artefact_are_found(tmp_path):
    with pytest.raises(ModelError, match=r"net\.onnx\.data: holds weights of another model; give -o"):
        keep_weights_of_others(tmp_path / "net.onnx")


def test_weights_of_the_artefact_alone_may_be_replaced(tmp_path):
    keep_weights_of_others(write(tmp_path / "net.onnx", 1))
    keep_weights_of_others(tmp_path / "new.onnx")


def negative(model):
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = -1


def no_such_type(model):
    model.graph.input[0].type.tensor_type.elem_type = 77


def half_a_tensor(model):
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]


def no_value(model):
    model.graph.node.add(op_type="Constant", output=["c"])


def nothing(model):
    del model.graph.node[:], model.graph.output[:]


def unsorted(model):
    model.graph.node.insert(0, onnx.helper.make_node("Relu", ["y"], ["z"]))


@pytest.mark.parametrize("damage", [negative, no_such_type, half_a_tensor, no_value, nothing, unsorted])
def test_what_loading_refuses_or_mends_is_not_written(damage, tmp_path):
    model = parse("g (float[3,20] x) => (float[3,20] y) { y = MatMul(x, w) }", w=random_input(20, 20))
    damage(model)
    with pytest.raises(ModelError, match=r"net\.onnx"):
        save_model(model, tmp_path / "net.onnx")
    assert names_in(tmp_path) == []
