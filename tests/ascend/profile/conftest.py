"""Tables of the profiler in small, as releases of 2021 and later ones write them."""

from pathlib import Path

import pytest

SUMMARY_2021 = (
    "Model ID,Task ID,Stream ID,Op Name,OP Type,Task Type,Task Start Time,Task Duration(us),Task Wait Time(us),"
    "Block Dim,Input Shapes,Input Data Types,Input Formats,Output Shapes,Output Data Types,Output Formats"
)
SUMMARY_LATER = (
    "Device_id,Model Name,Model ID,Task ID,Stream ID,Infer ID,OP Name,OP Type,OP State,Task Type,Task Start Time(us),"
    "Task Duration(us),Task Wait Time(us),Block Num,Mix Block Dim,Input Shapes,Input Data Types,Input Formats,"
    "Output Shapes,Output Data Types,Output Formats,Context ID,aicore_time(us),aic_total_cycles"
)
STATISTIC_2021 = "Model Name,OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)"
STATISTIC_LATER = "Device_id,OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)"


def _cells(tensors: str, prefix: str) -> tuple[str, str, str]:
    """Turn ``float16 1x3x4x5 NCHW; ...`` into the cells of shapes, types and formats."""
    dtypes, shapes, formats = zip(*(tensor.split() for tensor in tensors.split(";")), strict=True)
    lengths = ";".join(shape.replace("x", ",") for shape in shapes)
    return f'"""{lengths}"""', ";".join(prefix + dtype.upper() for dtype in dtypes), ";".join(formats)


@pytest.fixture
def summary(tmp_path: Path):
    """Write an op_summary: each operator is (name, type, core, us, inputs, outputs)."""

    def write(*operators: tuple[str, str, str, float, str, str], later: bool = False, file: str = "op_summary_0_1.csv"):
        lines = [SUMMARY_LATER if later else SUMMARY_2021]
        for task, (name, op_type, core, us, inputs, outputs) in enumerate(operators):
            tensors = ",".join((*_cells(inputs, "" if later else "DT_"), *_cells(outputs, "" if later else "DT_")))
            lines.append(
                f"0,net,1,{task},7,1,{name},{op_type},static,{core},1629.5,{us},1.5,2,0,{tensors},N/A,{us},12345"
                if later
                else f"1,{task},7,{name},{op_type},{core},5.42E+14,{us},0,2,{tensors}"
            )
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture
def statistic(tmp_path: Path):
    """Write an op_statistic from its lines."""

    def write(*lines: str, later: bool = False, file: str = "op_statistic_0_1.csv"):
        path = tmp_path / file
        path.write_text("\n".join((STATISTIC_LATER if later else STATISTIC_2021, *lines)) + "\n")
        return path

    return write
