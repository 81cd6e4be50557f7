"""The numeric check: labels may differ only where two logits tie; other outputs stay within their tolerance."""

import errno
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from graphs import parse

from fastscnn_opt.errors import ContractBreachError, ModelError
from fastscnn_opt.model.sampling.samples import sample_inputs
from fastscnn_opt.rewriting.contract import Change, Contract, Labels, Pass
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.rewriting.verification.comparing import compare
from fastscnn_opt.rewriting.verification.logits import expose_logits
from fastscnn_opt.rewriting.verification.runner import GraphRunner


@dataclass(frozen=True)
class Edit(Pass):
    """Does to the graph whatever the test wants."""

    name: ClassVar[str] = "edit"
    contract: ClassVar[Contract] = Contract.EXACT

    do: Callable[[Any], None]

    def rewrite(self, graph):
        self.do(graph)
        yield Change("graph", "edited")


@dataclass(frozen=True)
class EditRounding(Edit):
    """The same, with the promise of float16."""

    contract: ClassVar[Contract] = Contract.ROUNDING


@dataclass(frozen=True)
class EditLossy(Edit):
    """The same, admitted to be another function."""

    contract: ClassVar[Contract] = Contract.LOSSY


@pytest.fixture
def label_model():
    """The first two logits are the first channel, so they tie everywhere; the label map is the ArgMax as uint8."""
    return parse("""
        g (float[1,3,16,32] image) => (uint8[1,16,32] labels)
        <float[3,3,1,1] w = {1, 0, 0, 1, 0, 0, 0, 0, 1}>
        { logits = Conv(image, w) best = ArgMax<axis=1, keepdims=0>(logits) labels = Cast<to=2>(best) }
    """)


def add_to_weights(amount):
    def do(graph):
        weights = graph.nodes[0].inputs[1]
        weights.values = weights.values + np.float32(amount)

    return do


def set_weight(value):
    def do(graph):
        values = graph.nodes[0].inputs[1].values.copy()
        values[0, 0] = value
        graph.nodes[0].inputs[1].values = values

    return do


def test_label_outputs_come_with_the_logits_behind_them(label_model):
    image = np.random.default_rng(0).standard_normal((1, 3, 16, 32)).astype(np.float32)
    labels = GraphRunner(label_model)({"image": image})["labels"]
    assert isinstance(labels, Labels)
    logits = image[:, [0, 0, 2]]
    np.testing.assert_array_equal(labels.values, logits.argmax(axis=1))
    np.testing.assert_allclose(labels.logits, logits)


def test_labels_that_differ_beyond_a_tie_break_the_contract(label_model):
    with pytest.raises(ContractBreachError, match="output 'labels' deviates"):
        PassManager([Edit(set_weight(-1.0))]).run(label_model)


def test_labels_that_differ_only_at_near_ties_keep_it(label_model):
    feeds = sample_inputs(label_model)
    result = PassManager([Edit(set_weight(1 - 3e-5))]).run(label_model)
    before, after = (GraphRunner(model)(feeds)["labels"].values for model in (label_model, result.model))
    assert (before != after).any()
    assert result.steps[0].verified is True


def test_rounding_allows_what_its_type_loses_and_no_more(tiny_model):
    assert PassManager([EditRounding(add_to_weights(2e-4))]).run(tiny_model).steps[0].verified
    with pytest.raises(ContractBreachError):
        PassManager([EditRounding(add_to_weights(2e-2))]).run(tiny_model)


def test_exact_does_not_allow_what_rounding_allows(tiny_model):
    with pytest.raises(ContractBreachError):
        PassManager([Edit(add_to_weights(4e-4))]).run(tiny_model)


def test_a_lost_output_breaks_the_contract(tiny_model):
    tiny_model.graph.output.append(onnx.helper.make_tensor_value_info("s", onnx.TensorProto.FLOAT, [1, 3, 8, 16]))
    with pytest.raises(
        ContractBreachError, match=r"outputs \['output1', 's'\] were expected, the graph has \['output1'\]"
    ):
        PassManager([Edit(lambda graph: graph.outputs.pop())]).run(tiny_model)


def test_an_output_of_another_shape_breaks_the_contract(tiny_model):
    def halve(graph):
        graph.nodes[3].inputs[2].values = np.array([1, 1, 1, 1], dtype=np.float32)
        graph.outputs[0].shape = [1, 3, 8, 16]

    with pytest.raises(ContractBreachError, match=r"has the shape \[1, 3, 8, 16\], and \[1, 3, 16, 32\] was expected"):
        PassManager([Edit(halve)]).run(tiny_model)


