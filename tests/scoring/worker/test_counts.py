"""The counts of parts of the images, added."""

from dataclasses import replace

import pytest

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import DataError
from fastscnn_opt.model.metadata import read_metadata
from fastscnn_opt.scoring.worker.client import Worker
from fastscnn_opt.scoring.worker.commands import Count, Evaluate, Open
from fastscnn_opt.scoring.worker.counts import Counts, evaluation_of
from fastscnn_opt.targets.spec import TargetSpec

ORT = TargetSpec("onnxruntime", {"threads": 1})


def test_the_parts_together_have_the_accuracy_of_the_whole(lowered):
    source, metadata = DataSource(synthetic=5), read_metadata(lowered)
    with Worker("row", ORT) as worker:
        worker.run(Open(ORT, lowered))
        whole = worker.run(Evaluate(source, metadata))
        parts = [worker.run(Count(part, metadata)) for part in source.parts(2)]
    added = evaluation_of(parts)
    assert added.accuracy == whole.accuracy
    assert replace(added.details, stages_ms={}) == replace(whole.details, stages_ms={})


def test_a_part_may_hold_no_label_but_not_all_of_them():
    def counts(pixels: int) -> Counts:
        return Counts(("road",), 1, [[pixels, 0]], 8 - pixels, [False], {"infer": [1.0]}, (), False, 1)

    assert evaluation_of([counts(0), counts(5)]).accuracy.pixels == 5
    with pytest.raises(DataError, match="no labelled pixel in 2 images"):
        evaluation_of([counts(0), counts(0)])
