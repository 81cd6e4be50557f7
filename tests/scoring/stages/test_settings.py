"""How a run is scored: the command, then the table of a target, then that of all targets, then the default."""

import pytest

from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.records import adapter
from fastscnn_opt.scoring.stages.settings import Settings
from fastscnn_opt.scoring.variants import read_variants
from fastscnn_opt.targets.spec import TargetSpec


@pytest.mark.parametrize(
    ("command", "target", "shared", "expected"),
    [
        (1, "threads = 2", "threads = 3", 1),
        (None, "threads = 2", "threads = 3", 2),
        (None, "", "threads = 3", 3),
        (None, "", "", 7),
    ],
)
def test_the_most_specific_number_of_threads_wins(tmp_path, command, target, shared, expected):
    file = tmp_path / "variants.toml"
    (tmp_path / "net.onnx").touch()
    file.write_text(
        f"[model]\npath = 'net.onnx'\n[data]\nsynthetic = 1\n[score]\n{shared}\n"
        f"[target.onnxruntime]\n{target}\n[[variant]]\nname = 'one'\n"
    )
    variants = read_variants(file)
    assert Settings(threads=command).target_for(variants.rows[0], variants, 7).options["threads"] == expected


def test_options_behind_the_name_of_a_target_come_before_all_others(tmp_path):
    file = tmp_path / "variants.toml"
    (tmp_path / "net.onnx").touch()
    file.write_text(
        "[model]\npath = 'net.onnx'\n[data]\nsynthetic = 1\n[[variant]]\nname = 'one'\n"
        "targets = ['openvino', 'openvino{threads=3}']\n[target.openvino]\nthreads = 2\nstreams = 2\n"
    )
    variants = read_variants(file)
    plain, own = (Settings(threads=4).target_for(row, variants, 7) for row in variants.rows)
    assert (plain, own) == (
        TargetSpec("openvino", {"threads": 4, "streams": 2}),
        TargetSpec("openvino", {"threads": 3, "streams": 2}),
    )


@pytest.mark.parametrize("given", ['"device_id=1 fast=true"', "{ device_id = 1, fast = true }"])
def test_options_of_an_engine_reach_the_target_and_survive_a_record(tmp_path, given):
    file = tmp_path / "variants.toml"
    (tmp_path / "net.onnx").touch()
    file.write_text(
        "[model]\npath = 'net.onnx'\n[data]\nsynthetic = 1\n[[variant]]\nname = 'one'\n"
        f"[target.onnxruntime]\nprovider = 'cuda'\nprovider_options = {given}\n"
    )
    variants = read_variants(file)
    target = Settings().target_for(variants.rows[0], variants, 7)
    assert target.open().provider_options == {"device_id": "1", "fast": "true"}
    kept = adapter(TargetSpec)
    assert kept.validate_json(kept.dump_json(target)) == target


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, Effort(rounds=7, streams=2)),
        (Effort(rounds=5), Effort(rounds=5, streams=2)),
        (Effort(rounds=5, streams=4), Effort(rounds=5, streams=4)),
    ],
)
def test_the_file_says_how_many_requests_run_at_once_unless_the_caller_does(tmp_path, given, expected):
    (tmp_path / "net.onnx").touch()
    (tmp_path / "variants.toml").write_text(
        "[model]\npath = 'net.onnx'\n[data]\nsynthetic = 1\n[score]\nrounds = 7\nstreams = 2\n"
        "[[variant]]\nname = 'one'\n"
    )
    variants = read_variants(tmp_path / "variants.toml")
    assert Settings(effort=given).effort_for(variants) == expected
