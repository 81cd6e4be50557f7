"""A variant that ends its process ends nothing else: a whole run, from the outside."""

import json
import textwrap

import pytest

from fastscnn_opt.cli.main import run
from fastscnn_opt.model.saving import save_model

PASSES = '''
    import ctypes, time
    from dataclasses import dataclass
    from typing import ClassVar
    from fastscnn_opt.rewriting.contract import Contract, Pass

    @dataclass(frozen=True)
    class Faulty(Pass):
        """End the process, in one way or another."""
        how: str = ""
        name: ClassVar[str] = "faulty"
        contract: ClassVar[Contract] = Contract.EXACT

        def rewrite(self, graph):
            if self.how == "segfault":
                ctypes.string_at(0)
            held = []
            while self.how == "memory":
                held.append(b"x" * (64 << 20))
            time.sleep(3600)
            yield from ()
'''

VARIANTS = """
    [model]
    path = "net.onnx"
    [data]
    synthetic = 1
    [score]
    memory_limit = "1 GiB"
    time_limit = {limit_s}
    [[variant]]
    name = "segfaults"
    passes = "faulty{{how=segfault}}"
    [[variant]]
    name = "eats memory"
    passes = "faulty{{how=memory}}"
    [[variant]]
    name = "hangs"
    passes = "faulty{{how=sleep}}"
    [[variant]]
    name = "sound"
    passes = "adaptive-avgpool"
"""


@pytest.mark.usefixtures("brief_timing")
def test_a_segfault_lack_of_memory_and_a_hang_cost_their_own_rows_only(tmp_path, network, plug_in, capsys):
    plug_in("faulty", PASSES, passes=["Faulty"])
    save_model(network, tmp_path / "net.onnx")
    file, limit_s = tmp_path / "variants.toml", 4
    command = ["score", str(file), "--run", str(tmp_path / "run"), "--rounds", "5", "--threads", "1", "--no-verify"]
    statuses = ["timed out"]
    while "timed out" in (*statuses[:2], *statuses[3:]):  # a slow machine needs longer even for what does not hang
        file.write_text(textwrap.dedent(VARIANTS.format(limit_s=limit_s)))
        code = run([*command, "--format", "json"])
        captured = capsys.readouterr()
        rows, limit_s = json.loads(captured.out)["rows"], 2 * limit_s
        statuses = [row["status"] for row in rows]
    assert statuses == ["crashed", "crashed", "timed out", "ok"]
    assert code == 3
    assert captured.err.splitlines()[-1].endswith(": could not be scored (timed out)")
    reasons = ["ended by SIGSEGV during build", "ran out of memory: it held", "gave no sign of life"]
    assert [words in row["reason"] for words, row in zip(reasons, rows, strict=False)] == [True] * 3
    assert [row["reproduce"] for row in rows[:3]] == [
        f"fastscnn-opt apply {tmp_path / 'net.onnx'} --passes 'faulty{{how={how}}}' -o built.onnx --no-verify"
        for how in ("segfault", "memory", "sleep")
    ]
    assert rows[3]["median_ms"] > 0
