"""The sections of a report as texts and figures for the template: tables, heat map, pictures, details."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.rewriting.options import texts_of
from fastscnn_opt.scoring.pareto import NOTICEABLE
from fastscnn_opt.scoring.pictures.drawing import NO_CLASS
from fastscnn_opt.scoring.records import StepNodes
from fastscnn_opt.scoring.tables.hosts import Place, machines
from fastscnn_opt.scoring.tables.rendering import HOST, STREAMS, Heading, as_asked, stream_cells
from fastscnn_opt.text import counted, joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastscnn_opt.machine import Machine
    from fastscnn_opt.measuring.latency import Throughput
    from fastscnn_opt.report.content import ReportContent, ReportRow
    from fastscnn_opt.report.gallery import Gallery
    from fastscnn_opt.scoring.records import StepSummary
    from fastscnn_opt.scoring.tables.row import TableRow

Section = dict[str, Any]

_MOST_NAMED = 9
"""The heat map names its columns if there are at most this many; otherwise, and on a phone, it numbers them."""

MOST_CONFUSED = 32
"""Classes that the confusion matrix shows at most, so that it can be read."""

COLUMNS = (
    ("no.", True), ("row", False), ("target", False), ("batch", True), ("contract", False), ("pixAcc %", True),
    ("mIoU %", True), ("drop", True), ("ms", True), ("p99 ms", True), ("images/s", True), ("ratio [95 %]", True),
    *STREAMS, HOST, ("size MB", True), ("peak MB", True),
)  # fmt: skip
"""The headings of the table of rows, each with whether its column holds figures; see `table`."""

_NO_FIGURE = ("", "")
"""The text and the sort value of an unknown figure."""

_STRONGEST = 10.0
"""Points of IoU at which a cell of the heat map reaches its full colour."""


def table(content: ReportContent, chosen: Sequence[ReportRow]) -> tuple[list[Heading], list[Section]]:
    """Return the headings and rows of the table, each cell with its text and sort value; `chosen` are recommended."""
    headings, lines = as_asked(COLUMNS, [_cells(entry) for entry in content.entries], _NO_FIGURE)
    return headings, [
        {
            "cells": [{"text": text, "value": value} for text, value in line],
            "marks": _marks(content, entry, chosen),
            "tone": "" if entry.row.status == "ok" else "failed",
            "reason": entry.row.reason,
        }
        for entry, line in zip(content.entries, lines, strict=True)
    ]


def _cells(entry: ReportRow) -> list[tuple[str, str]]:
    row = entry.row
    ratio = ""
    if row.ratio is not None:
        ratio = f"{row.ratio:.2f} [{row.ratio_low:.2f}, {row.ratio_high:.2f}]"
    texts = [(text, text) for text in (row.variant, row.target)]
    figures = [
        *(_accuracy(row, *figure) for figure in ((row.pixAcc, 100), (row.mIoU, 100), (row.mIoU_drop, 1))),
        _figure(row.median_ms, 2), _figure(row.p99_ms, 2), _figure(row.fps, 2),
        (ratio, _figure(row.ratio, 2)[1]), *_streams(row.throughput),
        (row.host or "", row.host or ""), _figure(row.model_bytes, 2, 1e-6),
        _figure(row.peak_rss_bytes, 0, 1e-6),
    ]  # fmt: skip
    contract = (entry.contract, entry.contract)
    return [_figure(entry.number, 0), *texts, _figure(row.batch, 0), contract, *figures]


def _streams(found: Throughput | None) -> list[tuple[str, str]]:
    """Return the cells of `STREAMS`, each with its sort value."""
    if found is None:
        return [_NO_FIGURE] * len(STREAMS)
    values = (len(found.threads), found.fps, found.gain)
    return [(text, repr(float(value))) for text, value in zip(stream_cells(found), values, strict=True)]


def _accuracy(row: TableRow, value: float | None, scale: float) -> tuple[str, str]:
    text, order = _figure(value, 2, scale)
    return text and text + row.mark, order


def _figure(value: float | None, digits: int, scale: float = 1.0) -> tuple[str, str]:
    """Return a figure as text and as its sort value; both are empty if it is not known."""
    # Adding 0.0 turns a negative zero into a positive one, so a figure that rounds to zero has no sign.
    return ("", "") if value is None else (f"{round(value * scale, digits) + 0.0:.{digits}f}", repr(float(value)))


def _marks(content: ReportContent, entry: ReportRow, chosen: Sequence[ReportRow]) -> list[Section]:
    status = entry.row.status
    marks = {
        "recommended": (entry in chosen, "good"),
        "baseline": (entry.is_baseline, ""),
        "front": (entry.number in content.front, ""),
        "beyond the gate": (entry.row.gate == "failed", "bad"),
        status: (status != "ok", "bad"),
    }
    return [{"text": text, "tone": tone} for text, (holds, tone) in marks.items() if holds]


def gate_text(content: ReportContent) -> str:
    """Return a sentence about the accuracy gate of the table."""
    against = f"against the baseline “{content.run.description.baseline}”"
    if content.limit is None:
        return f"Drops are in points of mIoU {against}; no accuracy gate is set (max_drop)."
    beyond = sum(entry.row.gate == "failed" for entry in content.entries)
    return f"Accuracy gate: at most {content.limit:g} points of mIoU {against}; beyond it: {beyond or 'no row'}."


def decode_text(content: ReportContent) -> str:
    """Return what the stage before the preprocessing does for these data."""
    scenes = content.run.description.data.scenes
    return "the image and its label" if scenes is None else "here: drawing the synthetic scene"


def heat(content: ReportContent) -> Section:
    """Return the IoU of each class in the first scored baseline, and the change in points in every other row."""
    scored = [entry for entry in content.entries if entry.iou]
    base = next((entry for entry in content.baselines if entry.iou), None)
    if base is None:
        return {"columns": [], "rows": [], "numbered": False}
    others = [entry for entry in scored if entry is not base]
    losses = {entry.number: content.losses(entry) for entry in others}
    return {
        "columns": others,
        "mark": base.row.mark,
        "numbered": len(others) > _MOST_NAMED,
        "rows": [
            {
                "name": name,
                "base": "absent" if (iou := base.iou.get(name)) is None else f"{100 * iou:.1f}",
                "cells": [_heat_cell(losses[entry.number].get(name)) for entry in others],
            }
            for name in content.classes
        ],
    }


def _heat_cell(loss: float | None) -> Section:
    if loss is None:
        return {"text": "", "tone": "", "share": 0}
    tone = "" if abs(loss) < NOTICEABLE else ("worse" if loss > 0 else "better")
    share = round(min(1.0, abs(loss) / _STRONGEST) ** 0.5 * 85)
    return {"text": f"{-loss:+.1f}" if abs(loss) >= 0.05 else "0", "tone": tone, "share": share}


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Section:
    """Return the confusion matrix for the script: its counts, and the names of its columns, which begin with its rows.

    Of many classes only those are shown that are confused most. The others are added up in a row and a column.
    """
    matrix = np.asarray(counts, dtype=np.int64)
    number = len(matrix)
    names = [*classes, NO_CLASS][: matrix.shape[1]]
    if number > MOST_CONFUSED:
        wrong = matrix.sum(axis=1) + matrix[:, :number].sum(axis=0) - 2 * matrix.diagonal()
        shown = np.sort(np.argsort(-wrong, kind="stable")[:MOST_CONFUSED])
        place = np.full(matrix.shape[1], MOST_CONFUSED)
        place[shown] = range(MOST_CONFUSED)
        place[number:] = MOST_CONFUSED + 1
        names = [*(classes[index] for index in shown), "all others", *names[number:]]
        sums = np.zeros((MOST_CONFUSED + 1, len(names)), dtype=np.int64)
        np.add.at(sums, (place[:number, None], place), matrix)
        matrix = sums
    return {"names": names, "counts": matrix.tolist()}


def picture_rows(content: ReportContent, gallery: Gallery) -> list[Section]:
    """Return the rows whose pictures can be chosen; the one that changes an image most is selected at first."""
    rows = [entry for entry in content.entries if gallery.files.get(entry.number, gallery.baseline) != gallery.baseline]
    changed = {
        entry.number: max((found.views[gallery.files[entry.number]].changed for found in gallery.pictures), default=0.0)
        for entry in rows
    }
    first = max(rows, key=lambda entry: changed[entry.number], default=None)
    return [{"file": gallery.files[entry.number], "entry": entry, "selected": entry is first} for entry in rows]


def picture_views(gallery: Gallery) -> list[dict[str, Section]]:
    """Return the views of each picture for the script, by file of label maps."""
    return [
        {
            name: {
                "prediction": view.prediction,
                "difference": view.difference,
                "text": _view_text(view.changed, view.correct, picture.views[gallery.baseline].correct),
            }
            for name, view in picture.views.items()
        }
        for picture in gallery.pictures
    ]


def _view_text(changed: float, correct: float | None, before: float | None) -> str:
    text = f"{100 * changed:.2f} % of the pixels differ"
    return text if correct is None or before is None else f"{text}; correct: {100 * before:.2f} → {100 * correct:.2f} %"


def verdict(step: StepSummary) -> str:
    """Return the result of a pass in a row: its contract, its deviation, and how many nodes it changed."""
    unchecked = "not judged by numbers" if step.contract is Contract.LOSSY else "not checked"
    verified = {True: "checked and kept", None: unchecked}
    words = [f"{step.contract}: {verified.get(step.verified, 'broken')}"]
    if step.max_abs_diff is not None:
        words.append(f"largest deviation {step.max_abs_diff:.3g}")
    words.append(f"{step.changes} changed, {step.skips} left alone")
    if step.nodes is None and step.changes + step.skips:
        words.append("the release that built it did not record the nodes")
    return f"{'; '.join(words)}."


def node_lists(step: StepSummary) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the nodes that a pass changed, and those that it skipped: a title, and each node with what was done."""
    nodes = step.nodes or StepNodes()
    changed, skipped = (
        [(node.node, node.what) for node in nodes.changes],
        [(node.node, node.why) for node in nodes.skips],
    )
    lists = [("changed", changed, step.changes), ("left alone", skipped, step.skips)]
    return [
        (f"{count} {what}" + (f", the first {len(shown)} are shown" if len(shown) < count else ""), shown)
        for what, shown, count in lists
        if shown
    ]


