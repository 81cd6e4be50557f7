"""How long a user waits for a command that does nothing much: ours, and those of similar tools.

    python benchmarks/cold_start.py [--rounds 10]

Every command is a process of its own, run in turns. The tools are looked for beside this Python and on the PATH; one
that is not installed is named and left out. Each must succeed and print something.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from side_by_side import print_machine, print_turns, take_turns

OURS = [["fastscnn-opt", "--help"], ["fastscnn-opt", "--version"], ["fastscnn-opt", "passes"]]
THEIRS = [
    ["onnxsim", "--help"], ["onnxslim", "--help"], ["onnxoptimizer", "--help"], ["polygraphy", "--help"],
    ["onnxslim", "--version"], ["polygraphy", "--version"],
]  # fmt: skip


def find(tool: str) -> str | None:
    """Return the path of a command, first of those beside this Python."""
    return shutil.which(tool, path=str(Path(sys.executable).parent)) or shutil.which(tool)


def start(line: list[str]) -> None:
    """Run a command; raise SystemExit if it fails or says nothing."""
    done = subprocess.run(line, capture_output=True, check=False)
    if done.returncode or not done.stdout + done.stderr:
        raise SystemExit(
            f"{' '.join(line)} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}"
        )


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    found = {tool: find(tool) for tool in dict.fromkeys(line[0] for line in (*OURS, *THEIRS))}
    for tool, path in found.items():
        if path is None:
            print(f"{tool} is not installed, so it is left out")
    print_machine("fastscnn-opt", "onnxsim", "onnxslim", "onnxoptimizer", "polygraphy")
    runs = {
        " ".join(line): partial(start, [path, *line[1:]])
        for line in (*OURS, *THEIRS)
        if (path := found[line[0]]) is not None
    }
    print_turns("command", take_turns(runs, given.rounds))


if __name__ == "__main__":
    main()
