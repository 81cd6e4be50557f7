"""Every command and Python block of the README and the guides is run, in the order of the page, on a small network.

Blocks of the kind `hardware` need a vendor's tool, a card or several machines, and the test of the plug-ins runs those
of the kind `plugin`. Every other block that is not plain text is run, or it is an error.
"""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import parse
from PIL import Image

from fastscnn_opt.cli.main import run
from fastscnn_opt.demo.scene_files import write_cityscapes
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.network.layout import expected_entries
from fastscnn_opt.network.layouts import SEGMENTRON
from fastscnn_opt.scoring.run_folder import read_run
from fastscnn_opt.scoring.variants import parse_variants

pytestmark = pytest.mark.usefixtures("brief_timing")

HEIGHT, WIDTH = 192, 384
SMALL = ["--height", str(HEIGHT), "--width", str(WIDTH)]
PAGES = (
    "README.md",
    "docs/index.md",
    "docs/variant-table.md",
    "docs/report.md",
    "docs/own-data.md",
    "docs/your-network.md",
    "docs/packages.md",
    "docs/from-python.md",
    "docs/gates.md",
    "docs/engines.md",
    "docs/ascend.md",
    "docs/cluster.md",
    "benchmarks/README.md",
)
KINDS = {
    "sh", "sh hardware", "sh plugin", "text", "toml", "toml data", "toml variants", "toml cluster", "toml patch",
    "toml plugin", "python", "python hardware", "python plugin", "yaml workflow",
}  # fmt: skip
ELSEWHERE = {
    "bench": "tests/cli/verbs/scoring/test_bench.py",
    "bisect": "tests/cli/verbs/scoring/test_bisect.py",
    "demo": "tests/cli/verbs/setup/test_demo.py",
    "search": "tests/cli/verbs/scoring/test_search.py",
}
"""Verbs that take long even in small, and the tests that run them; here their options are checked alone."""

PERF_VISION = """\
[e2e] throughputRate: 170.628, latency: 293035
[data read] throughputRate: 181.571, moduleLatency: 5.50749
[preprocess] throughputRate: 180.466, moduleLatency: 5.5412
[infer] throughputRate: 171.595, Interface throughputRate: 247.898, moduleLatency: 5.12562
[post] throughputRate: 171.595, moduleLatency: 5.82768
"""
OP_SUMMARY = """\
Model ID,Task ID,Stream ID,Op Name,OP Type,Task Type,Task Start Time,Task Duration(us),Task Wait Time(us),Block Dim,\
Input Shapes,Input Data Types,Input Formats,Output Shapes,Output Data Types,Output Formats
1,0,7,trans,TransData,AI_CORE,5.42E+14,272430.0,0,2,"1,2,64,128,16",DT_FLOAT,NC1HWC0,"1,19,64,128",DT_FLOAT,NCHW
"""


