"""What each pass costs, from rows whose pipelines begin alike."""

import pytest

from fastscnn_opt.report.pass_costs import pass_costs


@pytest.fixture
def named():
    """Shorten what `pass_costs` returns."""

    def shorten(content):
        return [
            (cost.text, cost.entry.label, cost.before.label, round(cost.points, 6), cost.times)
            for cost in pass_costs(content)
        ]

    return shorten


def steps(*names):
    return [{"pass": name, "text": name, "contract": "exact", "verified": True, "changes": 0} for name in names]


def test_a_row_is_set_against_the_longest_pipeline_that_it_begins_with(build, named):
    builder = (
        build().row("base", 0.6, 10).row("a", 0.59, 20, steps=steps("a")).row("ab", 0.5, 40, steps=steps("a", "b"))
    )
    assert named(builder.content()) == [("a", "a", "base", 1.0, 2.0), ("b", "ab", "a", 9.0, 2.0)]


def test_passes_that_no_row_parts_are_blamed_together(build, named):
    builder = build().row("base", 0.6, 10).row("ab", 0.5, 20, steps=steps("a", "b"))
    assert named(builder.content()) == [("a,b", "ab", "base", 10.0, 2.0)]


def test_the_same_pass_with_other_options_is_another(build, named):
    builder = build().row("base", 0.6, 10, steps=steps("a{x=1}")).row("ab", 0.5, 20, steps=steps("a{x=2}", "b"))
    assert named(builder.content()) == []


def test_other_targets_and_batch_sizes_are_not_compared(build, named):
    builder = build().row("base", 0.6, 10).row("a", 0.5, 20, steps=steps("a"), batch=2)
    assert named(builder.row("b", 0.5, 20, steps=steps("b"), target="chip").content()) == []


def test_a_row_without_speed_has_a_cost_in_accuracy(build, named):
    builder = build().row("base", 0.6, 10).row("a", 0.59, steps=steps("a"))
    assert named(builder.content()) == [("a", "a", "base", 1.0, None)]
