"""The verb `doctor`, from the outside."""

import json

from fastscnn_opt.cli.main import run


def test_the_doctor_tells_machine_packages_and_targets(capsys):
    assert run(["doctor", "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report.keys() == {"machine", "packages", "targets", "passes"}


def test_the_doctor_s_table_names_every_target(capsys):
    assert run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("onnxruntime", "ascend310", "openvino", "(providers: "))
