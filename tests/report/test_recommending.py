"""The rows that a report recommends, on made-up figures; an engine needs 1000 / fps ms per image."""

from fastscnn_opt.report.recommending import host_work, recommend


def chosen(builder):
    (choice,) = recommend(builder.content())
    return choice


def test_among_equally_fast_rows_the_one_with_less_host_work_is_recommended(build):
    builder = build().row("base", 0.6, 10).row("logits", 0.6, 20, host=40.0).row("labels", 0.6, 19.9, host=2.0)
    choice = chosen(builder)
    assert choice.entry.label == "labels"
    assert [entry.label for entry in choice.ties] == ["logits"]


def test_host_work_does_not_outweigh_a_clear_difference_of_speed(build):
    choice = chosen(build().row("base", 0.6, 10).row("logits", 0.6, 20, host=40.0).row("labels", 0.6, 15, host=2.0))
    assert choice.entry.label == "logits"
    assert choice.ties == ()


def test_rows_of_unknown_host_work_are_ranked_by_the_engine_alone(build):
    choice = chosen(build().row("base", 0.6, 10).row("logits", 0.6, 20, old=True).row("labels", 0.6, 19.9, host=2.0))
    assert choice.entry.label == "logits"
    assert host_work(choice) == ""


def test_host_work_is_mentioned_if_it_differs(build):
    builder = build().row("base", 0.6, 10, host=42.0).row("fast", 0.6, 20, host=2.0).row("slow", 0.6, 15, host=40.0)
    assert host_work(chosen(builder)).endswith("took 2.0 ms for “fast” and 40.0 to 42.0 for the others.")


def test_another_row_that_is_quicker_including_host_work_is_named(build):
    builder = build().row("base", 0.6, 10, host=40.0).row("fast", 0.6, 20, host=40.0).row("labels", 0.6, 16, host=2.0)
    words = "with both added up, “labels” is the quickest: 64.5 ms per image, against 90.0 ms."
    assert host_work(chosen(builder)).endswith(words)


def test_equal_host_work_is_not_mentioned(build):
    assert host_work(chosen(build().row("base", 0.6, 10).row("fast", 0.6, 20, host=7.5))) == ""
