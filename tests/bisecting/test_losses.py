"""The loss of a graph, measured through passes that change its inputs and outputs."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx
import pytest
from graphs import parse

from fastscnn_opt.bisecting.graphs import Workspace
from fastscnn_opt.bisecting.losses import AccuracyLoss, Deviation
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import UserError
from fastscnn_opt.rewriting.contract import Change, Contract, Pass
from fastscnn_opt.rewriting.registry import build_pipeline
from fastscnn_opt.targets.spec import TargetSpec


@dataclass(frozen=True)
class ScaledInput(Pass):
    """The graph takes its image multiplied by `factor`, and divides by `divisor`, which should be the same."""

    name: ClassVar[str] = "scaled-input"
    contract: ClassVar[Contract] = Contract.EXACT

    factor: float
    divisor: float

    def rewrite(self, graph):
        import onnx_graphsurgeon as gs

        (image,) = graph.inputs
        inner = gs.Variable(f"{image.name}_of_{self.factor}", dtype=np.float32, shape=image.shape)
        for node in list(image.outputs):
            node.inputs = [inner if tensor is image else tensor for tensor in node.inputs]
        divisor = gs.Constant(f"{inner.name}_divisor", np.array(self.divisor, np.float32))
        graph.nodes.append(gs.Node("Div", inputs=[image, divisor], outputs=[inner]))
        yield Change(image, f"times {self.factor}")

    def expected(self, before, feeds):
        return before({name: value / np.float32(self.factor) for name, value in feeds.items()})


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


@pytest.fixture
def linear() -> onnx.ModelProto:
    """The output is twice the input."""
    return parse("""
        g (float[1,3,16,32] image) => (float[1,3,16,32] y, float[1,3,16,32] z)
        <float two = {2}> { y = Mul(image, two) z = Neg(image) }
    """)


def losses(workspace, model, passes, metric=None) -> list[float | None]:
    metric = metric or Deviation()
    return [metric.loss(graph).figure for graph in workspace.run_passes(workspace.save(model), passes)]


def test_correct_passes_that_change_inputs_and_outputs_do_not_deviate(workspace, linear):
    passes = [ScaledInput(4, 4), *build_pipeline("drop-outputs"), ScaledInput(8, 8), *build_pipeline("argmax-output")]
    assert losses(workspace, linear, passes) == [0, 0, 0, 0]


def test_a_wrong_factor_deviates_by_its_effect_on_the_largest_value(workspace, linear):
    model_input = DataSource(synthetic=1)
    deviation = losses(workspace, linear, [ScaledInput(1, 1.25)], Deviation(model_input))[0]
    image = model_input.open(scene_size=(16, 32)).load(0).image
    largest = np.abs((image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).max()
    assert deviation == pytest.approx(2 * largest * (1 - 1 / 1.25), rel=1e-4)


def test_the_deviation_is_that_of_the_worst_image(workspace, linear):
    one, two = (
        losses(workspace, linear, [ScaledInput(1, 1.25)], Deviation(DataSource(synthetic=1, seed=seed)))[0]
        for seed in (0, 1)
    )
    both = losses(workspace, linear, [ScaledInput(1, 1.25)], Deviation(DataSource(synthetic=2)))[0]
    assert both == max(one, two)


def test_equal_graphs_are_saved_once(workspace, linear):
    graphs = workspace.run_passes(workspace.save(linear), build_pipeline("static-batch{n=1},drop-outputs,drop-outputs"))
    assert len({graph.sha256 for graph in graphs}) == 2
    assert len(list(workspace.folder.glob("*.onnx"))) == 2


def test_an_engine_that_refuses_the_model_names_no_file_of_the_workspace(workspace):
    model = parse("g (float[1,3,32,64] x) => (double[1,3,32,64] y) { a = Cast<to = 11>(x) y = vendor.Secret(a) }")
    metric = AccuracyLoss(DataSource(synthetic=1), TargetSpec("onnxruntime"))
    with pytest.raises(UserError) as caught:
        metric.start(workspace.save(model))
    assert str(caught.value).startswith("the model before all passes: ")
    assert str(workspace.folder) not in str(caught.value)
    assert str(workspace.folder) not in metric.loss(workspace.save(model)).reason
