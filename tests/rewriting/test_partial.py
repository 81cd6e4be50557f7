"""A pass restricted to some of its changes: through its own option where it has one, else by masking nodes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx
import pytest
from graphs import parse

from fastscnn_opt.errors import PassError
from fastscnn_opt.model.saving import fingerprint
from fastscnn_opt.rewriting.contract import Change, Contract, Pass
from fastscnn_opt.rewriting.partial import MaskedPass, SeparableChanges
from fastscnn_opt.rewriting.registry import build_pipeline, text_of


@dataclass(frozen=True)
class NoAlpha(Pass):
    """Sets the slope of every LeakyRelu to 0, and knows nothing of being divided."""

    name: ClassVar[str] = "no-alpha"
    contract: ClassVar[Contract] = Contract.LOSSY

    def rewrite(self, graph):
        for node in graph.nodes:
            if node.op == "LeakyRelu" and node.attrs.get("alpha"):
                node.attrs["alpha"] = 0.0
                yield Change(node, "slope 0")


@dataclass(frozen=True)
class KeepAlpha(NoAlpha):
    """The same with an option for nodes to be left alone."""

    keep: tuple[str, ...] = ()

    def rewrite(self, graph):
        kept = {node.name: node.attrs["alpha"] for node in graph.nodes if node.name in self.keep}
        for change in super().rewrite(graph):
            if change.node not in self.keep:
                yield change
        for node in graph.nodes:
            node.attrs.update({"alpha": kept[node.name]} if node.name in kept else {})


@dataclass(frozen=True)
class AllOrNone(NoAlpha):
    """Looks at the whole graph: it reports changes at nodes, but makes them only if it sees three of them."""

    def rewrite(self, graph):
        if sum(node.op == "LeakyRelu" for node in graph.nodes) == 3:
            yield from super().rewrite(graph)


@pytest.fixture
def model() -> onnx.ModelProto:
    return parse("""
        g (float[1,3] x) => (float[1,3] y) {
            [one] a = LeakyRelu<alpha = 0.5>(x)
            [two] b = LeakyRelu<alpha = 0.25>(a)
            [three] y = LeakyRelu<alpha = 0.125>(b)
        }
    """)


def slopes(model: onnx.ModelProto) -> list[float]:
    return [node.attribute[0].f for node in model.graph.node]


def domains(model: onnx.ModelProto) -> set[str]:
    return {opset.domain for opset in model.opset_import}


@pytest.mark.parametrize("item", [NoAlpha(), KeepAlpha()])
@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [
        (["two"], [0.5, 0, 0.125]),
        (["three", "one"], [0, 0.25, 0]),
        (["one", "two", "three"], [0, 0, 0]),
        ([], [0.5, 0.25, 0.125]),
    ],
)
def test_only_the_chosen_nodes_are_changed(item, model, chosen, wanted):
    assert slopes(SeparableChanges(item, model).run(chosen)) == wanted


def test_a_pass_that_knows_nothing_is_kept_from_seeing_nodes(model):
    changes = SeparableChanges(NoAlpha(), model)
    assert changes.nodes == {"one": "slope 0", "two": "slope 0", "three": "slope 0"}
    assert changes.restricted(["one"]) == MaskedPass(NoAlpha(), frozenset({"two", "three"}))
    assert not changes.has_option
    assert domains(changes.run(["one"])) == {""}


def test_an_option_to_leave_nodes_alone_is_used(model):
    changes = SeparableChanges(KeepAlpha(keep=("two",)), model)
    assert changes.has_option
    assert changes.restricted(["one"]) == KeepAlpha(keep=("two", "three"))


def test_an_option_to_choose_nodes_is_used(tiny_model):
    (item,) = build_pipeline("resize-nearest")
    changes = SeparableChanges(item, tiny_model)
    assert text_of(changes.restricted(["enlarge"])) == "resize-nearest{only=enlarge}"
    modes = [
        attribute.s for node in changes.run(["enlarge"]).graph.node for attribute in node.attribute
        if attribute.name == "mode"
    ]  # fmt: skip
    assert modes == [b"linear", b"nearest"]


def test_names_are_taken_literally(tiny_model):
    names: Sequence[str] = ("a[1]*", "a1b")
    for node, name in zip(tiny_model.graph.node[2:], names, strict=True):
        node.name = name
    (item,) = build_pipeline("resize-nearest")
    changes = SeparableChanges(item, tiny_model)
    assert changes.has_option
    assert fingerprint(changes.run([names[0]])) != fingerprint(changes.run([names[1]]))


def test_a_pass_that_looks_at_the_whole_graph_is_refused_with_the_reason(model):
    with pytest.raises(PassError, match=r"no-alpha cannot be restricted to some of its changes: .* it changed nothing"):
        SeparableChanges(AllOrNone(), model)


def test_outputs_are_no_nodes(network_of_two_outputs):
    (item,) = build_pipeline("argmax-output")
    with pytest.raises(PassError, match="argmax-output cannot be restricted to some of its changes"):
        SeparableChanges(item, network_of_two_outputs)


@pytest.fixture
def network_of_two_outputs() -> onnx.ModelProto:
    return parse("""
        g (float[1,3,2,2] x) => (float[1,3,2,2] y, float[1,3,2,2] z)
        { y = Relu(x) z = Neg(x) }
    """)


def test_one_change_needs_no_division(model):
    del model.graph.node[1:]
    model.graph.node[0].output[0] = "y"
    assert list(SeparableChanges(NoAlpha(), model).nodes) == ["one"]
