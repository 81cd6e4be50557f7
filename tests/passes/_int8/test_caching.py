"""What is measured again when a package that measures has changed."""

import pytest
from fastscnn_opt.passes._int8 import caching
from fastscnn_opt.passes._int8.caching import cached


@pytest.mark.parametrize("package", ["fastscnn-opt", "numpy", "pillow"])
def test_another_version_measures_again(monkeypatch, package):
    assert cached("figures", lambda: [1.0], "model", package) == [1.0]
    assert cached("figures", lambda: [2.0], "model", package) == [1.0]
    installed = caching.version
    monkeypatch.setattr(caching, "version", lambda name: "0" if name == package else installed(name))
    assert cached("figures", lambda: [3.0], "model", package) == [3.0]


def test_other_parts_are_measured_on_their_own():
    assert cached("parts", lambda: 1, "a", "b") == 1
    assert cached("parts", lambda: 2, "ab") == 2
