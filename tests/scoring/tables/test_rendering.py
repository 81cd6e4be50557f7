"""The texts of the variant table."""

import pytest

from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.scoring.records import StepSummary
from fastscnn_opt.scoring.tables.rendering import ONE_RUN, cells, contract_of


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([], "as is"),
        ([("exact", True), ("exact", True)], "exact ✓"),
        ([("exact", True), ("exact", None)], "exact"),
        ([("lossy", None), ("exact", True)], "exact ✓, lossy"),
        ([("rounding", True), ("exact", None)], "exact, rounding ✓"),
    ],
)
def test_contracts_are_named_in_short(steps, words):
    found = [
        StepSummary(name="p", contract=Contract(contract), changes=1, skips=0, verified=verified)
        for contract, verified in steps
    ]
    assert contract_of(found) == words


def test_a_line_of_the_table(finished):
    expected = (
        "fast onnxruntime 1 | as is | 90.00 59.40 0.60 (too much) | 50.00 3.00 20.00 2.00 [1.90, 2.10] | 2.00 3 | ok "
    )
    line = cells(finished.table[1])
    assert len(line) == len(ONE_RUN)
    assert " ".join(line).strip() == expected.replace("| ", "").strip()
