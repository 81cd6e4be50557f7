"""The verb `passes`, from the outside."""

import json

from fastscnn_opt.cli.main import run


def test_passes_lists_name_contract_and_options(capsys):
    assert run(["passes", "--format", "json"]) == 0
    listed = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert listed["resize-nearest"]["contract"] == "lossy"
    assert {"name": "rounding", "type": "half-up|half-down|floor|ceil", "default": "half-up"} in listed[
        "resize-nearest"
    ]["options"]