def facts(entry: ReportRow) -> list[tuple[str, str]]:
    """Return hashes, versions and conditions of the measurements, as far as they are known."""
    record, timing, session = entry.record, entry.timing, entry.session
    compiled = entry.compiled
    accuracy = record.accuracy if record else None
    warm = timing.warm_up if timing else None
    facts = {
        "model": entry.row.model,
        "SHA-256 of the model": record.model_sha256 if record else None,
        "artefact": entry.row.artefact,
        "keys": f"row {record.keys.row[:16]}, accuracy {record.keys.accuracy[:16]}, speed {record.keys.speed[:16]}"
        if record
        else None,
        "target options": _pairs(compiled.options) if compiled else None,
        "target tools": _pairs(compiled.tools) if compiled else None,
        "images": f"{accuracy.images} with {accuracy.pixels} labelled pixels"
        if accuracy and accuracy.pixels is not None
        else None,
        f"mIoU over all {len(entry.iou)}": f"{100 * entry.row.mIoU_all:.2f} %{entry.row.mark}"
        if entry.row.mIoU_all is not None
        else None,
        "scored": f"{record.at}{_on(record.hosts)}, in {record.seconds:.1f} s" if record and record.at else None,
        "timed": f"{session.at}{_on([Place.of(session).text])}, {counted(session.rounds, 'round')}; {session.isolation}"
        if session
        else None,
        "warm-up": f"{counted(warm.runs, 'run')}, {'steady' if warm.steady else 'never steady'}" if warm else None,
        "per card": f"{entry.row.fps_per_card:.2f} images/s" if entry.row.fps_per_card else None,
    }
    return [(name, value) for name, value in facts.items() if value]


