"""A small model file; a network that tells grey levels apart, images of these, and passes that break their promise."""

import sys
import textwrap

import numpy as np
import onnx
import pytest
from graphs import add_initializers, parse
from PIL import Image

from fastscnn_opt.model.saving import save_model

HEIGHT, WIDTH, LEVELS = 24, 48, (0, 80, 160, 240)

PLUGIN = '''
    from dataclasses import dataclass
    from typing import ClassVar

    import numpy as np
    import onnx_graphsurgeon as gs

    from fastscnn_opt import Change, Contract, Pass


    def insert_behind(graph, node, op, name, constants=(), **attrs):
        """Let a new node work on what `node` gives."""
        result, inner = node.outputs[0], gs.Variable(name + "_in", dtype=np.float32)
        node.outputs = [inner]
        inputs = [inner, *(gs.Constant(f"{name}_{i}", np.array(c, np.int64)) for i, c in enumerate(constants))]
        graph.nodes.append(gs.Node(op, name=name, inputs=inputs, outputs=[result], attrs=attrs))


    @dataclass(frozen=True)
    class Touch(Pass):
        """Append a node that does nothing."""

        name: ClassVar[str] = "touch"
        contract: ClassVar[Contract] = Contract.EXACT
        n: int = 0

        def rewrite(self, graph):
            insert_behind(graph, graph.outputs[0].inputs[0], "Identity", f"touch{self.n}")
            yield Change(f"touch{self.n}", "appended")


    @dataclass(frozen=True)
    class Shift(Pass):
        """Off by one pixel, though it promises to be exact."""

        name: ClassVar[str] = "shift"
        contract: ClassVar[Contract] = Contract.EXACT

        def rewrite(self, graph):
            conv = next(node for node in graph.nodes if node.op == "Conv")
            insert_behind(graph, conv, "Pad", "shifted", [[0, 0, 0, 1, 0, 0, 0, -1]], mode="edge")
            yield Change(conv, "optimised")


    @dataclass(frozen=True)
    class Subtract(Pass):
        """Add(x, c) becomes Sub(x, c): right where c is 0, and wrong elsewhere, though it promises to be exact."""

        name: ClassVar[str] = "subtract"
        contract: ClassVar[Contract] = Contract.EXACT

        def rewrite(self, graph):
            for node in graph.nodes:
                if node.op == "Add":
                    node.op = "Sub"
                    yield Change(node, "Add -> Sub")


    @dataclass(frozen=True)
    class Break(Pass):
        """Give the graph a node that no engine can run."""

        name: ClassVar[str] = "break"
        contract: ClassVar[Contract] = Contract.EXACT

        def rewrite(self, graph):
            insert_behind(graph, graph.outputs[0].inputs[0], "Unheard", "broken")
            graph.nodes[-1].domain = "nowhere"
            yield Change("broken", "appended")
'''


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A network that tells four grey levels apart without a mistake, images of them, and the plug-in."""
    folder = tmp_path_factory.mktemp("bisect")
    _write_model(folder / "net.onnx")
    _write_images(folder / "tree")
    info = folder / "plugins" / "misleading-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "plugins" / "misleading_passes.py").write_text(textwrap.dedent(PLUGIN))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: misleading\nVersion: 1.0\n")
    entries = "".join(
        f"{name.lower()} = misleading_passes:{name}\n" for name in ("Touch", "Shift", "Subtract", "Break")
    )
    (info / "entry_points.txt").write_text(f"[fastscnn_opt.passes]\n{entries}")
    return folder


def _write_model(file) -> None:
    """The logit of class k is 2 c x - c^2 for its grey level c, so the largest is that of the nearest level."""
    levels = (np.array(LEVELS, np.float32) / 255 - 0.485) / 0.229
    weights, bias = np.zeros((19, 3, 1, 1), np.float32), np.full(19, -1000, np.float32)
    weights[: len(levels), 0, 0, 0], bias[: len(levels)] = 2 * levels, -(levels**2)
    offsets = np.zeros((6, 19, 1, 1), np.float32)
    offsets[3, 2] = 3.0
    bias -= offsets.sum(axis=(0, 2, 3))
    adds = "".join(f"[add{i}] t{i + 1} = Add(t{i}, c{i}) " for i in range(6))
    model = parse(
        f"net (float[1,3,{HEIGHT},{WIDTH}] image) => "
        f"(float[1,19,{HEIGHT},{WIDTH}] t6) {{ [conv] t0 = Conv(image, w, b) {adds} }}"
    )
    constants = {"w": weights, "b": bias, **{f"c{i}": offsets[i] for i in range(6)}}
    add_initializers(model, **constants)
    onnx.save(model, file)


def _write_images(root) -> None:
    labels = np.random.default_rng(5).integers(0, len(LEVELS), (2, HEIGHT // 4, WIDTH // 4)).repeat(4, 1).repeat(4, 2)
    for part, suffix in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelTrainIds")):
        city = root / part / "val" / "town"
        city.mkdir(parents=True)
        for index, label in enumerate(labels):
            values = np.array(LEVELS)[label][..., None].repeat(3, 2) if part == "leftImg8bit" else label
            Image.fromarray(values.astype(np.uint8)).save(city / f"town_00000{index}_000000_{suffix}.png")


@pytest.fixture
def here(place, monkeypatch):
    """The folder with ``net.onnx`` and the Cityscapes tree ``tree``; touch, shift, subtract and break are installed."""
    monkeypatch.syspath_prepend(str(place / "plugins"))
    monkeypatch.setenv("PYTHONPATH", str(place / "plugins"))
    yield place
    sys.modules.pop("misleading_passes", None)


@pytest.fixture
def model_file(tiny_model, tmp_path):
    """The small model of many tests as the file ``m.onnx``."""
    save_model(tiny_model, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"
