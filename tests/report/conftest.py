"""Run folders made up for the purpose: every figure is chosen, nothing is run."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from cityscapes import CLASSES

from fastscnn_opt.data.synthetic import scene_name
from fastscnn_opt.demo.scenes import render_scene
from fastscnn_opt.measuring.latency import WarmUp
from fastscnn_opt.report.content import ReportContent, gather
from fastscnn_opt.scoring.description import RunDescription
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.pictures.predictions import save_predictions
from fastscnn_opt.scoring.records import (
    AccuracyDetails,
    AccuracyFigures,
    Keys,
    RowPlan,
    RowRecord,
    RowTiming,
    SessionRecord,
    Status,
    StepSummary,
    adapter,
)
from fastscnn_opt.scoring.run_folder import open_run, read_run

SIZE = (32, 64)
STAGES = {"decode": 8.0, "preprocess": 2.0, "infer": 30.0, "post": 5.0}


def step(name: str, contract: str = "exact", *, text: str | None = None) -> dict:
    """A step that changed one node and left one alone, as the files of a run have it."""
    nodes = {"changes": [{"node": "head", "what": f"{name} did it"}], "skips": [{"node": "body", "why": "not linear"}]}
    verified = None if contract == "lossy" else True
    known = {"pass": name, "text": text or name, "contract": contract, "changes": 1, "skips": 1, "seconds": 0.1}
    return known | {"verified": verified, "max_abs_diff": 1e-6, "nodes": nodes}


class RunBuilder:
    """Writes a run folder, row by row."""

    def __init__(self, folder: Path, **about) -> None:
        self.folder = folder
        self.about = {
            "started": "2030-01-01T00:00:00+00:00",
            "machine": {"cpu": "a processor", "cores": 2, "memory_bytes": 8_000_000_000},
            "versions": {"onnx": "1.0", "onnxsim": None},
            "variants_file": {"path": "/models/variants.toml", "sha256": "0", "text": "[model]\npath = 'net.onnx'\n"},
            "model": {"file": "/models/net.onnx", "key": "m"},
            "data": {"is": "2 synthetic scenes", "key": "d", "source": {"synthetic": 2}},
            "baseline": "base",
            "max_drop": None,
        } | about
        self.plans, self.records, self.timings = [], [], []

    def row(
        self, variant, miou=None, fps=None, *, passes="", steps=(), target="onnxruntime", batch=1, iou=None,
        status=Status.OK, reason="", maps=None, old=False, host=7.0,
        names=None, count=19, emulated=False,
    ):  # fmt: skip
        """Add a row; `iou` is by class, 0.5 for all by default, `maps` are label maps to be kept, of images `names`.

        `host` is what the host needs for an image, in ms; the stages add up to it.
        """
        plan = RowPlan(variant, passes, (), target, batch)
        self.plans.append(plan)
        key = f"{variant} {target} {batch}"
        accuracy = details = None
        if miou is not None:
            classes = dict.fromkeys(CLASSES, 0.5) | (iou or {})
            accuracy = AccuracyFigures(miou + 0.1, miou, miou, classes, pixels=9, images=2, emulated=emulated)
            stages = STAGES | {"preprocess": 2.0, "post": host - 2.0}
            file = None if maps is None else self.keep(f"{len(self.plans)}.zip", maps, names, count)
            details = AccuracyDetails(np.eye(19, dtype=int).tolist(), stages, file)
        self.records.append(
            RowRecord(
                **asdict(plan), source="m", data=self.about["data"]["key"],
                keys=Keys("r" * 64, "a" * 64, key), status=Status(status), reason=reason,
                steps=tuple(adapter(StepSummary).validate_python({"skips": 0} | known) for known in steps),
                model="models/x.onnx", artefact="models/x.onnx", model_sha256="5" * 64, model_bytes=4_000_000,
                peak_rss_bytes=90_000_000, accuracy=accuracy, details=None if old else details, at="2030-01-01",
            )
        )  # fmt: skip
        if fps is not None:
            self.timings.append((plan, key, fps))
        return self

    def keep(self, name, maps, names, classes):
        """Keep label maps as an evaluation does."""
        file = self.folder / "predictions" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        (self.folder / "run.json").touch()
        names = names or [scene_name(index) for index in range(len(maps))]
        with save_predictions(file, names, classes) as save:
            for labels in maps:
                save(labels)
        return f"predictions/{name}"

    def _timing(self, plan, key, fps):
        base = self.timings[0][2]
        ms = 1000 * plan.batch / fps
        samples = [[ms * factor] for factor in (0.9, 1.0, 1.0, 1.0, 1.2)]
        warm_up = WarmUp(9, 1.0, steady=True, latency_ms=ms)
        return RowTiming(
            plan.variant, plan.target, plan.batch, key, Status.OK, "", ms, 1.1 * ms, 1.2 * ms, fps,
            fps / base, 0.98 * fps / base, 1.02 * fps / base, None, warm_up, samples,
        )  # fmt: skip

    def write(self) -> Path:
        """Write everything and return the folder."""
        (self.folder / "run.json").unlink(missing_ok=True)
        described = adapter(RunDescription).validate_json(
            json.dumps(self.about | {"rows": [asdict(plan) for plan in self.plans]})
        )
        with open_run(self.folder, described) as run:
            for record in self.records:
                run.append_row(record)
            if self.timings:
                rows = [self._timing(*timing) for timing in self.timings]
                run.append_session(SessionRecord("2030-01-02", Effort(rounds=5), "alone", 12, "k", rows))
        return self.folder

    def content(self, **options) -> ReportContent:
        """Write everything and return what the report shows of it."""
        return gather(read_run(self.write()), **options)


def scenes(count=2, size=SIZE):
    """Label maps of the scenes that the data of a made-up run are, with no pixel ignored."""
    labels = [render_scene(seed, height=size[0], width=size[1])[1] for seed in range(count)]
    return [np.where(label == 255, 0, label) for label in labels]


def disturbed(maps, *shares):
    """Turn a share of the pixels of each map, from its top, into the next class."""
    result = []
    for labels, share in zip(maps, shares, strict=True):
        changed = labels.copy()
        rows = round(share * len(labels))
        changed[:rows] = (changed[:rows] + 1) % 19
        result.append(changed)
    return result


@pytest.fixture
def build(tmp_path):
    """Start a run folder: ``build()`` or ``build("name", max_drop=0.5)``."""
    return lambda name="run", **about: RunBuilder(tmp_path / name, **about)


def typical_run(folder: Path) -> RunBuilder:
    maps = scenes()
    exact, lossy = step("tidy"), step("coarsen", "lossy", text="coarsen{only=head}")
    builder = RunBuilder(folder, max_drop=1.0)
    builder.row("base", 0.60, 10, maps=maps)
    builder.row("tidy", 0.60, 15, passes="tidy", steps=[exact], maps=maps, iou={"pole": 0.499})
    builder.row(
        "coarse", 0.55, 20, passes="tidy,coarsen{only=head}", steps=[exact, lossy], iou={"pole": 0.4},
        maps=disturbed(maps, 0.25, 0.5),
    )  # fmt: skip
    return builder.row("broken", status=Status.CRASHED, reason="the process ended")


@pytest.fixture
def typical(tmp_path) -> RunBuilder:
    """A baseline, two passes of which the second costs accuracy, and a row that failed."""
    return typical_run(tmp_path / "typical")


@pytest.fixture(scope="session")
def typical_page(tmp_path_factory) -> str:
    """The page of the typical run."""
    from fastscnn_opt.report.page import render

    return render(typical_run(tmp_path_factory.mktemp("typical") / "run").content())
