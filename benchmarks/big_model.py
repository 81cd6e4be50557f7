"""How much memory `apply` takes on a model whose weights are larger than one ONNX file can hold.

    python benchmarks/big_model.py [--gigabytes 3] [--folder DIR]

Makes a model of matrix products with external data, applies two passes that leave the weights alone with and without
verification, and one that rewrites every weight, each as a process of its own, and prints the peak of the memory that
is the process's own: pages of mapped files, which the system takes back whenever it wants, are not in it. Needs about
three times the gigabytes on the disk; everything is deleted in the end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import onnx
from onnx import TensorProto, helper

from fastscnn_opt.model.external_data import values_of
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.rewriting.contract import Change, Contract, Pass
from fastscnn_opt.rewriting.manager import PassManager

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs

SIDE = 4096
"""Rows and columns of a weight: 64 MiB of float32."""


@dataclass(frozen=True)
class Negate(Pass):
    """Negates every weight, and the result of every product."""

    name: ClassVar[str] = "negate"
    contract: ClassVar[Contract] = Contract.EXACT

    def rewrite(self, graph: gs.Graph) -> Iterator[Change]:
        """Change all weights; two products of opposite sign in a row would be the same function."""
        for node in graph.nodes:
            if node.op == "MatMul":
                node.inputs[1].values = -node.inputs[1].values
                yield Change(node, "negated")


def make(file: Path, gigabytes: float) -> int:
    """Write a chain of products, with the weights beside it; return how many bytes of weights there are."""
    count = max(1, round(gigabytes * 2**30 / (SIDE * SIDE * 4)))
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    size = SIDE * SIDE * 4
    with file.with_name("weights.bin").open("wb") as data:
        for index in range(count):
            data.write((rng.standard_normal((SIDE, SIDE), np.float32) / 64).tobytes())
            tensor = weights_in_file(f"w{index}", index * size, size)
            weights.append(tensor)
            source = f"y{index - 1}" if index else "x"
            nodes.append(helper.make_node("MatMul", [source, tensor.name], [f"y{index}"], f"product{index}"))
    row = [1, SIDE]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, row) for name in (f"y{count - 1}", "y0")]
    graph = helper.make_graph(
        nodes, "big", [helper.make_tensor_value_info("x", TensorProto.FLOAT, row)], outputs, weights
    )
    file.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    return count * size


def weights_in_file(name: str, offset: int, length: int) -> onnx.TensorProto:
    """Return a weight that lies in ``weights.bin``."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[SIDE, SIDE])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "weights.bin", "offset": offset, "length": length}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def own_bytes(process: int) -> int:
    """Return the memory of a process that is backed by no file. Only on Linux."""
    try:
        lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    sizes = {key: value for key, _, value in (line.partition(":") for line in lines)}
    return int(sizes.get("RssAnon", "0 kB").split()[0]) * 1024


def measure(title: str, command: list[str], weights: int) -> None:
    """Run a command and print its time and the peak of its memory."""
    start, peak = perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        done = threading.Event()
        threading.Thread(target=lambda: (child.wait(), done.set()), daemon=True).start()
        while not done.is_set():
            peak = max(peak, own_bytes(child.pid))
            sleep(0.01)
    if child.returncode:
        raise SystemExit(f"{title}: ended with exit code {child.returncode}")
    seconds = perf_counter() - start
    print(f"| {title} | {peak / 2**20:.0f} | {peak / weights:.2f} | {seconds:.1f} |", flush=True)


def negate(model: Path, output: Path) -> None:
    """Apply the pass that rewrites every weight, without verification."""
    save_model(PassManager([Negate()], verify=False).run(load_model(model)).model, output)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=3.0)
    parser.add_argument("--folder", type=Path, help="where the files go; the temporary folder without it")
    parser.add_argument("--negate", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.negate:
        negate(*given.negate)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        model, output = Path(folder) / "big.onnx", Path(folder) / "out.onnx"
        weights = make(model, given.gigabytes)
        print(
            f"{weights / 2**30:.2f} GiB of weights\n"
            "| run | MiB | share of the weights | s |\n| --- | ---: | ---: | ---: |",
            flush=True,
        )
        command = [sys.executable, "-m", "fastscnn_opt", "apply", str(model), "-o", str(output)]
        command += ["--passes", "drop-outputs,fp16-output"]
        measure("two passes, --no-verify", [*command, "--no-verify"], weights)
        check(model, output)
        measure("two passes, verified", command, weights)
        measure(
            "a pass that rewrites all weights", [sys.executable, __file__, "--negate", str(model), str(output)], weights
        )


def check(model: Path, output: Path) -> None:
    """Stop unless the last weight came through unchanged."""
    before, after = (values_of(load_model(file).graph.initializer[-1]) for file in (model, output))
    if not np.array_equal(before, after):
        raise SystemExit("the weights of the output are not those of the model")


if __name__ == "__main__":
    main()
