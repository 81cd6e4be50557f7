"""Operator sources written for these tests in the style of the vendor's: many helpers, then one long if/elif chain."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest

from fastscnn_opt.ascend.whitelists.patchfile import Patch, shipped


@pytest.fixture
def killed_before() -> Callable[[int, Callable[[], object]], bool]:
    """Run an action in a child process that is killed just before call `count` of those that change the file system.

    Returns whether it was killed; if not, it made fewer calls.
    """

    def run(count: int, action: Callable[[], object]) -> bool:
        child = os.fork()
        if child == 0:  # pragma: no cover - runs in the child, and often ends with it
            calls = 0

            def hook(event: str, arguments: tuple[object, ...]) -> None:
                nonlocal calls
                writes = event.startswith(("os.", "fcntl.")) and event not in ("os.listdir", "os.scandir")
                opens = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
                if writes or opens:
                    calls += 1
                    if calls == count:
                        os.kill(os.getpid(), signal.SIGKILL)

            code = 1  # also where it fails: a child that goes on would run the other tests beside its parent
            try:
                sys.addaudithook(hook)
                action()
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        return os.WIFSIGNALED(status)

    return run


IMPL = "opp/op_impl/built-in/ai_core/tbe/impl"

FIVE_2_FOUR = '''\
"""
from five axes to four
"""
from te import tvm

CORE_NUM = 2


def _choose_plan(dst_format, dst_shape):
    if dst_format.lower() == "nchw" and dst_shape in [[9, 9, 9, 9]]:
        return "never this one: it is another function"
    return "plain"

{helpers}
# the entry
@checked(dict, dict, str, str, str)
def five_2_four(src, dst, src_format, dst_format, kernel_name='five_2_four'):
    """
    Give a tensor its four axes back; dst_format.lower() == "nchw" and dst_shape in [[7, 7, 7, 7]] is text here.
    """
    src_shape = list(src.get("shape"))
    dst_shape = list(dst.get("shape"))
    dtype = src.get("dtype")

    if dst_format.lower() == "nchw" and \\
            tvm.supports( \\
                    "add_relu", "float32") and \\
            dtype == "float32":
        newer_core(src, dst, src_format, dst_format, kernel_name)
    elif dst_format.lower() == "nhwc" and dst_shape in [[10000, 63, 63, 1], [10000, 127, 127, 1], [16, 19, 19, 486],
                                                        [16, 10, 10, 486]]:
        tiled_tc(src, dst, src_format, dst_format, kernel_name)
    {branch}
        tiled_ntc(src, dst, src_format, dst_format, kernel_name)
    elif dst_format.lower() == "nchw" and dtype == "float32" and dst_shape in [[200, 1, 10, 26]] and \\
            tvm.supports("vnchwconv", "float32"):
        tiled_ntc(src, dst, src_format, dst_format, kernel_name)
    # only older cores come here
    elif dst_format.lower() == "nchw" and dtype == "float16" and \\
            src_shape in [[1, 4, 65, 65, 16], [1, 8, 33, 33, 16]] and \\
            dst_shape in [[1, 58, 65, 65], [1, 116, 33, 33]]:
        small_channels(src_shape, dst_shape, dtype, kernel_name)
    else:
        if dst_format.lower() == "nchw":
            n_i, c_i, h_i, w_i = dst_shape
        else:
            n_i, h_i, w_i, c_i = dst_shape
        slow(n_i, c_i, h_i, w_i)
'''

NCHW_TWO_LINES = """\
elif dst_format.lower() == "nchw" and dst_shape in [[2560, 512, 4, 26], [2560, 512, 1, 26], [2560, 256, 8, 25],
                                                        [16, 240, 7, 7], [16, 120, 14, 14]]:"""

FOUR_2_FIVE = '''\
"""
from four axes to five
"""
from te import tvm


def _check_rank(shape):
    if len(shape) != 4:
        raise RuntimeError("four axes are needed")

{helpers}
def four_2_five(src, dst, src_format, dst_format, kernel_name="four_2_five"):
    shape_input = list(src.get("shape"))
    dtype_input = src.get("dtype").lower()
    _check_rank(shape_input)
    if src_format.upper() == "NHWC" and shape_input == [8, 640, 640, 3] and dtype_input == "float16":
        tiled_tc(src, dst, src_format, dst_format, kernel_name)
        return
    {branch}
        tiled_ntc(src, dst, src_format, dst_format, kernel_name)
        return
    slow(src, dst)
'''

FLOAT16_ONE_LINE = (
    'if src_format.upper() == "NCHW" and shape_input in [[16, 240, 7, 7], [16, 120, 14, 14]] '
    'and dtype_input == "float16":'
)
FLOAT16_TWO_LINES = """\
if src_format.upper() == "NCHW" and shape_input in [[16, 240, 7, 7], [16, 120, 14, 14],
                                                        [1, 1, 480, 720]] and dtype_input == "float16":"""

TRANS_DATA = """\
from impl import four_2_five
from impl import four_2_five_int8
from impl import five_2_four


