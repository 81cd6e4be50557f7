"""A run folder survives processes that are killed at random moments, two at a time; see `kill_runs` for many more."""

import sys

import pytest
from scoring.kill_runs import run_and_kill


@pytest.mark.skipif(sys.platform == "win32", reason="kills with signals")
def test_two_killed_pairs_lose_and_repeat_no_row(tmp_path):
    variants, ends = run_and_kill(tmp_path, kills=2, longest_s=4, seed=1)
    assert variants >= 2
    assert sum(ends.values()) == 4
