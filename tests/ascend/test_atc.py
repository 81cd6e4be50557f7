"""The command line of atc, and its errors."""

from pathlib import Path

from fastscnn_opt.ascend.atc import (
    AtcOptions,
    atc_command,
    atc_failure,
)
from fastscnn_opt.processes.tool import Finished

FAILED = "ATC run failed, Please check the detail log, Try 'atc --help' for more information\n"


def test_the_command_of_the_recipe():
    options = AtcOptions(output_type="FP16", input_shape="image:1,3,1024,2048", log="debug", soc_version="Ascend310")
    command = atc_command("atc", options, Path("M.onnx"), Path("M"))
    assert sorted(command) == sorted(
        [
            "atc",
            "--framework=5",
            "--model=M.onnx",
            "--output=M",
            "--output_type=FP16",
            "--input_format=NCHW",
            "--input_shape=image:1,3,1024,2048",
            "--log=debug",
            "--soc_version=Ascend310",
        ]
    )


def test_every_option_becomes_its_flag(tmp_path):
    options = AtcOptions(
        soc_version="Ascend310P3",
        out_nodes="Resize_213:0;Resize_229:0",
        output_type="Resize_213:0:FP16",
        input_fp16_nodes="image",
        is_input_adjust_hw_layout="true",
        is_output_adjust_hw_layout="true,false",
        precision_mode="allow_mix_precision",
        op_select_implmode="high_precision",
        optypelist_for_implmode="Gelu,Exp",
        auto_tune_mode="RL,GA",
        buffer_optimize="off_optimize",
        enable_small_channel=1,
        insert_op_conf=tmp_path / "aipp.cfg",
        fusion_switch_file=tmp_path / "fusion.cfg",
        dynamic_batch_size=(1, 2, 4),
        dynamic_image_size="512,1024;1024,2048",
    )
    command = atc_command("atc", options, Path("M.onnx"), Path("M"))
    assert set(command[5:]) == {
        "--soc_version=Ascend310P3",
        "--out_nodes=Resize_213:0;Resize_229:0",
        "--output_type=Resize_213:0:FP16",
        "--input_fp16_nodes=image",
        "--is_input_adjust_hw_layout=true",
        "--is_output_adjust_hw_layout=true,false",
        "--precision_mode=allow_mix_precision",
        "--op_select_implmode=high_precision",
        "--optypelist_for_implmode=Gelu,Exp",
        "--auto_tune_mode=RL,GA",
        "--buffer_optimize=off_optimize",
        "--enable_small_channel=1",
        f"--insert_op_conf={tmp_path / 'aipp.cfg'}",
        f"--fusion_switch_file={tmp_path / 'fusion.cfg'}",
        "--dynamic_batch_size=1,2,4",
        "--dynamic_image_size=512,1024;1024,2048",
    }


def sentence(output: str) -> str:
    return str(atc_failure(Finished("atc", 255, output, Path("a.log"))))


def test_an_error_line_comes_with_our_cure():
    reason = "E10001: Value [-1] for parameter [image] is invalid. Reason: maybe you should set input_shape"
    assert sentence(f"{FAILED}{reason}.\n") == (
        f"atc: {reason} (log: a.log); check the option that it names; "
        "open dimensions of the model are fixed with the pass static-shape"
    )


def test_our_cure_comes_before_that_of_atc():
    line = "E19010: No parser is registered for Op [Conv_52, optype [ai.onnx::11::Convx]]"
    output = f"{FAILED}{line}.\n        Solution: Check the version.\n        TraceBack (most recent call last):\n"
    assert sentence(output) == (
        f"atc: {line} (log: a.log); replace the operator with a pass, or export the model with opset 11 to 13"
    )


def test_a_code_without_a_cure_of_ours_comes_with_that_of_atc():
    output = f"{FAILED}EZ9999: Inner Error!\n        Solution: Try again.\n"
    assert sentence(output) == "atc: EZ9999: Inner Error! (log: a.log); Try again"


def test_a_code_without_any_cure_stands_alone():
    assert sentence(f"{FAILED}E10007: [--framework] is required.") == (
        "atc: E10007: [--framework] is required (log: a.log)"
    )


def test_without_an_error_line_the_last_words_count():
    words = ["W11001: Op [x] is slow.", "atc.bin: error while loading shared libraries: libascend_hal.so"]
    assert sentence("\n".join(words)) == f"atc: exit code 255; its last words: {' | '.join(words)} (log: a.log)"