def test_infinities_that_stay_are_no_deviation(tiny_model):
    before = PassManager([Edit(set_weight(np.inf))], verify=False).run(tiny_model).model
    assert PassManager([Edit(add_to_weights(0.0))]).run(before).steps[0].verified


def test_values_that_are_lost_break_the_contract(tiny_model):
    with pytest.raises(ContractBreachError, match="output 'output1' deviates by inf"):
        PassManager([Edit(set_weight(np.nan))]).run(tiny_model)


def test_whole_numbers_have_to_be_the_same():
    model = parse("""
        g (int32[1,3,16,32] image) => (int32[1,3,16,32] sums) <int32[1] one = {1}> { sums = Add(image, one) }
    """)

    def add_two(graph):
        graph.nodes[0].inputs[1].values = np.array([2], dtype=np.int32)

    with pytest.raises(ContractBreachError, match="output 'sums' deviates by 1 at"):
        PassManager([Edit(add_two)]).run(model)


@pytest.mark.parametrize("infinity", ["Infinity", "-Infinity"])
def test_labels_break_the_contract_beside_infinite_logits(label_model, infinity):
    label_model.graph.node[0].output[0] = "finite"
    edge = np.zeros((1, 3, 1, 32), dtype=np.float32)
    edge[:, 1, :, 0] = float(infinity)
    label_model.graph.initializer.append(onnx.numpy_helper.from_array(edge, "edge"))
    label_model.graph.node.insert(1, onnx.helper.make_node("Add", ["finite", "edge"], ["logits"]))
    with pytest.raises(ContractBreachError, match="output 'labels' deviates"):
        PassManager([Edit(set_weight(-1.0))]).run(label_model)


def test_an_input_without_elements_verifies_nothing(tiny_model):
    tiny_model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 0
    tiny_model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 0
    with pytest.raises(ModelError, match="dimension 0 of input 'image' is 0"):
        PassManager([Edit(add_to_weights(1.0))]).run(tiny_model)


def test_a_deviation_without_limit_is_no_number_in_json(tiny_model):
    result = PassManager([EditLossy(set_weight(np.inf))]).run(tiny_model)
    assert result.steps[0].max_abs_diff == np.inf
    assert json.loads(json.dumps(result.to_json(), allow_nan=False))["steps"][0]["max_abs_diff"] is None


def test_a_graph_that_cannot_run_before_the_pass_says_how_to_go_on(tiny_model):
    tiny_model.opset_import.append(onnx.helper.make_opsetid("vendor", 1))
    tiny_model.graph.node[1].domain, tiny_model.graph.node[1].op_type = "vendor", "Swish"
    with pytest.raises(ModelError, match=r"Swish.*--no-verify"):
        PassManager([Edit(add_to_weights(0.0))]).run(tiny_model)


@pytest.mark.parametrize(("moved_by", "kept"), [(2.0**-10, True), (0.5, False)])
def test_where_terms_cancel_the_tolerance_is_that_of_the_terms(moved_by, kept):
    """The output is 0, and its terms reach about 4: 2^-10 of that is allowed."""
    model = parse("""
        g (float[1,3,16,32] image) => (float[1,3,16,32] y) { a = Abs(image) b = Relu(a) y = Sub(a, b) }
    """)

    def move(graph):
        result = graph.nodes[0].outputs[0]
        inner = gs.Variable("inner", dtype=np.float32)
        graph.nodes[0].outputs = [inner]
        offset = gs.Constant("offset", np.float32([moved_by]))
        graph.nodes[1].inputs = [inner]
        graph.nodes.append(gs.Node("Add", "move", inputs=[inner, offset], outputs=[result]))

    manager = PassManager([EditRounding(move)])
    if kept:
        assert manager.run(model).steps[0].max_abs_diff == pytest.approx(moved_by, rel=0.1)
    else:
        with pytest.raises(ContractBreachError, match=r"output 'y' deviates by 0\.5"):
            manager.run(model)


