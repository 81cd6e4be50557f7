"""Compose a street: what stands where, and in which order it is painted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from fastscnn_opt.demo.scenes.camera import NEAR, Camera
from fastscnn_opt.demo.scenes.canvas import Canvas, Label
from fastscnn_opt.demo.scenes.cycles import draw_bicycle, draw_motorcycle
from fastscnn_opt.demo.scenes.furniture import draw_lamp_post, draw_sign, draw_traffic_light
from fastscnn_opt.demo.scenes.ground import StreetLayout, draw_ground, draw_horizon, draw_sky
from fastscnn_opt.demo.scenes.people import draw_person
from fastscnn_opt.demo.scenes.structures import draw_building, draw_fence, draw_wall
from fastscnn_opt.demo.scenes.texture import develop, pick, shade
from fastscnn_opt.demo.scenes.vegetation import draw_bush, draw_tree
from fastscnn_opt.demo.scenes.vehicles import draw_bus, draw_car, draw_tram, draw_truck

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")
Draw = Callable[[], None]
Standing = Callable[[Canvas, np.random.Generator, float, float], None]
Vehicle = Callable[[Canvas, np.random.Generator, float, float, float], None]

AHEAD, ONCOMING, ACROSS = 0.0, math.pi, math.pi / 2

ROOM: dict[Vehicle, tuple[float, float]] = {
    draw_car: (2.3, 0.95),
    draw_truck: (4.3, 1.25),
    draw_bus: (5.8, 1.3),
    draw_tram: (11.0, 1.25),
}
"""Half the length and half the width in metres that the largest vehicle of a kind takes."""


@dataclass(frozen=True)
class Footprint:
    """The rectangle of ground, in metres, on which something stands."""

    left: float
    right: float
    near: float
    far: float

    def overlaps(self, other: Footprint) -> bool:
        """Tell whether two things would stand in each other."""
        return self.left < other.right and other.left < self.right and self.near < other.far and other.near < self.far


@dataclass
class Street:
    """What stands in a scene so far, each with its footprint and the call that draws it."""

    canvas: Canvas
    rng: np.random.Generator
    layout: StreetLayout
    footprints: list[Footprint] = field(default_factory=list)
    draws: list[Draw] = field(default_factory=list)

    def add(self, footprint: Footprint, draw: Draw) -> bool:
        """Add a thing unless something stands there already; tell whether it was added."""
        if any(footprint.overlaps(other) for other in self.footprints):
            return False
        self.footprints.append(footprint)
        self.draws.append(draw)
        return True

    def paint(self) -> None:
        """Draw everything, each thing after all that it may hide."""
        for index in painting_order(self.footprints):
            self.draws[index]()


def painting_order(footprints: list[Footprint]) -> list[int]:
    """Return indices such that whatever hides another, seen from the origin, comes after it.

    Of two rectangles that share a direction, the nearer one hides the other; where their depths overlap, the one closer
    to the line of sight x = 0 does.
    """
    left, right, near, far = np.array([(f.left, f.right, max(f.near, NEAR), f.far) for f in footprints]).T
    first, last = np.minimum(left / near, left / far), np.maximum(right / near, right / far)
    aside = np.where(left * right <= 0, 0.0, np.minimum(abs(left), abs(right)))
    shared = (first[:, None] < last) & (first < last[:, None])
    apart = near[:, None] >= far
    mixed = ~apart & ~apart.T
    behind = shared & (apart | (mixed & (aside[:, None] > aside)))
    order: list[int] = []
    waiting = np.ones(len(footprints), dtype=bool)
    while waiting.any():
        free = waiting & ~(behind & waiting[:, None]).any(axis=0)
        # Rectangles cannot hide each other in a circle unless they touch; then the farthest goes first.
        chosen = int(np.argmax(np.where(free if free.any() else waiting, far, -np.inf)))
        order.append(chosen)
        waiting[chosen] = False
    return order


def render_scene(seed: int, *, height: int = 1024, width: int = 2048) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Render the street scene of a seed.

    Return the image, (height, width, 3) RGB uint8, and its label map, (height, width) uint8, with the Cityscapes
    trainIds 0..18 and 255 for the car bonnet and the image rim, which count in no metric. The same arguments give the
    same bytes on every run. The geometry scales with ``height``.
    """
    rng = np.random.default_rng(seed)
    camera = Camera.random(rng, height, width)
    haze = pick(rng, ((205, 212, 220), (222, 222, 220), (196, 204, 214)), 8)
    canvas = Canvas(camera, np.random.default_rng((seed, 1)), haze, rng.uniform(110, 220))
    layout = StreetLayout.random(rng)
    draw_sky(canvas, rng)
    draw_horizon(canvas, rng)
    draw_ground(canvas, rng, layout)
    street = Street(canvas, rng, layout)
    _add_frontage(street, layout.left_front, camera.visible_from(layout.left_front) * 0.85)
    _add_frontage(street, layout.right_front, camera.visible_from(layout.right_front) * 0.85)
    _add_traffic(street)
    _add_cycles(street)
    _add_furniture(street)
    _add_people(street)
    street.paint()
    _cover_rim(canvas, rng)
    return develop(rng, canvas.picture), np.asarray(canvas.labels, dtype=np.uint8).copy()