def blocks(text):
    """Return the kind and the content of every fenced block, in order."""
    return re.findall(r"^```([^\n]+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def small_network():
    """A network of the form of the bundled one: logits of 19 classes from a convolution, made small and large again."""
    weights = np.random.default_rng(5).standard_normal((19, 3, 1, 1)).astype(np.float32)
    model = parse(f"""
        small (float[1,3,{HEIGHT},{WIDTH}] image) => (float[1,19,{HEIGHT},{WIDTH}] output1)
        <float[4] half = {{1, 1, 0.5, 0.5}}, float[4] twice = {{1, 1, 2, 2}}>
        {{
            [conv] a = Conv(image, w)
            [shrink] s = Resize<mode="linear", coordinate_transformation_mode="align_corners">(a, , half)
            [enlarge] output1 = Resize<mode="linear", coordinate_transformation_mode="align_corners">(s, , twice)
        }}
    """)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    return model


def with_open_sizes(model):
    """Return a copy of a model whose batch, height and width are open."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    for value in (*opened.graph.input, *opened.graph.output):
        for place, name in ((0, "batch"), (2, "height"), (3, "width")):
            value.type.tensor_type.shape.dim[place].dim_param = name
    return opened


@pytest.fixture(scope="module")
def prepared(small_network, tmp_path_factory):
    """What the pages take for granted: a model, a checkpoint, images, what tools of a card left, and a scored run."""
    torch = pytest.importorskip("torch", reason="checkpoints need torch")
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "result").mkdir()
    for name in ("fast_scnn.onnx", "model.onnx"):
        save_model(small_network, folder / name)
    save_model(with_open_sizes(small_network), folder / "open.onnx")
    entries = expected_entries(SEGMENTRON, 19, SEGMENTRON.heads)
    checkpoint = {key: torch.from_numpy(weights(key, shape)) for key, shape in entries.items()}
    torch.save(checkpoint, folder / "best_model.pth")
    make_fields(folder)
    write_cityscapes(folder / "datasets" / "cityscapes", "val", range(2), height=HEIGHT, width=WIDTH)
    (folder / "result" / "perf_vision_batchsize_1_device_0.txt").write_text(PERF_VISION)
    (folder / "op_summary_0_1_1.csv").write_text(OP_SUMMARY)
    (folder / "two.toml").write_text(
        '[model]\npath = "model.onnx"\n[data]\nsynthetic = 1\n[[variant]]\nname = "labels"\n'
    )
    assert run(["score", str(folder / "two.toml"), "--run", str(folder / "scored"), "--rounds", "5"]) == 0
    return folder


@pytest.fixture
def workspace(prepared, small_network, tmp_path, monkeypatch):
    """A copy of what is prepared, as the current folder."""
    monkeypatch.setattr("fastscnn_opt.demo.network.demo_model", lambda: small_network)
    monkeypatch.setattr("shellingham.detect_shell", lambda *_: ("bash", "bash"))  # tests may run without a shell
    monkeypatch.chdir(shutil.copytree(prepared, tmp_path / "work"))
    return tmp_path / "work"


def make_fields(folder):
    """Write photographs of brown, green and red patches with their masks, and a network that tells the three apart."""
    colours = np.array([(120, 80, 40), (60, 180, 75), (230, 25, 75)], np.uint8)
    for split, seed in (("train", 0), ("val", 1)):
        rng = np.random.default_rng(seed)
        for kind in ("photos", "masks"):
            (folder / "datasets" / "fields" / kind / split).mkdir(parents=True)
        for index in range(2):
            mask = rng.permutation(3).astype(np.uint8).repeat(60)[None].repeat(120, axis=0)
            noisy = colours[mask].astype(int) + rng.integers(-20, 21, (*mask.shape, 3))
            photo = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
            photo.save(folder / "datasets" / "fields" / "photos" / split / f"{index}.jpg")
            Image.fromarray(mask).save(folder / "datasets" / "fields" / "masks" / split / f"{index}.png")
    centres = colours / 127.5 - 1
    # The nearest colour has the largest product with the pixel, less half the square of its own length.
    model = parse(
        """
        crop (float[1,3,96,128] image) => (float[1,3,48,64] logits) {
            small = AveragePool<kernel_shape=[2,2], strides=[2,2]>(image)
            logits = Conv(small, w, b)
        }
        """,
        w=centres.astype(np.float32).reshape(3, 3, 1, 1),
        b=-(centres**2).sum(axis=1).astype(np.float32) / 2,
    )
    save_model(model, folder / "crop.onnx")


def weights(key, shape):
    """Return weights that keep activations near one, and batch normalisation that changes nothing."""
    if key.endswith("num_batches_tracked"):
        return np.array(1)
    if len(shape) == 4:
        return np.random.default_rng(7).normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
    return np.full(shape, 1 if key.endswith(("weight", "running_var")) else 0, np.float32)


def write_dumps(folder, prepared):
    """Write what the benchmark tool leaves of a network that is always right, as float16 logits."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (prepared / "gtFine").iterdir():
        labels = np.fromfile(path, "<f4").clip(0).astype(int)
        logits = np.eye(19, dtype=np.float16)[labels].T
        logits.tofile(folder / path.name.replace("_gtFine_labelIds.bin", "_leftImg8bit_1.bin"))


def prepare_for(words, folder):
    """Provide what a command reads and no command of the page before it made."""
    if "--dumps" in words:
        write_dumps(folder / words[words.index("--dumps") + 1], folder / "prep")
    for word in words[1:] if words[0] in ("compare", "package") else []:
        place = folder / word.partition(":")[0]
        if word.startswith("runs/") and not place.exists() and place != scored(folder):
            shutil.copytree(scored(folder), place)


def scored(folder):
    """Return the run folder that the page made; without one, a copy of the prepared one."""
    if not (folder / "runs" / "first").exists():
        shutil.copytree(folder / "scored", folder / "runs" / "first")
    return folder / "runs" / "first"


def in_small(words):
    """Return a command with the options that make it quick."""
    verb = words[0]
    if (verb == "export" and "--demo" not in words) or (verb == "prepare" and "--synthetic" in words):
        return [*words, *SMALL]
    if verb == "scenes":
        return [*words, *SMALL]
    return [*words, "--rounds", "5"] if verb == "score" else words


def small_variants(content, text):
    """Return a variants file that is scored quickly: one batch size, a checkpoint in small, and few variants.

    They are the first one, and those that commands of the page name, or the second one.
    """
    content = re.sub(r"^batch = .*", "batch = [1]", content, flags=re.MULTILINE)
    size = rf"\1\nheight = {HEIGHT}\nwidth = {WIDTH}"
    content = re.sub(r"^(checkpoint = .*)", size, content, flags=re.MULTILINE)
    head, *variants = content.split("[[variant]]")
    asked_for = set(re.findall(r"--variant (\w+)", text))
    named = [variant for variant in variants[1:] if re.search(r'name = "(.*)"', variant)[1] in asked_for]
    return "[[variant]]".join([head, *variants[:1], *(named or variants[1:2])])


def matching(word):
    """Return the files that a word stands for, as a shell does; the word itself where there is none."""
    return sorted(str(path) for path in Path().glob(word)) if "*" in word and "/" in word else [word]


def run_line(line, folder, page, assert_command_is_valid):
    words = [name for word in shlex.split(line, comments=True) for name in matching(word)]
    if not words:
        return
    if words[0] != "fastscnn-opt":
        check_other(words, page)
        return
    words = words[1:]
    if words[0] in ELSEWHERE:
        assert_command_is_valid(words)
        assert (page.ROOT / ELSEWHERE[words[0]]).is_file()
        return
    prepare_for(words, folder)
    code = run(in_small(words))
    assert code in ((0, 3) if words[0] in ("lint", "score") else (0,)), f"{line} ended with {code}"
    if code == 3 and words[0] == "score":  # random weights may lose more than a page allows
        assert {row.status for row in read_run(folder / words[-1]).table} <= {"ok", "unavailable"}


def check_workflow(content, assert_command_is_valid):
    """Check the options of the commands of a workflow; the tests of their verbs run them."""
    yaml = pytest.importorskip("yaml", reason="the workflow is YAML, which comes with mkdocs")
    (job,) = yaml.safe_load(content)["jobs"].values()
    commands = [step["run"].partition(">>")[0] for step in job["steps"] if "run" in step]
    ours = [shlex.split(command)[1:] for command in commands if command.startswith("fastscnn-opt ")]
    assert [words[0] for words in ours] == ["apply", "apply", "eval", "compare"]
    for words in ours:
        assert_command_is_valid(words)


def check_other(words, page):
    """Check a command of another tool: setting up, which was done before these tests, or a script that takes long."""
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (page.ROOT / "Makefile").read_text(), re.MULTILINE)
    elif words[:2] == ["pip", "install"]:
        extra = re.fullmatch(r"\.(?:\[(\w+)\])?", words[2])
        assert extra
        if extra[1]:
            assert f"\n{extra[1]} = [" in (page.ROOT / "pyproject.toml").read_text()
    else:
        assert words[0] == "python", f"nobody checks {' '.join(words)}"
        assert (page.ROOT / words[1]).is_file()


