"""A model file in a child process: the same result as in this one, and crashes and limits as errors."""

import os
import textwrap

import numpy as np
import onnx
import pytest
from graphs import parse, save

from fastscnn_opt import ContractBreachError, Limits, ModelError, PassError, PassManager, TargetError, load_model
from fastscnn_opt.model.external_data import values_of
from fastscnn_opt.rewriting.instruments import Instrument

PLUGIN = '''
    import os, signal, time
    from dataclasses import dataclass
    from typing import ClassVar

    from fastscnn_opt import Change, Contract, Pass


    @dataclass(frozen=True)
    class Harm(Pass):
        """Do some harm."""

        name: ClassVar[str] = "harm"
        contract: ClassVar[Contract] = Contract.EXACT
        how: str = ""

        def rewrite(self, graph):
            if self.how == "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            if self.how == "sleep":
                time.sleep(60)
            if self.how == "memory":
                kept = b"x" * 600_000_000
                time.sleep(60)
            graph.nodes[0].op = "Neg"
            yield Change(graph.nodes[0], "wrong")
'''


@pytest.fixture
def harm(tmp_path, monkeypatch):
    """Install the pass `harm`."""
    info = tmp_path / "plugins" / "harm-1.0.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "plugins" / "harmful_passes.py").write_text(textwrap.dedent(PLUGIN))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: harm\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fastscnn_opt.passes]\nharm = harmful_passes:Harm\n")
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "plugins"))


@pytest.fixture
def file(tmp_path):
    return save(parse("g (float[2] x) => (float[2] y) { a = Identity(x) y = Exp(a) }"), tmp_path / "m.onnx")


@pytest.mark.parametrize("kind", [str, os.fspath, lambda path: path])
def test_a_path_gives_the_result_of_the_loaded_model(file, kind):
    manager = PassManager("remove-noops,fp16-output")
    apart, here = manager.run(kind(file)), manager.run(load_model(file))
    assert apart.model == here.model
    assert [{**step, "seconds": 0} for step in apart.to_json()["steps"]] == [
        {**step, "seconds": 0} for step in here.to_json()["steps"]
    ]


def test_weights_outside_the_model_are_there_afterwards(tmp_path):
    weights = np.arange(1000, dtype=np.float32)
    model = parse("g (float[1000] x) => (float[1000] y) { a = Identity(x) y = Add(a, w) }", w=weights)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    result = PassManager("remove-noops").run(tmp_path / "m.onnx")
    np.testing.assert_array_equal(values_of(result.model.graph.initializer[0]), weights)


def test_inputs_are_handed_on(tmp_path):
    text = "g (int64[2] p, float[4] x) => (float[n,m] y) { i = Identity(x) s = Neg(p) y = Reshape(i, s) }"
    file = save(parse(text), tmp_path / "m.onnx")
    with pytest.raises(ModelError):
        PassManager("remove-noops").run(file)
    given = {"p": np.array([-2, -2])}
    assert PassManager("remove-noops", inputs=given).run(file).steps[0].verified


@pytest.mark.usefixtures("harm")
def test_a_breach_leaves_its_folder(file, tmp_path):
    with pytest.raises(ContractBreachError, match=str(tmp_path / "kept")):
        PassManager("harm", reproducers=tmp_path / "kept").run(file)
    assert list((tmp_path / "kept").glob("harm-*/before.onnx"))


@pytest.mark.usefixtures("harm")
def test_a_crash_is_an_error_with_a_folder_that_reproduces_it(file, tmp_path):
    with pytest.raises(TargetError, match=r"SIGSEGV during run; its last words: .*the pass harm") as caught:
        PassManager("harm{how=crash}", verify=False, reproducers=tmp_path / "kept").run(file)
    (folder,) = (tmp_path / "kept").iterdir()
    assert caught.value.cure == f"the model and command.txt, which reproduce it, are in {folder}"
    assert (folder / "m.onnx").read_bytes() == file.read_bytes()
    assert (folder / "command.txt").read_text() == (
        "fastscnn-opt apply m.onnx --passes 'harm{how=crash}' -o result.onnx --no-verify\n"
    )


@pytest.mark.usefixtures("harm")
@pytest.mark.parametrize(
    ("how", "limits", "words"),
    [
        ("sleep", Limits(silence_s=0.5), "gave no sign of life for 0.5 s"),
        ("memory", Limits(memory_bytes=400 * 2**20), "it held .* of the 400 MiB that it may"),
    ],
)
def test_going_beyond_a_limit_is_an_error(file, tmp_path, how, limits, words):
    with pytest.raises(TargetError, match=words):
        PassManager(f"harm{{how={how}}}", reproducers=tmp_path / "kept").run(file, limits=limits)
    assert not (tmp_path / "kept").exists()


def test_what_cannot_go_to_another_process_is_refused_with_the_cure(file):
    with pytest.raises(PassError, match="load the model with load_model"):
        PassManager("remove-noops", instruments=[Instrument()]).run(file)


def test_notes_about_the_model_are_logged_as_in_this_process(tmp_path, caplog):
    unsorted = parse("g (float[2] x) => (float[2] y) { h = Relu(x) y = Neg(h) }")
    unsorted.graph.node.reverse()
    onnx.save(unsorted, tmp_path / "m.onnx")
    load_model(tmp_path / "m.onnx")
    PassManager("remove-noops").run(tmp_path / "m.onnx")
    inside, apart = [record.getMessage() for record in caplog.records if record.name == "fastscnn_opt.notes"]
    assert apart == inside
