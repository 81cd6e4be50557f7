"""The texts of the variant table."""

from dataclasses import replace

import pytest
from runs import timed_on

from fastscnn_opt.measuring.latency import Throughput
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.scoring.records import StepSummary
from fastscnn_opt.scoring.tables.rendering import FLAT, ONE_RUN, as_asked, cells, contract_of, flat_table


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
        "fast onnxruntime 1 | as is | 90.00 59.40 0.60 (too much) | 50.00 3.00 20.00 2.00 [1.90, 2.10] | - - - - | "
        "2.00 3 | ok "
    )
    line = cells(finished.table[1])
    assert len(line) == len(ONE_RUN)
    assert " ".join(line).strip() == expected.replace("| ", "").strip()


@pytest.fixture
def streamed(finished):
    """The rows of a run, of which one was timed with three requests at once."""
    first, second = finished.table
    return first, replace(second, throughput=Throughput((2, 3, 3), 36.5, 36.0, 37.0, 1.825, 1.8, 1.85))


def test_a_table_has_columns_for_streams_only_if_a_row_was_timed_so(finished, streamed):
    headings, lines = as_asked(ONE_RUN, [cells(row) for row in streamed])
    shown = dict(zip([heading for heading, _ in headings], lines[1], strict=True))
    assert [value for heading, value in shown.items() if heading.startswith("streams")] == [
        "1 x 2 + 2 x 3", "36.50 [36.00, 37.00]", "1.82 [1.80, 1.85]",
    ]  # fmt: skip
    assert lines[0].count("-") == 3
    headings, _ = as_asked(ONE_RUN, [cells(row) for row in finished.table])
    assert not any(heading.startswith("streams") for heading, _ in headings)


@pytest.mark.parametrize(("hosts", "shown"), [(("one", "two"), True), (("one", "one"), False), (("one", ""), False)])
def test_a_table_has_a_column_for_the_host_only_if_there_were_several(finished, hosts, shown):
    run = timed_on(finished, *((host, "a processor", 8) for host in hosts))
    headings, lines = as_asked(ONE_RUN, [cells(row) for row in run.table])
    assert (("host", False) in headings) == shown
    assert not shown or [line[headings.index(("host", False))] for line in lines] == ["one", "two"]


def test_a_spreadsheet_gets_host_and_device(finished):
    keys, lines = flat_table([row.to_json() for row in timed_on(finished, ("one", "A", 8), ("", "", 0)).table])
    assert [line[keys.index("host") : keys.index("device") + 1] for line in lines] == [["one", "A"], ["", ""]]


def test_a_spreadsheet_gets_the_figures_of_streams_behind_the_others(finished, streamed):
    keys, lines = flat_table([row.to_json() for row in streamed])
    figures = dict(zip(keys, lines[1], strict=True))
    assert (figures["streams_fps"], figures["streams_threads"]) == ("36.5", "1 x 2 + 2 x 3")
    assert lines[0][len(FLAT) :] == [""] * 7
    assert flat_table([row.to_json() for row in finished.table])[0] == list(FLAT)


def test_every_figure_of_an_emulated_accuracy_is_marked(finished):
    row = replace(finished.table[1], emulated=True, fps=None)
    assert cells(row)[4:7] == ["90.00 emulated", "59.40 emulated", "0.60 emulated (too much)"]
    keys, (line,) = flat_table([row.to_json()])
    assert line[keys.index("emulated")] == "True"


def test_an_emulated_row_that_was_not_scored_has_nothing_to_mark(finished):
    row = replace(finished.table[1], emulated=None, pixAcc=None, mIoU=None, mIoU_drop=None, gate=None)
    assert cells(row)[4:7] == ["-", "-", "-"]
