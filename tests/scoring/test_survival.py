"""A run folder survives processes that are killed at random moments, two at a time; the script does it fifty times."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill_score.py"


@pytest.mark.skipif(sys.platform == "win32", reason="kills with signals")
def test_two_killed_pairs_lose_and_repeat_no_row():
    command = [sys.executable, str(SCRIPT), "--kills", "2", "--longest", "4", "--seed", "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "each recorded once, all readable" in result.stdout
