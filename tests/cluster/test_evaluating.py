"""The accuracy of a model, measured on several nodes."""

from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from fastscnn_opt.cluster import evaluating
from fastscnn_opt.cluster.connection import Node
from fastscnn_opt.cluster.evaluating import Evaluator, Row, part_size
from fastscnn_opt.cluster.executor import on_cluster
from fastscnn_opt.cluster.placing import Place
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.demo.scene_files import write_cityscapes
from fastscnn_opt.errors import ClusterError, DataError, ModelError
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.processes.limits import DEFAULT_LIMITS
from fastscnn_opt.progress import ignore_progress
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.scoring.one_model import evaluate
from fastscnn_opt.scoring.stages.job import CompiledModel
from fastscnn_opt.targets.spec import TargetSpec

ORT = TargetSpec("onnxruntime", {"threads": 1})


@pytest.fixture
def model(tmp_path, network):
    save_model(PassManager("adaptive-avgpool", verify=False).run(network).model, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


@pytest.fixture
def executor(address):
    with on_cluster(address) as found:
        yield found


def counts(evaluation):
    return evaluation.accuracy, evaluation.details.confusion, evaluation.details.notes


def test_the_counts_of_all_nodes_are_those_of_one_machine(executor, model, tmp_path):
    write_cityscapes(tmp_path / "tree", "val", range(5), height=32, width=64)
    data = DataSource(str(tmp_path / "tree"))
    assert counts(evaluate(model, data, ORT, executor=executor)) == counts(evaluate(model, data, ORT))


@pytest.mark.parametrize("title", ["ray::count_there", "ray::ImageServer"])
def test_the_work_of_a_killed_process_is_done_again(executor, model, tmp_path, title):
    write_cityscapes(tmp_path / "tree", "val", range(40), height=32, width=64)
    data = DataSource(str(tmp_path / "tree"))
    images = []

    @contextmanager
    def progress(*_):
        def advance(steps, *_):
            if not images:
                ours = psutil.Process().children(recursive=True)
                next(one for one in ours if "".join(one.cmdline()).startswith(title)).kill()
            images.append(steps)

        yield advance

    found = evaluate(model, data, ORT, progress=progress, executor=executor)
    assert sum(images) == 40
    assert counts(found) == counts(evaluate(model, data, ORT))


def test_an_error_names_the_node_and_the_file(executor, model, tmp_path):
    write_cityscapes(tmp_path / "tree", "val", range(3), height=32, width=64)
    data = DataSource(str(tmp_path / "tree"))
    broken = data.open().pairs[2].image
    broken.write_bytes(b"no image")
    with pytest.raises(DataError, match=f"node .*: {broken}"):
        evaluate(model, data, ORT, executor=executor)


def test_a_row_whose_model_cannot_be_read_fails_alone(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed")
    place, gone = Place((Node("1", "a"),), {}), tmp_path / "gone.onnx"
    model = CompiledModel("net", ORT, gone, gone)
    rows = [Row(index, model, place, DataSource(synthetic=1), None) for index in range(2)]
    outcomes = dict(Evaluator(None, 0, 1, DEFAULT_LIMITS, ignore_progress).run(rows))
    assert [type(outcomes[index].result) for index in range(2)] == [ModelError, ModelError]


def test_lost_work_ends_the_command_where_no_node_is_left(monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed")

    def raising(message):
        def call(*_):
            raise ClusterError(message)

        return call

    monkeypatch.setattr(evaluating, "get", raising("the work was lost"))
    monkeypatch.setattr(evaluating, "check_alive", raising("every node has gone"))
    model = CompiledModel("a", ORT, Path("a"), Path("m"))
    row = Row(0, model, Place((Node("1", "h"),), {}), DataSource(synthetic=1), None)
    with pytest.raises(ClusterError, match="every node has gone"):
        Evaluator(None, 3, 1, DEFAULT_LIMITS, ignore_progress)._take(iter([1]), row)


@pytest.mark.parametrize(
    ("images", "nodes", "batch", "size"), [(64, 8, 1, 8), (500, 8, 1, 8), (5, 2, 1, 3), (5, 2, 4, 4), (500, 2, 3, 9)]
)
def test_a_part_has_whole_batches(images, nodes, batch, size):
    assert part_size(images, nodes, batch) == size
