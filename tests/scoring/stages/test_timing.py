"""Workers that take turns, made up for the purpose; and real ones, side by side."""

import onnx
import pytest
from graphs import parse

from fastscnn_opt.errors import ModelError, TargetError
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.stages.job import CompiledModel
from fastscnn_opt.scoring.stages.timing import Latencies, take_turns, time_side_by_side
from fastscnn_opt.scoring.worker.commands import Time, TimeStreams
from fastscnn_opt.targets.spec import TargetSpec

ORT = TargetSpec("onnxruntime", {"threads": 1})


class FakeWorker:
    """Notes in `diary` who does what; fails from turn `fails` on."""

    def __init__(self, name, diary, fails=None):
        self.name, self.diary, self.fails = name, diary, fails
        self.turns = 0

    def run(self, command):
        self.turns += 1
        self.diary.append(self.name)
        if self.fails is not None and self.turns >= self.fails:
            raise TargetError(f"{self.name} broke")
        return [float(self.turns)] * (command.iterations if isinstance(command, Time) else 1)

    def pause(self):
        self.diary.append(f"{self.name} pauses")

    def resume(self):
        self.diary.append(f"{self.name} resumes")


def ignore(*_rounds):
    pass


def test_workers_take_turns_and_stand_still_in_between():
    diary = []
    turns = {index: (FakeWorker(name, diary), [Time(1)]) for index, name in enumerate("AB")}
    take_turns(turns, Effort(rounds=2), ignore)
    one_round = ["A resumes", "A", "A pauses", "B resumes", "B", "B pauses"]
    assert diary == 3 * one_round, "the first round does not count"


def test_times_come_as_rounds_and_iterations():
    found = take_turns({7: (FakeWorker("A", []), [Time(3)])}, Effort(rounds=2), ignore)
    assert found[7][0].tolist() == [[2, 2, 2], [3, 3, 3]]


def test_a_turn_has_one_request_at_a_time_and_then_several(tmp_path):
    diary = []
    commands = [Time(2), TimeStreams((ORT, ORT), tmp_path, 8)]
    found = take_turns({0: (FakeWorker("A", diary), commands)}, Effort(rounds=2), ignore)
    assert [samples.tolist() for samples in found[0]] == [[[3, 3], [5, 5]], [[4], [6]]]
    assert diary == 3 * ["A resumes", "A", "A", "A pauses"]


def test_a_worker_that_fails_drops_out_and_the_others_go_on():
    diary = []
    turns = {0: (FakeWorker("A", diary), [Time(1)]), 1: (FakeWorker("B", diary, fails=2), [Time(1)])}
    found = take_turns(turns, Effort(rounds=3), ignore)
    assert str(found[1]) == "B broke"
    assert found[0][0].shape == (3, 1)
    assert diary.count("B") == 2


def test_the_turns_end_when_all_have_failed():
    found = take_turns({0: (FakeWorker("A", [], fails=1), [Time(1)])}, Effort(rounds=1000), ignore)
    assert isinstance(found[0], TargetError)


@pytest.fixture
def network(tmp_path):
    model = parse("net (float[N,3,8,8] image) => (float[N,3,8,8] out) { out = Relu(image) }")
    onnx.save(model, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_real_workers_side_by_side(network, tmp_path):
    rounds_seen = []
    models = [
        CompiledModel("one", ORT, network, network, batch=2),
        CompiledModel("broken", ORT, tmp_path / "none.onnx", network),
    ]
    timed, broken = time_side_by_side(models, Effort(rounds=2), on_round=lambda *rounds: rounds_seen.append(rounds))
    assert isinstance(timed, Latencies)
    assert timed.batch == 2
    assert timed.samples_ms.shape[0] == 2
    assert (timed.samples_ms > 0).all()
    assert isinstance(broken, ModelError)
    assert rounds_seen == [(1, 2), (2, 2)]


def test_streams_share_the_threads_where_these_are_enough(network):
    two, one = (CompiledModel("net", TargetSpec("onnxruntime", {"threads": n}), network, network) for n in (2, 1))
    shared, alone = time_side_by_side([two, one], Effort(rounds=2, streams=2))
    assert (shared.throughput.threads, shared.streams_ms.shape, shared.reason) == ((1, 1), (2, 1), "")
    assert alone.throughput is None
    assert alone.reason.startswith("no throughput: 2 streams need 2 threads or more")


def test_a_dimension_other_than_the_batch_must_be_fixed(tmp_path):
    model = parse("net (float[1,3,H,8] image) => (float[1,3,H,8] out) { out = Relu(image) }")
    onnx.save(model, tmp_path / "open.onnx")
    (error,) = time_side_by_side(
        [CompiledModel("open", ORT, tmp_path / "open.onnx", tmp_path / "open.onnx")], Effort(rounds=1)
    )
    assert isinstance(error, TargetError)
    assert "dimension 2 of input 'image' is open" in str(error)
