"""Errors of atc and of the tools that run compiled files are told in full, and without process, time and source."""

import pytest

from fastscnn_opt.ascend.error_codes import find_error

FAILED = "ATC start working now, please wait for a moment.\nATC run failed, Please check the detail log\n"
TRACE = "        TraceBack (most recent call last):\n        build graph failed, graph id:0[FUNC:Build][FILE:a.cc]\n"


STAMP = "[PID: 62] 2025-05-27-06:52:12.455.807"
PLACE = "[FUNC:Infer][FILE:a.cc][LINE:1402]"


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("E10007: [--framework] must be [0(Caffe)].", "E10007: [--framework] must be [0(Caffe)]"),
        (f"E10007: {STAMP} [--framework] is required.", "E10007: [--framework] is required"),
        (
            f"EZ9999: Inner Error!\nEZ9999  a(64) is not b(92){PLACE}\n{TRACE}",
            "EZ9999: Inner Error! a(64) is not b(92)",
        ),
        ("EZ9999: Inner Error!\n        Core list[0-0]\n        failed.", "EZ9999: Inner Error! Core list[0-0] failed"),
        (f"EZ9999: Inner Error!\nEZ9999: {STAMP} Only {{32, 64}}.{PLACE}", "EZ9999: Inner Error! Only {32, 64}"),
        (f"EZ9999: Inner Error!\nEZ9999{STAMP} (EZ9999):  No dim.\n{TRACE}", "EZ9999: Inner Error! No dim"),
        (f"EZ9999: Inner Error!\n{TRACE}", "EZ9999: Inner Error! build graph failed, graph id:0"),
        ("E19025: Input is invalid. Reason:\n        no memory.", "E19025: Input is invalid. Reason: no memory"),
        (
            "E19025 Input is invalid.\n        Reason: no\n        memory.",
            "E19025: Input is invalid. Reason: no memory",
        ),
        (
            f"RuntimeError: E19025: {STAMP} Input is invalid. Reason: size.\n{TRACE}",
            "E19025: Input is invalid. Reason: size",
        ),
        (f"{STAMP} Not_Supported_Op(EZ3002): Optype [x].", "EZ3002: Not_Supported_Op: Optype [x]"),
        (
            f"[rank0]: Error: EZ9999: Inner Error!\n[rank0]: EZ9999: {STAMP} no.\n[rank0]:   TraceBack",
            "EZ9999: Inner Error! no",
        ),
        ("E10001: first.\nE10002: second.", "E10001: first"),
        ("\u9519\u8befE10001: first", "E10001: first"),
        ("for more informationE10001: **first**", "E10001: first"),
    ],
)
def test_the_words_of_a_code_are_whole_and_clean(output, words):
    assert str(find_error(FAILED + output)) == words


def test_the_cause_is_left_out_and_the_solution_is_the_cure():
    error = find_error(
        f"{FAILED}EZ3003: No kernel is found for [AddDsl].\n        Possible Cause: It is not supported.\n"
        "        Solution: 1. Check the package. 2. Ask for it.\n" + TRACE
    )
    assert (error.code, error.words) == ("EZ3003", "No kernel is found for [AddDsl]")
    assert error.cure == "1. Check the package. 2. Ask for it"


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (
            "[ERROR] load model from file failed, model file is M.om\n",
            "[ERROR] load model from file failed, model file is M.om",
        ),
        (
            "[ERROR] no more\n[ERROR] execute failed, errorCode is 507011\n",
            "[ERROR] execute failed, errorCode is 507011",
        ),
        ("acl init failed, errorCode = 100002\n", "acl init failed, errorCode = 100002"),
        ("RuntimeError:[1][ACL:invalid parameter]\n", "RuntimeError:[1][ACL:invalid parameter]"),
    ],
)
def test_without_a_code_the_line_of_the_error_counts(output, words):
    assert str(find_error(f"[INFO] acl init success\n{output}")) == words


@pytest.mark.parametrize(
    "output", ["", "ATC run success, welcome to the next use.\nW11001: Op [x] is slow.\n", "MODE12345: x"]
)
def test_a_success_has_no_error(output):
    assert find_error(output) is None


def test_a_solution_that_a_copy_has_put_on_the_same_line_is_the_cure():
    error = find_error("E10001: Value [-1] is invalid. Reason: set input_shapeSolution: Try again.")
    assert (error.words, error.cure) == ("Value [-1] is invalid. Reason: set input_shape", "Try again")