def _on(hosts: Sequence[str]) -> str:
    """Return hosts as the end of a phrase; empty if they are not known."""
    return f" on {joined(hosts)}" if any(hosts) else ""


def _pairs(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {'|'.join(texts_of(value))}" for name, value in facts.items())


def run_facts(content: ReportContent) -> list[tuple[str, str]]:
    """Return the machines, the versions, the model and the data of a run."""
    description = content.run.description
    facts = {
        "run folder": str(content.run.folder),
        "started": description.started,
        "model": description.model.file,
        "key of the model": description.model.key,
        "data": description.data.words,
        "key of the data": description.data.key,
        **_machines(content),
        "versions": _pairs({name: value or "not installed" for name, value in description.versions.items()}),
        "variants file": description.variants_file.path,
    }
    return [(name, value) for name, value in facts.items() if value]


def _machines(content: ReportContent) -> dict[str, str]:
    """Return the machine of a run, or that of the command and each host where there were several."""
    machine = content.run.description.machine
    timed = machines(content.run.places.values())
    scored = dict.fromkeys(host for entry in content.entries if entry.record for host in entry.record.hosts)
    hosts = {place.host for place in timed} | scored.keys()
    if len(hosts) < 2:
        known = {"host": joined(list(hosts)), "device": joined([name for place in timed for name in place.devices])}
        return {"machine": _pairs({name: value for name, value in known.items() if value} | _readable(machine))}
    return {
        "machine of the command": _pairs(_readable(machine)),
        "timed on": joined([place.text for place in timed]),
        "accuracy from": joined(list(scored)),
    }


def _readable(machine: Machine) -> dict[str, Any]:
    """Return what is known of a machine, its memory in GB."""
    facts = {name: value for name, value in asdict(machine).items() if value}
    memory = facts.pop("memory_bytes", None)
    return facts | ({"memory": f"{memory / 1e9:.0f} GB"} if memory else {})
