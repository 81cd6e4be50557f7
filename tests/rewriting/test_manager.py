"""The manager: order, copies, reports, instruments, invalid graphs, contract breaches."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx
import onnx.reference
import onnx_graphsurgeon as gs
import pytest

from fastscnn_opt.errors import ContractBreachError, PassError
from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip
from fastscnn_opt.rewriting.instruments import GraphDump, Instrument
from fastscnn_opt.rewriting.manager import PassManager


@dataclass(frozen=True)
class Scale(Pass):
    """Multiply the weights of every Conv."""

    name: ClassVar[str] = "scale"
    contract: ClassVar[Contract] = Contract.EXACT

    by: float = 1.0

    def rewrite(self, graph):
        for node in graph.nodes:
            if node.op != "Conv":
                yield Skip(node, f"{node.op} has no weights")
                continue
            node.inputs[1].values = node.inputs[1].values * np.float32(self.by)
            yield Change(node, f"weights times {self.by}")


@dataclass(frozen=True)
class ScaleLossy(Scale):
    """The same, admitted to be another function."""

    contract: ClassVar[Contract] = Contract.LOSSY


@dataclass(frozen=True)
class Untouched(Pass):
    """Reports nothing but a skip."""

    name: ClassVar[str] = "untouched"
    contract: ClassVar[Contract] = Contract.EXACT

    def rewrite(self, graph):
        yield Skip(graph.nodes[0], "not my kind")


@dataclass(frozen=True)
class Broken(Pass):
    """Leaves a graph with an operator that does not exist, or raises."""

    name: ClassVar[str] = "broken"
    contract: ClassVar[Contract] = Contract.EXACT

    crash: bool = False

    def rewrite(self, graph):
        if self.crash:
            raise KeyError("lost")
        graph.nodes[0].op = "NoSuchOperator"
        yield Change(graph.nodes[0], "broke it")


class Recorder(Instrument):
    """Writes down what it is told."""

    def __init__(self):
        self.seen = []

    def before(self, item, index, model):
        self.seen.append(("before", item.name, index))

    def after(self, item, index, report, before, after):
        self.seen.append(("after", item.name, index))

    def failed(self, item, index, model, error):
        self.seen.append(("failed", item.name, type(error).__name__))


def test_the_model_given_is_left_as_it_is(tiny_model):
    copy = tiny_model.SerializeToString()
    PassManager([ScaleLossy(2.0)]).run(tiny_model)
    assert tiny_model.SerializeToString() == copy


def test_changes_and_skips_are_reported_with_node_names(tiny_model):
    step = PassManager([ScaleLossy(2.0)]).run(tiny_model).to_json()["steps"][0]
    assert step["changes"] == [{"node": "conv", "what": "weights times 2.0"}]
    assert {"node": "relu", "why": "Relu has no weights"} in step["skips"]


def test_a_pass_without_a_change_gives_back_the_same_bytes(tiny_model):
    assert PassManager([Untouched()]).run(tiny_model).model is tiny_model


def test_a_kept_promise_is_recorded_with_its_deviation(tiny_model):
    step = PassManager([Scale(1.0)]).run(tiny_model).steps[0]
    assert (step.verified, step.max_abs_diff) == (True, 0.0)


def test_a_broken_promise_names_pass_output_and_place(tiny_model):
    with pytest.raises(ContractBreachError, match=r"scale .* output 'output1' deviates by .* at \[0, \d+, \d+, \d+\]"):
        PassManager([Scale(1.01)]).run(tiny_model)


def test_a_breach_leaves_both_graphs_and_the_input_that_reproduce_it(tiny_model):
    with pytest.raises(ContractBreachError) as caught:
        PassManager([Scale(1.01)]).run(tiny_model)
    folder = caught.value.folder
    weights = [
        onnx.numpy_helper.to_array(onnx.load(folder / name).graph.initializer[0])
        for name in ("before.onnx", "after.onnx")
    ]
    np.testing.assert_allclose(weights[1], weights[0] * 1.01, rtol=1e-6)
    assert np.load(folder / "inputs.npz")["image"].shape == (1, 3, 16, 32)


def test_a_lossy_pass_is_measured_but_not_failed(tiny_model):
    step = PassManager([ScaleLossy(2.0)]).run(tiny_model).steps[0]
    assert step.verified is None
    assert step.max_abs_diff > 0.1


def test_verification_can_be_left_out(tiny_model):
    step = PassManager([Scale(1.01)], verify=False).run(tiny_model).steps[0]
    assert (step.verified, step.max_abs_diff) == (None, None)


@pytest.mark.parametrize(
    ("crash", "what"), [(False, "left an invalid graph.*NoSuchOperator"), (True, "KeyError: 'lost'")]
)
def test_a_faulty_pass_is_named(tiny_model, crash, what):
    with pytest.raises(PassError, match=f"broken .*{what}"):
        PassManager([Broken(crash)]).run(tiny_model)


def test_instruments_are_told_in_order_and_of_the_failure(tiny_model):
    recorder = Recorder()
    with pytest.raises(PassError):
        PassManager([Untouched(), Broken(crash=True)], instruments=[recorder]).run(tiny_model)
    assert recorder.seen == [
        ("before", "untouched", 0),
        ("after", "untouched", 0),
        ("before", "broken", 1),
        ("failed", "broken", "PassError"),
    ]


def test_dumps_hold_the_graph_after_every_pass(tiny_model, tmp_path):
    PassManager([ScaleLossy(2.0), ScaleLossy(3.0)], instruments=[GraphDump(tmp_path / "d")]).run(tiny_model)
    names = sorted(path.name for path in (tmp_path / "d").iterdir())
    assert names == ["00-input.onnx", "01-scale.onnx", "02-scale.onnx"]
    first, last = (
        onnx.numpy_helper.to_array(onnx.load(tmp_path / "d" / name).graph.initializer[0])
        for name in (names[0], names[2])
    )
    np.testing.assert_allclose(last, first * 6)


def test_unnamed_nodes_get_unique_names(tiny_model):
    for node in tiny_model.graph.node:
        node.name = ""
    names = [node.name for node in PassManager([ScaleLossy(2.0)]).run(tiny_model).model.graph.node]
    assert names == ["Conv_0", "Relu_1", "Resize_2", "Resize_3"]


def test_metadata_and_ir_version_survive(tiny_model):
    tiny_model.metadata_props.add(key="layout", value="segmentron")
    result = PassManager([ScaleLossy(2.0)]).run(tiny_model).model
    assert (result.ir_version, result.metadata_props[0].value) == (8, "segmentron")


def test_an_operator_set_that_nothing_uses_any_more_is_dropped(tiny_model):
    tiny_model.opset_import.append(onnx.helper.make_opsetid("gone", 1))
    assert [opset.domain for opset in PassManager([ScaleLossy(2.0)]).run(tiny_model).model.opset_import] == [""]


def test_inner_shapes_are_inferred_anew(tiny_model):
    result = PassManager([ScaleLossy(2.0)]).run(tiny_model).model
    shapes = {info.name: [d.dim_value for d in info.type.tensor_type.shape.dim] for info in result.graph.value_info}
    assert shapes["s"] == [1, 3, 8, 16]


def test_the_summary_reads_per_pass_what_was_done(tiny_model):
    text = PassManager([ScaleLossy(2.0)]).run(tiny_model).summary()
    assert text.startswith("scale{by=2.0}: lossy (not judged by numbers, largest deviation ")
    assert "\n  changed conv: weights times 2.0\n" in text


def test_a_graph_passes_through_graphsurgeon_unharmed(tiny_model):
    image = np.random.default_rng(0).standard_normal((1, 3, 16, 32)).astype(np.float32)
    result = PassManager([ScaleLossy(2.0)]).run(tiny_model).model
    expected = onnx.reference.ReferenceEvaluator(gs.export_onnx(gs.import_onnx(result))).run(None, {"image": image})[0]
    np.testing.assert_allclose(onnx.reference.ReferenceEvaluator(result).run(None, {"image": image})[0], expected)


def test_a_pass_that_yields_something_else_is_named(tiny_model):
    @dataclass(frozen=True)
    class Chatty(Pass):
        """Yields a text."""

        name: ClassVar[str] = "chatty"
        contract: ClassVar[Contract] = Contract.EXACT

        def rewrite(self, graph):
            yield "hello"

    with pytest.raises(PassError, match="the pass chatty yielded 'hello', which is neither a Change nor a Skip"):
        PassManager([Chatty()]).run(tiny_model)