def test_elements_of_sequences_are_compared():
    text = (
        "g (float[2] x) => (seq(float[2]) s, float[2] y) { [first] a = Abs(x) y = Exp(x) s = SequenceConstruct(a, y) }"
    )
    before, after = parse(text), parse(text)
    runners = [GraphRunner(model) for model in (before, after)]
    feeds = sample_inputs(before)
    assert compare(runners[0](feeds), runners[1](feeds), after, Contract.EXACT) == (0.0, "")
    after.graph.node[0].op_type = "Neg"
    deviation, problem = compare(runners[0](feeds), GraphRunner(after)(feeds), after, Contract.EXACT)
    assert deviation == 2 * feeds["x"].max()
    assert problem.startswith("output 's[0]' deviates")


def test_text_is_compared():
    feeds = {"x": np.array(["cat", "dog"], dtype=object)}
    same = GraphRunner(parse("g (string[2] x) => (string[2] y) { y = Identity(x) }"))
    turned = GraphRunner(parse("g (string[2] x) => (string[2] y) <int64[2] i = {1, 0}> { y = Gather(x, i) }"))
    assert compare(same(feeds), same(feeds), same.model, Contract.EXACT) == (0.0, "")
    assert compare(same(feeds), turned(feeds), same.model, Contract.EXACT)[1].startswith("output 'y' deviates")


def test_logits_are_looked_for_in_time_proportional_to_the_outputs():
    names = [f"t{index}" for index in range(2000)]
    nodes = [
        onnx.helper.make_node("Relu", [source], [name]) for source, name in zip(["x", *names], names, strict=False)
    ]
    outputs = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2]) for name in names]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", outputs[:1], outputs))
    start = time.process_time()
    expose_logits(model)
    assert time.process_time() - start < 3  # a search of all nodes for every output took 20 seconds


def replace_by_first_value(graph):
    """Take the first side of every Where."""
    for node in graph.nodes:
        if node.op == "Where":
            node.op, node.inputs = "Identity", [node.inputs[1]]


def drop_second_branch(graph):
    """Put the first branch of every If in place of the other."""
    for node in graph.nodes:
        if node.op == "If":
            node.attrs["else_branch"] = node.attrs["then_branch"]


def replace_operator(before, after):
    def edit(graph):
        for node in graph.nodes:
            if node.op == before:
                node.op = after

    return edit


BRANCHES = """y = If(c) <then_branch = a () => (float[1,1,4,4] u) { u = Relu(x) },
                          else_branch = b () => (float[1,1,4,4] v) { v = Neg(x) }>"""


@pytest.mark.parametrize(
    ("text", "edit"),
    [
        ("g (float[1,3,8,8] x, bool[1,1,8,8] m) => (float[1,3,8,8] y) { y = Where(m, x, z) }", replace_by_first_value),
        ("g (float[4] x, bool m) => (float[4] y) { y = Where(m, x, z) }", replace_by_first_value),
        ("g (float[4] x, int64 k) => (float[4] y) { m = Equal(k, seven) y = Where(m, x, z) }", replace_by_first_value),
        ("g (float[4] x, int64[4] k) => (float[4] y) { m = Cast<to=9>(k) y = Where(m, x, z) }", replace_by_first_value),
        (f"g (bool c, float[1,1,4,4] x) => (float[1,1,4,4] y) {{ {BRANCHES} }}", drop_second_branch),
        (
            "g (float[1,1,4,4] x) => (float[1,1,4,4] y) { m = ReduceMean<keepdims=0>(x) c = Greater(m, z) "
            + BRANCHES
            + " }",
            drop_second_branch,
        ),
        ("g (int64[3,5] x) => (int64[3,5] y) { y = Abs(x) }", replace_operator("Abs", "Identity")),
        ("g (float x) => (float y) { y = Relu(x) }", replace_operator("Relu", "Identity")),
        (
            "g (string[3] x) => (string[3] y) { i = Identity(x) y = Gather(i, turned) }",
            lambda graph: graph.outputs.__setitem__(0, graph.tensors()["i"]),
        ),
    ],
)
def test_an_edit_that_one_side_of_the_inputs_shows_breaks_the_contract(text, edit):
    model = parse(text, z=np.float32(0), seven=np.int64(7), turned=np.array([2, 0, 1]))
    with pytest.raises(ContractBreachError):
        PassManager([Edit(edit)]).run(model)


