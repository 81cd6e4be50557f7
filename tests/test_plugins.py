"""What code of a plug-in raises is told in our words."""

import errno

import pytest

from fastscnn_opt.errors import PassError
from fastscnn_opt.plugins import calling


def test_a_full_disk_is_no_fault_of_the_plug_in():
    with pytest.raises(PassError) as caught, calling("the pass paint failed", PassError):
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/paint")
    assert str(caught.value) == (
        "/tmp/paint: the pass paint failed: No space left on device; free some space there, or choose another disk"
    )
