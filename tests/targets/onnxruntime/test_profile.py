"""Summing up the trace of ONNX Runtime."""

import numpy as np
import onnx
import pytest

from fastscnn_opt.errors import TargetError
from fastscnn_opt.targets.onnxruntime.profile import WARM_UP_RUNS, Event, profile_model, sum_up


def kernel(name, op_type, place, start, duration, shape=(1, 3, 4, 4)):
    arguments = {"op_name": op_type, "node_index": str(place), "output_type_shape": [{"float": list(shape)}]}
    return Event(cat="Node", name=f"{name}_kernel_time", ts=start, dur=duration, args=arguments)


def run(start, duration):
    return Event(cat="Session", name="model_run", ts=start, dur=duration)


TRACE = [
    Event(cat="Session", name="session_initialization", ts=0, dur=90),
    kernel("conv", "Conv", 0, 101, 800),  # the warm-up
    run(100, 900),
    kernel("conv", "Conv", 0, 1001, 40),
    kernel("relu", "Relu", 1, 1042, 10),
    run(1000, 60),
    kernel("conv", "Conv", 0, 2001, 60),
    kernel("relu", "Relu", 1, 2062, 20),
    run(2000, 100),
]


def test_times_are_means_over_the_runs_after_the_warm_up(tmp_path):
    profile = sum_up(TRACE, 1, 2, tmp_path)
    assert [(node.name, node.op_type, node.time_us) for node in profile.nodes] == [
        ("conv", "Conv", 50),
        ("relu", "Relu", 15),
    ]
    assert profile.total_us == 80


def test_the_figures_come_by_time_with_their_share(tmp_path):
    figures = sum_up([*TRACE, kernel("last", "Conv", 2, 2083, 10)], 1, 2, tmp_path).to_json()
    assert [(row["type"], row["nodes"], row["time_us"]) for row in figures["types"]] == [
        ("Conv", 2, 55),
        ("Relu", 1, 15),
    ]
    assert [row["name"] for row in figures["nodes"]] == ["conv", "relu", "last"]
    assert figures["nodes"][0]["share"] == pytest.approx(50 / 80)
    assert figures["between_us"] == 10


def test_nodes_of_one_name_are_told_apart_by_their_place(tmp_path):
    twice = [run(0, 50), kernel("", "Relu", 3, 1, 10), kernel("", "Relu", 4, 12, 20)]
    assert [(node.name, node.time_us) for node in sum_up(twice, 0, 1, tmp_path).nodes] == [
        ("Relu_3", 10),
        ("Relu_4", 20),
    ]


def test_the_body_of_a_loop_is_part_of_its_own_time(tmp_path):
    nested = [
        run(0, 50),
        kernel("loop", "Loop", 0, 1, 40),
        kernel("add", "Add", 0, 5, 10),
        kernel("e", "Exp", 1, 41, 2),
    ]
    assert [node.name for node in sum_up(nested, 0, 1, tmp_path).nodes] == ["loop", "e"]


def test_outputs_are_told_with_type_and_shape(tmp_path):
    one = [run(0, 50), kernel("conv", "Conv", 0, 1, 40, (1, 19, 8, 8)), kernel("size", "Size", 1, 42, 1, ())]
    assert [node.outputs for node in sum_up(one, 0, 1, tmp_path).nodes] == [("float32 1x19x8x8",), ("float32 scalar",)]


def test_a_trace_that_lost_runs_is_refused(tmp_path):
    with pytest.raises(TargetError, match="holds 3 of 11 runs; profile fewer `--runs`"):
        sum_up(TRACE, 1, 10, tmp_path / "m.onnx")


def test_the_trace_of_the_engine_names_its_operators(tiny_model, tmp_path):
    onnx.save(tiny_model, tmp_path / "m.onnx")
    done = []
    profile = profile_model(
        tmp_path / "m.onnx",
        lambda inputs: {spec.name: np.zeros(spec.shape, spec.dtype) for spec in inputs},
        tmp_path,
        runs=2,
        threads=1,
        on_run=done.append,
    )
    assert {"Conv", "Resize"} <= {node.op_type for node in profile.nodes}
    assert profile.nodes[-1].outputs == ("float32 1x3x16x32",)
    assert 0 < sum(node.time_us for node in profile.nodes) <= profile.total_us
    assert done == [1] * (WARM_UP_RUNS + 2)