@pytest.mark.parametrize(
    ("text", "opset"),
    [
        ("g (bfloat16[8] x) => (float[8] y) { a = Identity(x) y = Cast<to=1>(a) }", 21),
        ("g (float[8] x) => (float8e4m3fn[8] y) { a = Identity(x) y = Cast<to=17>(a) }", 21),
        ("g (uint4[8] x) => (int8[8] z, float[8] y) { a = Identity(x) y = Cast<to=1>(a) z = Cast<to=3>(a) }", 21),
        ("g (float[8] x) => (string[8] y) { a = Identity(x) y = Cast<to=8>(a) }", 21),
        ("g (float[8] x) => (seq(float[8]) s) { a = Identity(x) s = SequenceConstruct(a, x) }", 21),
        ("g (float[8] x) => (optional(float[8]) s) { a = Identity(x) s = Optional(a) }", 21),
        ("g (float[1,8,1] x) => (float[1,8,2] y) { a = Identity(x) y = DFT(a) }", 20),
        ("g (int64 x) => (int64 y) { a = Identity(x) y = Neg(a) }", 13),
    ],
)
def test_inputs_and_outputs_of_every_type_are_verified(text, opset):
    assert PassManager("remove-noops").run(parse(text, opset)).steps[0].verified


def test_a_narrow_output_that_changes_breaks_the_contract():
    model = parse("g (float[8] x) => (bfloat16[8] y) { a = Abs(x) y = Cast<to=16>(a) }", 21)
    with pytest.raises(ContractBreachError, match=r"'y' deviates"):
        PassManager([Edit(replace_operator("Abs", "Neg"))]).run(model)


def test_an_output_that_the_model_declares_wrongly_is_not_counted_against_the_pass():
    model = parse("g (float[1,1,4,4] x, int64[4] s) => (float[1,1,9,n] y) { a = Identity(x) y = Resize(a, , , s) }")
    feeds = {"s": np.array([1, 1, 5, 5])}
    assert PassManager("remove-noops", inputs=feeds).run(model).steps[0].verified


def test_a_pass_that_relies_on_a_wrong_declaration_is_not_to_blame():
    model = parse("g (float[1,1,4,4] x) => (float[1,1,8,8] y) { a = Relu(x) y = GlobalAveragePool(a) }")
    with pytest.raises(ModelError, match="'y' of the model is declared as"):
        PassManager("input-size{scale=0.5 keep=true}").run(model)


def test_an_output_that_only_the_pass_declares_wrongly_is():
    def declare(graph):
        graph.outputs[0].shape = [1, 3, "h", 99]

    with pytest.raises(ContractBreachError, match=r"declared as \[1, 3, 'h', 99\] and has"):
        PassManager([Edit(declare)]).run(
            parse("g (float[1,3,8,8] x) => (float[1,3,h,w] y) { y = Resize(x, , s) }", s=np.float32([1, 1, 2.03, 2.03]))
        )


def test_a_model_with_other_results_in_every_run_is_blamed_itself():
    model = parse("g (float[6] x) => (float[6] y) { a = Identity(x) r = RandomNormalLike(a) y = Add(r, x) }")
    with pytest.raises(ModelError, match="other results in every run"):
        PassManager("remove-noops").run(model)


def test_a_model_that_takes_no_made_up_input_says_what_helps():
    model = parse(
        "g (float[4] x, int64[2] p) => (float[n] y) { i = Identity(x) s = Mul(p, k) y = Reshape(i, s) }",
        k=np.array([3, 1]),
    )
    with pytest.raises(ModelError, match=r"on values that were made up for 'x', 'p'; .*--input FILE\.npz.*--no-verify"):
        PassManager("remove-noops").run(model)
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.array([1, 1]), "k"))
    assert PassManager("remove-noops", inputs={"p": np.array([2, 2])}).run(model).steps[0].verified


def test_inputs_that_are_given_are_the_ones_that_graphs_run_on():
    model = parse("g (float[4] x) => (float[4] y) { i = Identity(x) y = Clip(i, least) }", least=np.float32(90))
    runs = PassManager([Edit(replace_operator("Clip", "Max"))], inputs={"x": np.full(4, 95, np.float32)}).run(model)
    assert runs.steps[0].verified
    with pytest.raises(ContractBreachError):
        PassManager([Edit(replace_operator("Clip", "Min"))], inputs={"x": np.full(4, 95, np.float32)}).run(model)


def test_a_reproducer_that_cannot_be_written_does_not_hide_the_breach(tiny_model, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "before.onnx")

    monkeypatch.setattr("fastscnn_opt.rewriting.verification.instrument.save_model", refuse)
    with pytest.raises(
        ContractBreachError, match=r"broke its contract: .*cannot be kept \(before\.onnx: No space left"
    ):
        PassManager([Edit(add_to_weights(1.0))]).run(tiny_model)
