"""The questions that a report answers first, on made-up figures."""

from dataclasses import replace

import pytest

from fastscnn_opt.report.answers import answers
from fastscnn_opt.report.recommending import recommend
from fastscnn_opt.scoring.records import Status


def told(content) -> dict[str, tuple[str, str]]:
    return {answer.question: (answer.short, answer.more) for answer in answers(content)}


def steps(*names, contract="exact"):
    return [{"pass": name, "text": name, "contract": contract, "verified": None, "changes": 0} for name in names]


def test_the_typical_run(typical):
    said = told(typical.content())
    assert said["Which variant to ship?"] == (
        "“tidy”: 1.50 times as fast as the baseline (95 % interval 1.47 to 1.53), 15.0 images per second.",
        "It is the fastest row that loses at most 1 points of mIoU.",
    )
    assert said["What does it cost?"][0] == "No accuracy that shows in two digits."
    assert said["Which class suffers most?"] == (
        "“pole” loses 0.10 points of IoU (50.00 to 49.90 %).",
        "Over all rows: “pole” in “coarse”, 10.00 points.",
    )
    assert said["Which pass costs the most?"] == (
        "coarsen{only=head}: it costs 5.00 points of mIoU in “coarse”, on top of “tidy”.",
        "“tidy” has no pass that costs accuracy.",
    )


def test_the_commands_make_the_variant_and_the_run(typical):
    assert answers(typical.content())[-1].commands == (
        "fastscnn-opt apply /models/net.onnx --passes tidy -o row-2.onnx",
        "fastscnn-opt score /models/variants.toml --run typical-again --rounds 5",
    )


def test_a_larger_limit_recommends_the_faster_row_and_shows_its_cost(typical):
    said = told(typical.content(max_drop=6))
    assert said["Which variant to ship?"][0].startswith("“coarse”: 2.00 times")
    assert said["What does it cost?"][0] == "5.00 points of mIoU."
    assert said["Which pass costs the most?"][1] == "“coarse” uses it."


def test_a_limit_that_nobody_set_is_called_an_assumption(build):
    said = told(build().row("base", 0.6, 10).row("fast", 0.597, 20).content())
    assert "at most 0.5 points of mIoU (an assumption" in said["Which variant to ship?"][1]
    assert said["What does it cost?"][0] == "0.30 points of mIoU."


def test_rows_with_overlapping_intervals_are_recommended_together(build):
    content = build().row("base", 0.6, 10).row("fast", 0.6, 20).row("as fast", 0.6, 19.8).row("slow", 0.6, 15).content()
    short, more = told(content)["Which variant to ship?"]
    assert short == "“fast” or “as fast”: their 95 % intervals overlap."
    assert "“as fast” is 1.98 times as fast as the baseline (95 % interval 1.94 to 2.02)" in more


def test_a_row_that_may_be_slower_than_the_baseline_is_recommended_together_with_it(build):
    content = build().row("base", 0.6, 10).row("fast", 0.6, 10.1).row("other", 0.6, 9.9).content()
    assert told(content)["Which variant to ship?"][0] == "“fast”, “base” or “other”: their 95 % intervals overlap."


def test_each_target_has_a_recommendation(build):
    builder = build().row("base", 0.6, 10).row("base", 0.6, 30, target="chip").row("fast", 0.6, 50, target="chip")
    content = builder.content()
    assert [choice.entry.number for choice in recommend(content)] == [1, 3]
    short, more = told(content)["Which variant to ship?"]
    assert short == "“base (onnxruntime)” on onnxruntime: 10.0 images per second, the baseline itself."
    assert "On chip: “fast”, 5.00 times as fast" in more


def test_a_row_that_failed_after_its_accuracy_is_not_recommended(build):
    builder = build().row("base", 0.6, 10).row("fast", 0.6, 50)
    builder.records[1] = replace(builder.records[1], status=Status.BROKEN, reason="no")
    assert [choice.entry.label for choice in recommend(builder.content())] == ["base"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "None yet: no row has both its accuracy and its speed."),
        ([("fast", 0.5, 20)], "None: every scored row loses more than 0.5 points of mIoU, or has no baseline."),
    ],
)
def test_without_a_recommendation_the_reasons_are_shown(build, rows, words):
    builder = build().row("base", status="failed", reason="no such node")
    for row in rows:
        builder.row(*row)
    said = told(builder.content())
    assert said["Which variant to ship?"] == (words, "“base”: no such node.")
    assert "How to reproduce it?" in said


def test_lossy_passes_are_listed_if_no_cost_is_known(build):
    builder = build().row("base", 0.6, 10, steps=steps("a")).row("fast", 0.59, 20, steps=steps("b", contract="lossy"))
    short, more = told(builder.content())["Which pass costs the most?"]
    assert short.startswith("Not known")
    assert more == "Lossy passes, which may change accuracy: b."


def test_passes_without_cost_are_not_named(build):
    content = build().row("base", 0.6, 10).row("fast", 0.6, 20, steps=steps("a")).content()
    assert told(content)["Which pass costs the most?"][0].startswith("None:")


def test_the_cost_of_a_pass_in_the_recommended_row_is_shown(build):
    builder = build(max_drop=1.0).row("base", 0.6, 10).row("a", 0.599, 20, steps=steps("a"))
    builder.row("ab", 0.599, 30, steps=steps("a", "b")).row("c", 0.5, 5, steps=steps("c"))
    assert told(builder.content())["Which pass costs the most?"][1] == "In “ab”, a costs 0.10 points."


def test_a_baseline_on_another_target_than_the_named_one_is_an_ordinary_row(build):
    builder = build(baseline_target="onnxruntime").row("base", 0.6, 10).row("base", 0.597, 30, target="chip")
    assert "On chip: “base (chip)”, 3.00 times as fast" in told(builder.content())["Which variant to ship?"][1]


def test_its_cost_is_its_loss_against_the_named_baseline(build):
    builder = build(baseline_target="onnxruntime").row("base", 0.6).row("base", 0.597, 30, target="chip")
    assert told(builder.content())["What does it cost?"][0] == "0.30 points of mIoU."
