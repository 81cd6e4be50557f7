"""Edit the records of real runs and damage their artefacts, and report whatever is neither read nor clearly refused.

    python tests/fuzz/run_folders.py [--edits 500] [--damages 40] [--seed 0] [--score-every 10]

Two small runs are made, one of `score` and one of `search`. Each edit is read by `compare` and `report`, and every few
edits by the verb that made the run. After each damage that verb has to give the table that it gave before. A finding
is an internal error, an exit code without a message, other figures, or an artefact that is not what its record says.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random

import numpy as np
import onnx
from record_edits import damage, edit

MEMORY_BYTES = 4 << 30

VARIANTS = """
[model]
path = "net.onnx"
[data]
synthetic = 1
[score]
max_drop = 0.5
[[variant]]
name = "base"
[[variant]]
name = "halved"
passes = "fp16-output"
[[variant]]
name = "elsewhere"
targets = ["ascend310"]
"""

SPACE = '[[slot]]\nname = "labels"\nalternatives = ["", "argmax-output", "fp16-output"]\n'

NETWORK = """
<ir_version: 8, opset_import: ["" : 13]>
net (float[1,3,32,64] image) => (float[1,19,32,64] output1) <float[19,3,1,1] w> { output1 = Conv(image, w) }
"""


def make_runs(place: Path) -> dict[Path, list[str]]:
    """Make the runs, and return the command that made each of them."""
    model = onnx.parser.parse_model(NETWORK)
    weights = np.random.default_rng(3).standard_normal((19, 3, 1, 1)).astype(np.float32)
    del model.graph.initializer[:]
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(model, place / "net.onnx")
    (place / "variants.toml").write_text(VARIANTS, encoding="utf-8")
    (place / "space.toml").write_text(SPACE, encoding="utf-8")
    files = {name: str(place / name) for name in ("net.onnx", "variants.toml", "space.toml")}
    commands = {
        place / "scored": ["score", files["variants.toml"], "--rounds", "5", "--threads", "1"],
        place / "searched": [
            "search", files["net.onnx"], "--space", files["space.toml"], "--synthetic", "1", "--evaluations", "4",
            "--seconds", "0.1", "--threads", "1", "--max-drop", "100",
        ],
    }  # fmt: skip
    for folder, command in commands.items():
        code, words = call(*command, "--run", str(folder))
        if code:
            raise RuntimeError(f"{' '.join(command)} ended with {code}: {words}")
    return commands


def call(*words: str) -> tuple[int, str]:
    """Run a command in this process, and return its exit code and what it printed on stderr."""
    from fastscnn_opt.cli.main import run

    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as err:
        code = run([*words])
    return code, err.getvalue()


def finding(*words: str) -> str:
    """Run a command; return what is wrong with how it ended, and nothing if it is right."""
    code, said = call(*words)
    if "internal error" in said or "Traceback" in said or code not in (0, 1, 3) or (code and "error:" not in said):
        return f"{words[0]} ended with {code}: {said[-600:]}"
    return ""


def read_back(folder: Path, page: Path) -> list[str]:
    """Return what is wrong when a run is read."""
    calls = (("compare", str(folder)), ("report", str(folder), "-o", str(page)), ("cache", "list", str(folder)))
    return [text for words in calls if (text := finding(*words))]


def figures(folder: Path) -> dict[str, object]:
    """Return the accuracy of every row."""
    from fastscnn_opt.scoring.run_folder import read_run

    return {row.label: row.mIoU for row in read_run(folder).table}


def wrong_artefacts(folder: Path) -> list[str]:
    """Return what a row needs and does not have as it was recorded."""
    from fastscnn_opt.files import content_hash
    from fastscnn_opt.scoring.run_folder import read_run

    run = read_run(folder)
    rows = [record for plan in run.plan if (record := run.last_compiled(plan)) is not None]
    wrong = [row.artefact for row in rows if content_hash(folder / row.artefact) != row.artefact_sha256]
    for plan in run.plan:
        last = run.last(plan.identity)
        maps = last.details.predictions if last and last.details else None
        if last and maps and content_hash(folder / maps) not in ("", last.predictions_sha256):
            wrong.append(maps)
    return [f"{name} is not what its record says" for name in wrong]


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=500)
    parser.add_argument("--damages", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--score-every", type=int, default=10)
    arguments = parser.parse_args()
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        os.environ["FASTSCNN_OPT_CACHE"] = str(place / "cache")
        commands = make_runs(place)
        before = {folder: figures(folder) for folder in commands}
        for kind, first, count in (("edit", arguments.first, arguments.edits), ("damage", 0, arguments.damages)):
            for index in range(first, first + count):
                rng = Random(f"{arguments.seed}/{kind}/{index}")
                folder = rng.choice(sorted(commands))
                copy = place / "copy" / folder.name
                shutil.copytree(folder, copy)
                what = edit(copy, rng) if kind == "edit" else damage(copy, rng)
                again = (*commands[folder], "--run", str(copy))
                found = read_back(copy, place / "page.html")
                if kind == "edit" and index % arguments.score_every == 0 and (text := finding(*again)):
                    found.append(text)
                if kind == "damage":
                    code, words = call(*again)
                    found += [f"{again[0]} ended with {code}: {words[-600:]}"] if code else []
                    found += wrong_artefacts(copy)
                    found += [] if figures(copy) == before[folder] else ["other figures than before"]
                    counts["noted"] += "content has changed" in words
                counts[kind] += 1
                counts["findings"] += bool(found)
                if found:
                    print(f"{kind} {index} of {folder.name}, {what}:\n  " + "\n  ".join(found), flush=True)
                shutil.rmtree(place / "copy")
    print(f"run folders: {json.dumps(counts)}")
    return int(counts["findings"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
