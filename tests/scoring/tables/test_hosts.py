"""Where rows were timed, and which of them cannot be compared for that reason."""

import pytest

from fastscnn_opt.scoring.tables.hosts import Place, machines, place_caveat

A, B, BOTH = (Place("one", devices, 8) for devices in (("A",), ("B",), ("B", "A")))
OTHER, UNKNOWN = Place("two", ("B",), 4), Place("two", (), 0)


def caveat(*places):
    """Return the caveat about two rows of a target and one of another."""
    rows = [("base", "onnxruntime", 1), ("fast", "onnxruntime", 1), ("fast", "tensorrt", 1)]
    return place_caveat(dict(zip(rows, places, strict=False)))


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ((A, A, OTHER), "different machines, one (A; 8 cores) and two (B; 4 cores); each ratio is from one session"),
        ((A, OTHER), "times and fps from different machines cannot be compared"),
        ((A, OTHER, B), "different machines, one (A; B; 8 cores) and two (B; 4 cores);"),
        ((A, UNKNOWN, A), "different machines, one (A; 8 cores) and two;"),
        ((A, B, B), "different devices, one (A; 8 cores) and one (B; 8 cores); each ratio"),
    ],
)
def test_rows_of_different_machines_or_devices_are_told(places, words):
    assert words in caveat(*places)


@pytest.mark.parametrize("places", [(), (A,), (A, A, A), (A, A, B), (A, BOTH, A), (OTHER, UNKNOWN)])
def test_what_can_be_compared_has_no_caveat(places):
    assert caveat(*places) == ""


def test_a_machine_has_the_devices_of_all_its_sessions():
    assert machines([A, OTHER, B, UNKNOWN]) == [Place("one", ("A", "B"), 8), OTHER]


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [(A, A, False), (A, B, True), (A, BOTH, False), (OTHER, UNKNOWN, False), (A, Place("x", ("A",), 4), True)],
)
def test_hardware_differs_in_devices_or_cores(one, other, differ):
    assert (one.has_other_hardware(other), other.has_other_hardware(one)) == (differ, differ)
