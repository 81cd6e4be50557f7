"""What is measured again when a package that measures has changed."""

import pytest
from fastscnn_opt.passes._int8 import kept as module
from fastscnn_opt.passes._int8.kept import kept


@pytest.mark.parametrize("package", ["fastscnn-opt", "numpy", "pillow"])
def test_another_version_measures_again(monkeypatch, package):
    assert kept("figures", lambda: [1.0], "model", package) == [1.0]
    assert kept("figures", lambda: [2.0], "model", package) == [1.0]
    installed = module.version
    monkeypatch.setattr(module, "version", lambda name: "0" if name == package else installed(name))
    assert kept("figures", lambda: [3.0], "model", package) == [3.0]


def test_other_parts_are_measured_on_their_own():
    assert kept("parts", lambda: 1, "a", "b") == 1
    assert kept("parts", lambda: 2, "ab") == 2