def _shuffled(rng: np.random.Generator, items: Sequence[T]) -> list[T]:
    return [items[int(index)] for index in rng.permutation(len(items))]


def _add_frontage(street: Street, front: float, start: float) -> None:
    """Line one side of the street with buildings, walls, fences and hedges."""
    canvas, rng = street.canvas, street.rng
    out = 1 if front > 0 else -1
    first = _shuffled(rng, ["wall", "fence", "building"])
    z = start
    while z < 100:
        kind = first.pop(0) if first else str(rng.choice(["building", "building", "building", "green"]))
        length = rng.uniform(9, 13) if kind in ("wall", "fence") else rng.uniform(12, 18)
        near, far = z, z + length
        if kind == "building":
            _stand(
                street, (front, front + 10 * out), (near, far), partial(draw_building, canvas, rng, front, near, far)
            )
        else:
            if kind != "green":
                draw = draw_wall if kind == "wall" else draw_fence
                _stand(street, (front, front + 0.3 * out), (near, far), partial(draw, canvas, rng, front, near, far))
            _add_yard(street, front, near, far, built=rng.uniform() < 0.6)
        z = far + 0.01


def _add_yard(street: Street, front: float, near: float, far: float, *, built: bool) -> None:
    """Fill the ground behind the line of house fronts: trees and bushes, and a house set back or more trees."""
    canvas, rng = street.canvas, street.rng
    out = 1 if front > 0 else -1
    back = front + 8 * out
    if built:
        _stand(street, (back, back + 10 * out), (near, far), partial(draw_building, canvas, rng, back, near, far))
    depths = (4.5,) if built else (4.5, 8.5, 12.5)
    for depth in depths:
        for share in (0.25, 0.75):
            x, z = front + (depth + rng.uniform(-1, 1)) * out, near + share * (far - near)
            _plant(street, draw_tree, x, z, 0.9)
    for share in (0.1, 0.5, 0.9):
        if rng.uniform() < 0.7:
            _plant(street, draw_bush, front + 1.8 * out, near + share * (far - near), 0.6)


def _plant(street: Street, draw: Standing, x: float, z: float, half: float) -> bool:
    canvas, rng = street.canvas, street.rng
    return street.add(Footprint(x - half, x + half, z - half, z + half), partial(draw, canvas, rng, x, z))


def _stand(street: Street, sides: tuple[float, float], depths: tuple[float, float], draw: Draw) -> bool:
    left, right = sorted(sides)
    return street.add(Footprint(left, right, *depths), draw)


def _drive(street: Street, draw: Vehicle, x: float, near: float, yaw: float) -> bool:
    """Put a vehicle whose near end is at ``near`` on the road."""
    canvas, rng = street.canvas, street.rng
    half_length, half_width = ROOM[draw]
    z = near + half_length
    footprint = Footprint(x - half_width, x + half_width, near, near + 2 * half_length)
    return street.add(footprint, partial(draw, canvas, rng, x, z, yaw))


