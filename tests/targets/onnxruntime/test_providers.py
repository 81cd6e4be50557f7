"""Names and options of execution providers."""

import json

import onnxruntime as ort
import pytest

from fastscnn_opt.errors import TargetError
from fastscnn_opt.targets.onnxruntime.providers import PROVIDERS, provider_of, short_name
from fastscnn_opt.targets.onnxruntime.target import OnnxRuntime
from fastscnn_opt.targets.registry import get_target


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_has_the_name_that_onnxruntime_gives_it(name):
    assert provider_of(name).engine_name in ort.get_all_providers()


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_name_in_onnxruntime_means_the_same(name):
    assert short_name(provider_of(name).engine_name) == name
    assert provider_of(provider_of(name).engine_name) is PROVIDERS[name]


def test_a_provider_has_one_name_in_records():
    assert OnnxRuntime(provider="CUDAExecutionProvider").provider == "cuda"


def test_a_provider_that_nobody_foresaw_is_taken_by_its_full_name():
    assert OnnxRuntime(provider="RknpuExecutionProvider").provider == "RknpuExecutionProvider"


@pytest.mark.parametrize("name", ["gpu", "", "CUDA", "ExecutionProvider", 1])
def test_any_other_name_is_refused_with_the_names(name):
    with pytest.raises(TargetError, match=r"provider takes a text written as cpu\|cuda\|.*ExecutionProvider, not "):
        OnnxRuntime(provider=name)


@pytest.mark.parametrize(
    "given",
    [
        "device_type=CPU num_of_threads=2 fast=true",
        {"device_type": "CPU", "num_of_threads": 2, "fast": True},
        'device_type="CPU" num_of_threads="2" fast="true"',
    ],
)
def test_options_are_a_text_or_a_table(given):
    options = OnnxRuntime(provider="openvino", provider_options=given).provider_options
    assert options == {"device_type": "CPU", "num_of_threads": "2", "fast": "true"}


def test_an_option_may_be_json():
    config = json.dumps({"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}})
    options = OnnxRuntime(provider="openvino", provider_options=f"load_config='{config}'").provider_options
    assert json.loads(options["load_config"]) == {"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}}


@pytest.mark.parametrize("given", ["device_id", "a=1 a=2", "a=", {"a": {"b": 1}}, {"a": [1]}, 3])
def test_other_options_are_refused(given):
    with pytest.raises(TargetError, match="provider_options takes options written as name=value name=value, not "):
        OnnxRuntime(provider="openvino", provider_options=given)


def test_the_cpu_has_no_options():
    with pytest.raises(TargetError, match=r"^target onnxruntime: the provider cpu has no options; leave out"):
        get_target("onnxruntime", {"provider_options": "arena=1"})


def test_threads_reach_a_provider_that_has_threads_of_its_own():
    assert provider_of("openvino").options({}, 3)["num_of_threads"] == "3"
    assert provider_of("openvino").options({"num_of_threads": "1"}, 3)["num_of_threads"] == "1"


@pytest.mark.parametrize(
    ("name", "option", "full", "faster"), [("cuda", "use_tf32", "0", "1"), ("openvino", "precision", "FP32", "FP16")]
)
def test_float32_stays_float32_unless_the_user_wants_otherwise(name, option, full, faster):
    assert provider_of(name).options({}, 1)[option] == full
    assert provider_of(name).options({option: faster}, 1)[option] == faster