def trans_data(src, dst, src_format, dst_format, kernel_name='trans_data'):
    if src_format.upper() == "NCHW" and dst_format.upper() == "NC1HWC0":
        if src.get("dtype") == "int8":
            four_2_five_int8.four_2_five(src, dst, src_format,
                                         dst_format, kernel_name)
        else:
            four_2_five.four_2_five(src, dst, src_format,
                                    dst_format, kernel_name)
    else:
        five_2_four.five_2_four(src, dst, src_format,
                                dst_format, kernel_name)
"""

TRANS_DATA_SINCE_SEPTEMBER_2021 = '''\
from impl import four_2_five
from impl import five_2_four
from impl import four_2_five_int8
from impl import tiled_ntc

# it used to be: five_2_four.five_2_four(src, dst), four_2_five.four_2_five(src, dst)


def trans_data(src, dst, src_format, dst_format, groups=1, kernel_name='trans_data'):
    """Not any more: five_2_four.five_2_four(src, dst)"""
    if src.get("dtype") == "int8":
        four_2_five_int8.four_2_five(src, dst, src_format, dst_format, kernel_name)
    tiled_ntc.tiled_ntc(src, dst, src_format, dst_format, kernel_name)
'''

TRANSPOSE = '''\
def _fuzzy(shape):
    white_list_shape_fuzzy = [
                              [-1, 12, 197, 64], [-1, 768]
                             ]
    return shape in white_list_shape_fuzzy


def _by_dynamic_static_union_version(shape, core_num):
    """
    for the time being
    """
    if core_num == 1:
        white_list_shape_small = [[1, 24, 3, 20]]
        return list(shape) in white_list_shape_small

    white_list_shape = [
                         [2, 512, 1024], [1024, 91], [2, 512, 1024], [256, 784, 91],
                         [80, 240, 8], [1100]
                       ]
    shape_t = list(shape)
    return shape_t in white_list_shape
'''


def helpers(lines: int) -> str:
    """Return about so many lines of functions like those that fill the vendor's files."""
    block = dedent('''
        def _kernel_{index}(tvm_ib, dst, data, args):
            """
            kernel {index} of a shape
            """
            offset, burst = args[0] * 16, args[1] // 8
            with tvm_ib.for_range(0, offset, name="num_g") as num_g:
                tvm_ib.emit(tvm.call_extern(dst.dtype, "copy_ubuf_to_gm",
                                            dst.access_ptr('w', offset=num_g * 16 + {index}),
                                            data.access_ptr("r", offset=0),
                                            0, 1, burst, 0, 0))
            if offset > 3 and burst < {index}:
                return offset + burst
            elif offset == {index}:
                return None
            return tvm_ib.get()

    ''')
    return "".join(block.format(index=index) for index in range(lines // 17))


def five_2_four(branch: str = NCHW_TWO_LINES, lines: int = 0) -> str:
    """Return a five_2_four.py with one branch of its chain given."""
    return FIVE_2_FOUR.replace("{branch}", branch).replace("{helpers}", helpers(lines))


def four_2_five(branch: str = FLOAT16_ONE_LINE, lines: int = 0) -> str:
    """Return a four_2_five.py with one statement given."""
    return FOUR_2_FIVE.replace("{branch}", branch).replace("{helpers}", helpers(lines))


MakeTree = Callable[..., Path]


@pytest.fixture
def make_tree(tmp_path: Path) -> MakeTree:
    """Return a function that installs a toolkit and returns its `tbe/impl`; a file given as None is left out."""

    def make(files: dict[str, str | None] | None = None, root: str = "toolkit") -> Path:
        impl = tmp_path / root / IMPL
        (impl / "dynamic").mkdir(parents=True)
        default = {
            "five_2_four.py": five_2_four(),
            "four_2_five.py": four_2_five(),
            "trans_data.py": TRANS_DATA,
            "dynamic/transpose.py": TRANSPOSE,
        }
        for name, text in (default | (files or {})).items():
            if text is not None:
                (impl / name).write_bytes(text.encode())
        return impl

    return make


@pytest.fixture(scope="session")
def vendor() -> SimpleNamespace:
    """The writers of sources above, for tests that need a file of their own."""
    return SimpleNamespace(
        five_2_four=five_2_four,
        four_2_five=four_2_five,
        FLOAT16_TWO_LINES=FLOAT16_TWO_LINES,
        NCHW_TWO_LINES=NCHW_TWO_LINES,
        TRANSPOSE=TRANSPOSE,
        TRANS_DATA_SINCE_SEPTEMBER_2021=TRANS_DATA_SINCE_SEPTEMBER_2021,
    )


@pytest.fixture(scope="session")
def recipe() -> Patch:
    """The shipped patch for CANN 5.0.2."""
    return shipped()["cann-5.0.2"]
