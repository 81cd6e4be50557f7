"""The sections of a report that need figures of their own."""

from dataclasses import replace

import numpy as np
from runs import timed_on

from fastscnn_opt.measuring.latency import Throughput
from fastscnn_opt.report.content import gather
from fastscnn_opt.report.sections import COLUMNS, MOST_CONFUSED, confusion, facts, run_facts, table
from fastscnn_opt.scoring.tables.rendering import HOST


def test_few_classes_are_all_shown():
    assert confusion([[3, 1], [0, 2]], ["a", "b"]) == {"names": ["a", "b"], "counts": [[3, 1], [0, 2]]}
    more = confusion([[3, 1, 4], [0, 2, 0]], ["a", "b"])
    assert more == {"names": ["a", "b", "no class of the data"], "counts": [[3, 1, 4], [0, 2, 0]]}


def test_of_many_classes_those_that_are_confused_most_are_shown():
    rng = np.random.default_rng(0)
    number = 150
    counts = np.diag(rng.integers(100, 1000, number))
    counts = np.hstack([counts, np.zeros((number, 1), int)])
    confused = np.sort(rng.choice(number, MOST_CONFUSED, replace=False))
    for first, second in zip(confused, np.roll(confused, 1), strict=True):
        counts[first, second] += rng.integers(50, 100)
    calm = np.setdiff1d(np.arange(number), confused)
    counts[calm[0], calm[1]] = 3
    counts[confused[0], calm[2]] = 5
    counts[confused[1], number] = 6
    found = confusion(counts.tolist(), [f"class {index}" for index in range(number)])
    assert found["names"] == [*(f"class {index}" for index in confused), "all others", "no class of the data"]
    shown = np.array(found["counts"])
    np.testing.assert_array_equal(shown[:-1, :MOST_CONFUSED], counts[np.ix_(confused, confused)])
    assert shown[0, MOST_CONFUSED] == 5
    assert shown[1, MOST_CONFUSED + 1] == 6
    assert shown[MOST_CONFUSED, MOST_CONFUSED] == counts[calm].sum()
    np.testing.assert_array_equal(shown[:-1].sum(axis=1), counts[confused].sum(axis=1))


def test_the_table_has_columns_for_streams_only_if_a_row_was_timed_so(build):
    content = build().row("base", 0.6, 10).row("fast", 0.6, 20).content()
    headings, rows = table(content, [])
    assert len(rows[0]["cells"]) == len(headings) == len(COLUMNS) - 4
    entry = content.entries[1]
    many = replace(entry.row, throughput=Throughput((1, 1), 36.5, 36.0, 37.0, 1.8, 1.7, 1.9))
    content = replace(content, entries=[content.entries[0], replace(entry, row=many)])
    headings, rows = table(content, [])
    assert headings == [heading for heading in COLUMNS if heading != HOST]
    texts = [cell["text"] for cell in rows[1]["cells"]]
    assert texts[12:15] == ["2 x 1", "36.50 [36.00, 37.00]", "1.80 [1.70, 1.90]"]


def test_figures_of_an_emulated_accuracy_are_marked_and_sorted_as_others(build):
    content = build().row("base", 0.6, 10).content()
    (entry,) = content.entries
    content = replace(content, entries=[replace(entry, row=replace(entry.row, emulated=True))])
    cell = next(cell for cell in table(content, [])[1][0]["cells"] if "emulated" in cell["text"])
    assert cell["text"].endswith(" emulated")
    assert float(cell["value"]) == entry.row.pixAcc


def spread(build, *places, hosts=()):
    """Return the content of a run of two rows that were timed in these places; `hosts` measured the accuracy."""
    run = build().row("base", 0.6, 10).row("fast", 0.6, 20).content().run
    run.records = [replace(record, hosts=hosts) for record in run.records]
    return gather(timed_on(run, *places) if places else run)


def test_one_machine_is_one_line_with_host_and_device(build):
    content = spread(build, ("one", "A", 2), ("one", "A", 2), hosts=("one",))
    found = dict(run_facts(content))
    assert found["machine"] == "host one, device A, cpu a processor, cores 2, memory 8 GB"
    assert not {"timed on", "accuracy from"} & found.keys()


def test_the_machine_of_an_old_run_is_without_a_host(build):
    content = spread(build)
    assert dict(run_facts(content))["machine"] == "cpu a processor, cores 2, memory 8 GB"
    of_row = dict(facts(content.entries[0]))
    assert (of_row["scored"], of_row["timed"]) == ("2030-01-01, in 0.0 s", "2030-01-02, 12 rounds; alone")


def test_several_machines_are_named_with_what_they_measured(build):
    content = spread(build, ("one", "A", 8), ("two", "B", 4), hosts=("one", "three"))
    found = dict(run_facts(content))
    assert found["machine of the command"] == "cpu a processor, cores 2, memory 8 GB"
    assert found["timed on"] == "one (A; 8 cores) and two (B; 4 cores)"
    assert found["accuracy from"] == "one and three"
    of_row = dict(facts(content.entries[1]))
    assert of_row["scored"] == "2030-01-01 on one and three, in 0.0 s"
    assert of_row["timed"] == "2030-01-02 on two (B; 4 cores), 12 rounds; alone"
    headings, rows = table(content, [])
    hosts = [row["cells"][headings.index(HOST)]["text"] for row in rows]
    assert hosts == ["one", "two"]