def make_own_dataset(root):
    """Write one photograph with a mask of three classes, in the folders that the page describes."""
    rng = np.random.default_rng(0)
    for folder, name, pixels in (
        ("images", "street.jpg", rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)),
        ("labels", "street.png", rng.integers(0, 3, (40, 60), dtype=np.uint8)),
    ):
        (root / folder / "val").mkdir(parents=True)
        Image.fromarray(pixels).save(root / folder / "val" / name)


def test_the_cluster_table_of_the_guide_is_valid(page):
    (content,) = [content for kind, content in blocks(page("docs/cluster.md").text) if kind == "toml cluster"]
    assert parse_variants(f'[[variant]]\nname = "base"\n{content}', "guide").cluster.address == "auto"


def test_every_block_of_every_page_is_of_a_kind_that_is_checked(page):
    paths = [*PAGES, *(f"docs/{path.name}" for path in (page.ROOT / "docs").glob("*.md"))]
    assert {kind for path in paths for kind, _ in blocks(page(path).text)} <= KINDS
    unlisted = [path for path in paths if path not in PAGES and not path.startswith("docs/writing-a-")]
    assert [path for path in unlisted if blocks(page(path).text)] == []


@pytest.mark.parametrize("path", PAGES)
def test_what_a_page_shows_works(path, page, workspace, assert_command_is_valid):
    for kind, content in blocks(page(path).text):
        if kind == "sh":
            for line in content.splitlines():
                run_line(line, workspace, page, assert_command_is_valid)
        elif kind == "yaml workflow":
            check_workflow(content, assert_command_is_valid)
        elif kind == "python":
            if "runs/first" in content:
                scored(workspace)
            exec(compile(content, path, "exec"), {"__name__": path})
        elif kind == "toml data" and "datasets/own" in content:
            (workspace / "own.toml").write_text(content)
            make_own_dataset(workspace / "datasets" / "own")
        elif kind == "toml" and (named := re.match(r"# (\S+\.toml)\n", content)):
            (workspace / named[1]).write_text(content)
        elif kind in ("toml", "toml variants"):
            (workspace / "variants.toml").write_text(small_variants(content, page(path).text))
