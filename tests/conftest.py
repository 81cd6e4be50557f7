"""Fixtures that many tests share, and how property tests choose their examples."""

import logging
import os
import re
import resource
import shlex
import signal
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import typer
from graphs import parse, segmenter
from hypothesis import HealthCheck, settings
from PIL import Image

REPOSITORY = Path(__file__).parent.parent
collect_ignore = ["plugin_example", "target_example"]
"""Tests of another package, which run once it is installed."""

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
"""Threads of torch that wait spin by default, which makes each step many times slower where tests run side by side."""

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
"""A second thread of numpy spins while it waits, in each of the hundreds of processes that the tests start."""

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
"""Tests import onnxruntime before the package, which turns its telemetry off."""

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
"""Each of the hundreds of processes that the tests start would compile the whole package anew."""

os.environ.pop("GITHUB_ACTIONS", None)
"""There, errors are printed as annotations, too."""

settings.register_profile(
    "fixed", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "random",
    max_examples=1000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
"""The same examples in every run by default; `make fuzz` tries others each time, and more of them."""

SHARED_DATA = REPOSITORY.parent / "shared" / "data"


@pytest.fixture
def files_of_at_most():
    """A block in which no file can grow beyond a number of bytes, as on a disk without room."""

    @contextmanager
    def limit(most_bytes):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


def pytest_configure() -> None:
    """Let Ctrl-C interrupt again: a shell that starts the tests in the background has it ignored, children included."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _keep_to_one_core(os.environ.get("PYTEST_XDIST_WORKER", ""))


def _keep_to_one_core(worker: str) -> None:
    """Give each of the processes that run tests side by side its own core, so that no engine waits for another's."""
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


@pytest.fixture(autouse=True)
def temporary_files(tmp_path, monkeypatch) -> None:
    """Keep what the code under test leaves in the temporary folder and in the cache in the test's own folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("FASTSCNN_OPT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real weights and images, which only some machines have."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real weights and images are not on this machine")
    return SHARED_DATA


@pytest.fixture(scope="module")
def brief_timing():
    """Time a model once in each turn and hardly warm it up, where a test asks what is made of the times."""
    from fastscnn_opt.scoring.stages import timing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "iterations_per_turn", lambda _: 1)
        patch.setattr(timing, "WarmUpRuns", partial(timing.WarmUpRuns, cap_s=0.01))
        yield


@pytest.fixture
def plug_in(tmp_path, monkeypatch) -> Callable[..., None]:
    """Install the module `name` with this code, for child processes too: ``plug_in("odd", CODE, passes=["Odd"])``.

    What it offers is called as its classes, in small letters.
    """

    def install(name: str, code: str, **offers: list[str]) -> None:
        place = tmp_path / "plugins"
        info = place / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (place / f"{name}_plugin.py").write_text(textwrap.dedent(code))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = []
        for group, classes in offers.items():
            lines += [f"[fastscnn_opt.{group}]", *(f"{kind.lower()} = {name}_plugin:{kind}" for kind in classes)]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(str(place))
        monkeypatch.setenv("PYTHONPATH", str(place), prepend=os.pathsep)

    return install


class Page:
    """A page of the documentation, by its path in the repository."""

    ROOT = REPOSITORY

    def __init__(self, path: str) -> None:
        self.text = (REPOSITORY / path).read_text("utf-8")

    def blocks(self, info: str) -> list[str]:
        """Return the fenced blocks whose fence is followed by exactly `info`."""
        return re.findall(rf"^```{info}\n(.*?)^```$", self.text, re.DOTALL | re.MULTILINE)

    def commands(self, info: str) -> list[list[str]]:
        """Return the words after `fastscnn-opt` of every line in these blocks that starts with it."""
        lines = [line for block in self.blocks(info) for line in block.splitlines()]
        return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("fastscnn-opt ")]


def parse_command(words: list[str]) -> dict[str, object]:
    """Parse the words of a command as the tool does, without running it, and return the values of its parameters."""
    from fastscnn_opt.cli.main import VERBS, build

    verb, *rest = words
    assert verb in VERBS, f"there is no verb {verb!r}"
    command = typer.main.get_command(build(verb)).commands[verb]
    if subverbs := getattr(command, "commands", None):
        assert rest[0] in subverbs, f"{verb} has no verb {rest[0]!r}"
        command = subverbs[rest.pop(0)]
    return command.make_context(verb, rest).params


@pytest.fixture
def page() -> type[Page]:
    """Open a page of the documentation: ``page("README.md")``."""
    return Page


@pytest.fixture
def assert_command_is_valid():
    """Check a command of the documentation: verbs, options, values, and the pipeline it names, if any."""
    from fastscnn_opt.rewriting.registry import build_pipeline

    def check(words: list[str]) -> None:
        values = parse_command(words)
        if words[0] == "apply":
            build_pipeline(values["passes"])

    return check


@pytest.fixture
def tiny_model() -> onnx.ModelProto:
    """A segmentation network in small: a 1x1 convolution on an image 1x3x16x32, then two bilinear Resize nodes."""
    return parse("""
        tiny (float[1,3,16,32] image) => (float[1,3,16,32] output1)
        <float[3,3,1,1] w = {1, 0.5, 0, 0, 1, -0.25, 0.125, 0, 1},
         float[4] half = {1, 1, 0.5, 0.5}, float[4] twice = {1, 1, 2, 2}>
        {
            [conv] a = Conv(image, w)
            [relu] r = Relu(a)
            [shrink] s = Resize<mode="linear", coordinate_transformation_mode="align_corners">(r, , half)
            [enlarge] output1 = Resize<mode="linear", coordinate_transformation_mode="align_corners">(s, , twice)
        }
    """)


@pytest.fixture(scope="session")
def torch_export() -> Callable[..., onnx.ModelProto]:
    """Export a module for an input of a shape with PyTorch's default exporter; options are those of `onnx.export`."""
    import torch
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    # It lists what it can export, half a second's work, anew for each module; the exporter does not change the list.
    ONNXRegistry.from_torchlib = staticmethod(cache(ONNXRegistry.from_torchlib))

    def export(module: torch.nn.Module, shape: tuple[int, ...], **options: object) -> onnx.ModelProto:
        logging.disable(logging.WARNING)  # it tells which optional packages it would know, too
        try:
            with warnings.catch_warnings(action="ignore"):
                program = torch.onnx.export(module.eval(), (torch.zeros(shape),), verbose=False, **options)
        finally:
            logging.disable(logging.NOTSET)
        return program.model_proto

    return export


@pytest.fixture
def network() -> onnx.ModelProto:
    """A small network with everything that the demo variants change; see `graphs.segmenter`."""
    return segmenter()


Add = Callable[..., tuple[Path, Path]]


@pytest.fixture
def add_pair(tmp_path) -> Add:
    """Return a function that adds one pair to the tree at `tmp_path` and returns its two files."""

    def add(
        stem: str = "ulm_000000_000019", *, split: str = "val", size: tuple[int, int] = (16, 32), ids: str = "labelIds"
    ) -> tuple[Path, Path]:
        city = stem.partition("_")[0]
        image = tmp_path / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png"
        label = tmp_path / "gtFine" / split / city / f"{stem}_gtFine_{ids}.png"
        rng = np.random.default_rng(len(stem))
        for file, pixels in (
            (image, rng.integers(0, 256, (*size, 3), dtype=np.uint8)),
            (label, rng.integers(0, 19, size, dtype=np.uint8)),
        ):
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
        return image, label

    return add