def _add_traffic(street: Street) -> None:
    """Put a tram on its line, and cars, a truck and a bus on the lanes and in the parking bay."""
    rng, layout = street.rng, street.layout
    bay, tram = layout.right_kerb - 1.2, layout.tram_line
    if rng.uniform() < 0.92:
        _drive(street, draw_tram, tram, rng.uniform(12, 17), AHEAD if rng.uniform() < 0.5 else ONCOMING)
    else:
        _drive(street, draw_bus, tram, rng.uniform(13, 19), ONCOMING)
    places = [
        (rng.uniform(-0.2, 0.2), rng.uniform(15, 22), AHEAD),
        (-3.5, rng.uniform(16, 24), ONCOMING),
        (bay, rng.uniform(13, 20), AHEAD),
    ]
    for draw, (x, near, yaw) in zip(_shuffled(rng, [draw_truck, draw_bus, draw_car]), places, strict=True):
        _drive(street, draw, x, near, yaw + rng.uniform(-0.03, 0.03))
    if rng.uniform() < 0.3:
        x, z = rng.uniform(-4, 2), rng.uniform(10, 16)
        turn = ACROSS * float(rng.choice((-1.0, 1.0))) + rng.uniform(-0.4, 0.4)
        crossing = partial(draw_car, street.canvas, rng, x, z, turn)
        _stand(street, (x - 2.3, x + 2.3), (z - 1.3, z + 1.3), crossing)
    for _ in range(8):
        lane, yaw = ((-3.5, ONCOMING), (bay, AHEAD), (0.0, AHEAD), (tram, ONCOMING))[int(rng.integers(4))]
        _drive(street, draw_car, lane, rng.uniform(7.5, 45), yaw + rng.uniform(-0.04, 0.04))


def _add_cycles(street: Street) -> None:
    """Put motorcycles and bicycles on the road, and some without a rider on the pavement."""
    canvas, rng, layout = street.canvas, street.rng, street.layout
    for draw, x, ridden in (
        (draw_motorcycle, rng.choice((-1.4, 1.3)), True),
        (draw_bicycle, rng.choice((-1.0, 2.0)), True),
        (draw_motorcycle, layout.right_kerb - 0.8, rng.uniform() < 0.4),
        (draw_bicycle, layout.right_front - 0.8, False),
        (draw_bicycle, layout.left_kerb + 0.8, True),
        (draw_motorcycle, layout.left_kerb - layout.left_verge - 0.8, False),
    ):
        for _ in range(3):
            z = max(rng.uniform(7.0, 15.0), rng.uniform(1.1, 1.7) * canvas.camera.visible_from(x))
            footprint = Footprint(x - 0.9, x + 0.9, z - 0.35, z + 0.35)
            if street.add(footprint, partial(draw, canvas, rng, x, z, ridden=ridden)):
                break


def _add_furniture(street: Street) -> None:
    """Line both kerbs with lamp posts, signs, traffic lights and a few trees."""
    rng, layout, camera = street.rng, street.layout, street.canvas.camera
    for kerb, out in ((layout.left_kerb, -1), (layout.right_kerb, 1)):
        x = kerb + 0.45 * out
        z = max(7.0, camera.visible_from(x) * 1.06)
        kinds = _shuffled(rng, [draw_traffic_light, draw_sign, draw_lamp_post])
        kinds += _shuffled(rng, [draw_traffic_light, draw_sign, draw_sign, draw_lamp_post, draw_tree])
        for draw in kinds:
            far = z > 26 and draw is not draw_lamp_post
            _plant(street, draw_lamp_post if far else draw, x, z, 0.25)
            z += rng.uniform(2.2, 5.0)


def _add_people(street: Street) -> None:
    """Let people walk on both pavements and one or two cross the road."""
    rng, layout, camera = street.rng, street.layout, street.canvas.camera
    for kerb, front, verge in (
        (layout.left_kerb, layout.left_front, -layout.left_verge),
        (layout.right_kerb, layout.right_front, layout.right_verge),
    ):
        for _ in range(int(rng.integers(4, 8))):
            x = kerb + verge + rng.uniform(0.15, 0.85) * (front - kerb - verge)
            _plant(street, draw_person, x, camera.visible_from(x) * rng.uniform(1.05, 2.6), 0.3)
    for _ in range(int(rng.integers(1, 4))):
        _plant(street, draw_person, rng.uniform(-6, 4), rng.uniform(8, 18), 0.3)


def _cover_rim(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint the bonnet of the car that carries the camera, and take a thin rim out of the labels."""
    camera = canvas.camera
    colour = pick(rng, ((40, 42, 46), (150, 152, 156), (110, 30, 30), (40, 60, 100)))
    top = camera.height - round(camera.height * rng.uniform(0.05, 0.075))
    for share, gain in ((0.0, 1.0), (0.35, 1.12)):
        rise = round((camera.height - top) * (1 - share))
        box = (-camera.width // 5, camera.height - rise, camera.width + camera.width // 5, camera.height + 3 * rise)
        canvas.ellipse(box, shade(colour, gain), Label.IGNORE)
    rim = camera.pixels(4)
    for box in ((0, 0, rim, camera.height), (camera.width - rim, 0, camera.width, camera.height)):
        canvas.labels.paste(int(Label.IGNORE), box)
