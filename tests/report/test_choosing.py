"""Which rows a report recommends, on figures made up for the purpose; engines need 1000 / fps ms per image."""

from fastscnn_opt.report.choosing import choose, host_work


def chosen(builder):
    (choice,) = choose(builder.content())
    return choice


def test_of_rows_that_cannot_be_told_apart_the_one_with_less_left_to_the_host_is_taken(build):
    builder = build().row("base", 0.6, 10).row("logits", 0.6, 20, host=40.0).row("labels", 0.6, 19.9, host=2.0)
    choice = chosen(builder)
    assert choice.entry.label == "labels"
    assert [entry.label for entry in choice.ties] == ["logits"]


def test_host_work_does_not_outweigh_a_speed_that_was_seen(build):
    choice = chosen(build().row("base", 0.6, 10).row("logits", 0.6, 20, host=40.0).row("labels", 0.6, 15, host=2.0))
    assert choice.entry.label == "logits"
    assert choice.ties == ()


def test_rows_whose_host_work_is_not_known_go_by_the_engine_alone(build):
    choice = chosen(build().row("base", 0.6, 10).row("logits", 0.6, 20, old=True).row("labels", 0.6, 19.9, host=2.0))
    assert choice.entry.label == "logits"
    assert host_work(choice) == ""


def test_work_that_rows_leave_to_the_host_is_told_where_it_differs(build):
    builder = build().row("base", 0.6, 10, host=42.0).row("fast", 0.6, 20, host=2.0).row("slow", 0.6, 15, host=40.0)
    assert host_work(chosen(builder)).endswith("took 2.0 ms for “fast” and 40.0 to 42.0 for the others.")


def test_another_row_that_is_quicker_with_the_host_s_work_is_named(build):
    builder = build().row("base", 0.6, 10, host=40.0).row("fast", 0.6, 20, host=40.0).row("labels", 0.6, 16, host=2.0)
    words = "counted one after the other, “labels” is the quickest with 64.5 ms per image, against 90.0 ms."
    assert host_work(chosen(builder)).endswith(words)


def test_equal_work_is_not_worth_a_word(build):
    assert host_work(chosen(build().row("base", 0.6, 10).row("fast", 0.6, 20, host=7.5))) == ""
