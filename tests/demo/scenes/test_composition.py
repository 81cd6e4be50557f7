"""The painting order, against rays shot from the camera."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.demo.scenes.composition import Footprint, painting_order

CELLS = st.sets(st.tuples(st.integers(-4, 4), st.integers(1, 6)), min_size=1, max_size=14)


def _entry(footprint: Footprint, slope: float) -> float:
    """Return the depth at which the ray x = slope * z enters the rectangle, or infinity (slab test)."""
    low, high = footprint.near, footprint.far
    if slope == 0:
        return low if footprint.left < 0 < footprint.right else np.inf
    first, last = sorted((footprint.left / slope, footprint.right / slope))
    enter, leave = max(low, first), min(high, last)
    return enter if enter < leave - 1e-9 else np.inf


@given(CELLS, st.integers(0, 2**32 - 1))
def test_whatever_a_ray_meets_first_is_painted_last(cells, seed):
    rng = np.random.default_rng(seed)
    footprints = [
        Footprint(4 * x - rng.uniform(0.2, 1.9), 4 * x + rng.uniform(0.2, 1.9), 8 * z, 8 * z + rng.uniform(0.5, 7.9))
        for x, z in sorted(cells)
    ]
    place = {index: position for position, index in enumerate(painting_order(footprints))}
    for slope in np.linspace(-1.5, 1.5, 41):
        met = sorted((_entry(f, slope), index) for index, f in enumerate(footprints) if np.isfinite(_entry(f, slope)))
        positions = [place[index] for _, index in met]
        assert positions == sorted(positions, reverse=True)


def test_the_inner_of_two_things_side_by_side_hides_the_outer():
    wall, tram = Footprint(-12, -11, 10, 30), Footprint(-8, -6, 14, 36)
    assert painting_order([tram, wall]) == [1, 0]


def test_a_thing_in_front_of_a_long_one_is_painted_after_it():
    tram, person = Footprint(-8, -6, 14, 36), Footprint(-5, -4.5, 20, 20.5)
    assert painting_order([person, tram]) == [1, 0]


def test_things_that_stand_in_each_other_are_all_painted():
    order = painting_order([Footprint(-1, 1, 5, 9), Footprint(-2, 0.5, 4, 8), Footprint(-1.5, 2, 6, 7)])
    assert sorted(order) == [0, 1, 2]
