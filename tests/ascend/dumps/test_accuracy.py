"""The accuracy of dumps against a count by hand, and against the model that was dumped."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from fastscnn_opt.ascend.dumps.accuracy import evaluate_dumps, open_labels
from fastscnn_opt.ascend.dumps.files import DumpChoice
from fastscnn_opt.ascend.prepare.binary import prepare
from fastscnn_opt.ascend.prepare.plan import plan
from fastscnn_opt.ascend.prepare.request import Request
from fastscnn_opt.data.presets import preset_classes
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import DataError
from fastscnn_opt.measuring.accuracy import evaluate_session
from fastscnn_opt.targets.onnxruntime.target import OnnxRuntime

HEIGHT, WIDTH = 32, 64
COUNT = 6


def network(path, batch, dtype):
    """A 3x3 convolution to 19 classes, whose random weights find some of each."""
    weight = np.random.default_rng(3).standard_normal((19, 3, 3, 3)).astype(np.float32)
    output = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Conv", ["image", "weight"], ["logits"], pads=[1, 1, 1, 1]),
            onnx.helper.make_node("Cast", ["logits"], ["output1"], to=output),
        ],
        "network",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [batch, 3, HEIGHT, WIDTH])],
        [onnx.helper.make_tensor_value_info("output1", output, [batch, 19, HEIGHT, WIDTH])],
        [onnx.numpy_helper.from_array(weight, "weight")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "prepared"
    prepare(plan(Request(DataSource(synthetic=COUNT), folder, scene_size=(HEIGHT, WIDTH))))
    return folder


def dump_outputs(model, prepared, folder, *, per_sample=True):
    """Run `model` on the files of the info file as a benchmark tool does, the last batch filled up."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    batch = session.get_inputs()[0].shape[0]
    lines = [line.split() for line in (prepared / "fast_scnn_prep_bin.info").read_text().splitlines()]
    folder.mkdir()
    for start in range(0, len(lines), batch):
        paths = [line[1] for line in lines[start : start + batch]]
        feed = [np.fromfile(path, dtype="<f4").reshape(3, HEIGHT, WIDTH) for path in paths]
        feed += [feed[-1]] * (batch - len(feed))
        (output,) = session.run(None, {"image": np.stack(feed)})
        stems = [path.rpartition("/")[2].removesuffix(".bin") for path in paths]
        if per_sample:
            for stem, logits in zip(stems, output, strict=False):
                logits.tofile(folder / f"{stem}_1.bin")
        else:
            output.tofile(folder / f"{stems[0]}_output_0.bin")
    return folder


@pytest.mark.parametrize("per_sample", [True, False])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_dumps_of_the_prepared_files_score_as_the_model_on_the_images(prepared, tmp_path, dtype, batch, per_sample):
    model = network(tmp_path / "m.onnx", batch, dtype)
    dumps = dump_outputs(model, prepared, tmp_path / "dumps", per_sample=per_sample)
    source = DataSource(synthetic=COUNT)
    expected = evaluate_session(OnnxRuntime(threads=1).open(model), source.open((HEIGHT, WIDTH))).to_json()
    choice = DumpChoice(dumps, batch=1 if per_sample else batch)
    assert evaluate_dumps(open_labels(DataSource(str(prepared))), choice).to_json() == expected


class GivenLabels:
    """Two label maps of 2 x 2: [[0, 0], [1, -]] and [[1, 1], [2, 2]]."""

    names = ("a", "b")
    size = (2, 2)
    classes = preset_classes("cityscapes")

    def label(self, index):
        return np.array([[[0, 0], [1, 255]], [[1, 1], [2, 2]]][index], dtype=np.uint8)


def write_maps(folder, **maps):
    folder.mkdir(exist_ok=True)
    for name, labels in maps.items():
        np.array(labels, dtype=np.uint8).tofile(folder / f"{name}_0.bin")
    return DumpChoice(folder)


def test_the_running_mean_is_that_of_the_original_script(tmp_path):
    choice = write_maps(tmp_path / "d", a=[[0, 1], [1, 5]], b=[[1, 1], [2, 0]])
    running = evaluate_dumps(GivenLabels(), choice, running_mean=True).running
    # After a: class 0 has 1 of 2 pixels, class 1 has 1 of 2; 17 classes are absent and count as 0.
    first = (1 / 2 + 1 / 2) / 19
    # After b: class 0 has 1 of 3, class 1 has 3 of 4, class 2 has 1 of 2.
    second = (1 / 3 + 3 / 4 + 1 / 2) / 19
    assert running.miou == pytest.approx((first + second) / 2)
    assert running.pix_acc == pytest.approx((2 / 3 + 5 / 7) / 2)


def test_the_running_mean_depends_on_the_order(tmp_path):
    choice = write_maps(tmp_path / "d", a=[[0, 1], [1, 5]], b=[[1, 1], [2, 0]])

    class Reversed(GivenLabels):
        names = ("b", "a")

        def label(self, index):
            return super().label(1 - index)

    forward = evaluate_dumps(GivenLabels(), choice, running_mean=True)
    backward = evaluate_dumps(Reversed(), choice, running_mean=True)
    assert forward.confusion.miou == backward.confusion.miou
    assert forward.running.miou != backward.running.miou


def test_an_image_without_labels_counts_as_0_at_the_start(tmp_path):
    class FirstUnlabelled(GivenLabels):
        def label(self, index):
            return np.full((2, 2), 255, dtype=np.uint8) if index == 0 else super().label(index)

    choice = write_maps(tmp_path / "d", a=[[0, 1], [1, 5]], b=[[1, 1], [2, 2]])
    running = evaluate_dumps(FirstUnlabelled(), choice, running_mean=True).running
    assert (running.miou, running.pix_acc) == (pytest.approx(2 / 19 / 2), pytest.approx(1 / 2))


def test_the_figures_have_a_running_mean_only_when_asked_for(tmp_path):
    choice = write_maps(tmp_path / "d", a=[[0, 0], [1, 5]], b=[[1, 1], [2, 2]])
    assert "running_mIoU" not in evaluate_dumps(GivenLabels(), choice).to_json()
    assert evaluate_dumps(GivenLabels(), choice, running_mean=True).to_json()["pixAcc"] == 1


def test_progress_counts_images(tmp_path):
    choice = write_maps(tmp_path / "d", a=[[0, 0], [1, 5]], b=[[1, 1], [2, 2]])
    counts = []
    evaluate_dumps(GivenLabels(), choice, on_image=counts.append)
    assert sum(counts) == 2


def test_labels_without_any_labelled_pixel_are_refused(tmp_path):
    class Unlabelled(GivenLabels):
        def label(self, index):
            return np.full((2, 2), 255, dtype=np.uint8)

    choice = write_maps(tmp_path / "d", a=[[0, 0], [1, 5]], b=[[1, 1], [2, 2]])
    with pytest.raises(DataError, match="there is no labelled pixel in 2 images;"):
        evaluate_dumps(Unlabelled(), choice)


def test_labels_of_a_dataset_are_those_of_its_files():
    labels = open_labels(DataSource(synthetic=1, seed=4))
    assert (labels.names, labels.size) == (("scene_000004",), (1024, 2048))
