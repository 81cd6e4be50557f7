"""Cars, trucks, buses and trams: side profiles, extruded across their width and seen in perspective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastscnn_opt.demo.scenes.canvas import Canvas, Label
from fastscnn_opt.demo.scenes.texture import GLASS, PAINT, Colour, pick, shade

if TYPE_CHECKING:
    import numpy as np

    from fastscnn_opt.demo.scenes.camera import Point

Outline = Sequence[tuple[float, float]]
TYRE: Colour = (24, 24, 26)


class VehicleBody:
    """A vehicle at (x, z) that points ``yaw`` radians to the right of straight ahead.

    Its own axes: along (metres ahead of the middle), across (metres right of it) and up.
    """

    def __init__(
        self, canvas: Canvas, label: Label, pose: tuple[float, float, float], size: tuple[float, float]
    ) -> None:
        self.canvas, self.label = canvas, label
        self.x, self.z, yaw = pose
        self.length, self.width = size
        self._ahead = (math.sin(yaw), math.cos(yaw))
        self._right = (math.cos(yaw), -math.sin(yaw))
        self.front_seen = self._seen(self.length / 2, 0.0, 1, 0)
        self.rear_seen = self._seen(-self.length / 2, 0.0, -1, 0)
        right, left = self._seen(0.0, self.width / 2, 0, 1), self._seen(0.0, -self.width / 2, 0, -1)
        self.side = 1 if right else -1 if left else 0

    def at(self, along: float, across: float, up: float) -> Point:
        """Return the point of the world."""
        return (
            self.x + along * self._ahead[0] + across * self._right[0],
            up,
            self.z + along * self._ahead[1] + across * self._right[1],
        )

    def shadow(self) -> None:
        """Darken the ground below and around the vehicle."""
        for grow, opacity in ((0.35, 0.3), (0.0, 0.55)):
            a, c = self.length / 2 + grow, self.width / 2 + grow
            corners = [self.at(along, across, 0.0) for along, across in ((-a, -c), (-a, c), (a, c), (a, -c))]
            self.canvas.tint(self.canvas.camera.project(corners), (12, 12, 18), opacity)

    def shell(self, profile: Outline, colour: Colour) -> None:
        """Draw the faces of an extruded profile (along, up), given counter-clockwise, that face the camera."""
        half, eye = self.width / 2, self.canvas.camera.eye
        faces: list[tuple[float, list[Point], Colour]] = []
        for (a0, y0), (a1, y1) in zip(profile, [*profile[1:], profile[0]], strict=True):
            normal_a, normal_y = y1 - y0, a0 - a1
            middle = self.at((a0 + a1) / 2, 0.0, (y0 + y1) / 2)
            facing = -normal_a * (middle[0] * self._ahead[0] + middle[2] * self._ahead[1])
            if facing + normal_y * (eye - middle[1]) <= 0:
                continue
            slope = normal_y / (math.hypot(normal_a, normal_y) or 1.0)
            quad = [self.at(a0, -half, y0), self.at(a0, half, y0), self.at(a1, half, y1), self.at(a1, -half, y1)]
            faces.append((middle[2], quad, shade(colour, 0.92 + 0.22 * slope)))
        for _, quad, tone in sorted(faces, key=lambda item: -item[0]):
            self.canvas.face(quad, tone, self.label)
        if self.side:
            self.on_side(profile, shade(colour, 0.8))

    def on_side(self, outline: Outline, colour: Colour) -> None:
        """Fill a polygon (along, up) on the long side that is seen, if one is."""
        if self.side:
            across = self.side * self.width / 2
            self.canvas.face([self.at(a, across, y) for a, y in outline], colour, self.label)

    def on_end(self, along: float, box: tuple[float, float, float, float], colour: Colour) -> None:
        """Fill a box (left, low, right, high) across the vehicle at ``along``, if that end is seen."""
        if self.front_seen if along > 0 else self.rear_seen:
            left, low, right, high = box
            corners = ((left, low), (right, low), (right, high), (left, high))
            self.canvas.face([self.at(along, c, y) for c, y in corners], colour, self.label)

    def on_slope(self, low: tuple[float, float], high: tuple[float, float], colour: Colour) -> None:
        """Fill the middle of the face between two points of the profile; the front one if ``low`` is ahead."""
        if self.front_seen if low[0] > 0 else self.rear_seen:
            half = self.width / 2
            (a0, y0), (a1, y1) = (_between(low, high, 0.1), _between(low, high, 0.9))
            quad = [
                self.at(a0, -half * 0.9, y0),
                self.at(a0, half * 0.9, y0),
                self.at(a1, half * 0.8, y1),
                self.at(a1, -half * 0.8, y1),
            ]
            self.canvas.face(quad, colour, self.label)

    def wheels(self, positions: Sequence[float], radius: float) -> None:
        """Draw the wheels of the seen side."""
        for along in positions:
            for share, colour in ((1.0, TYRE), (0.6, (140, 142, 146)), (0.25, (60, 62, 64))):
                steps = [2 * math.pi * step / 16 for step in range(16)]
                rim = [(along + share * radius * math.cos(t), radius + share * radius * math.sin(t)) for t in steps]
                self.on_side(rim, colour)

    def tyres(self, high: float = 0.5) -> None:
        """Draw the tyres that are seen below the end that faces the camera."""
        half = self.width / 2
        for along in (-self.length / 2 + 0.3, self.length / 2 - 0.3):
            self.on_end(along, (-half, 0.0, -half + 0.24, high), TYRE)
            self.on_end(along, (half - 0.24, 0.0, half, high), TYRE)

    def lamps(self, low: float, high: float, width: float = 0.34) -> None:
        """Draw white lamps in front and red ones behind."""
        half, end = self.width / 2, self.length / 2
        for along, colour in ((end, (240, 238, 220)), (-end, (180, 24, 28))):
            self.on_end(along, (-half + 0.06, low, -half + 0.06 + width, high), colour)
            self.on_end(along, (half - 0.06 - width, low, half - 0.06, high), colour)
            self.on_end(along, (-0.26, low - 0.22, 0.26, low - 0.08), (232, 230, 220))

    def _seen(self, along: float, across: float, sign_along: int, sign_across: int) -> bool:
        x, _, z = self.at(along, across, 0.0)
        normal_x = sign_along * self._ahead[0] + sign_across * self._right[0]
        normal_z = sign_along * self._ahead[1] + sign_across * self._right[1]
        return -(x * normal_x + z * normal_z) > 0


def _between(first: tuple[float, float], second: tuple[float, float], share: float) -> tuple[float, float]:
    return first[0] + share * (second[0] - first[0]), first[1] + share * (second[1] - first[1])


def _box(back: float, front: float, low: float, high: float, rounding: float = 0.0) -> list[tuple[float, float]]:
    """Return a counter-clockwise rectangle (along, up) with its upper corners cut by ``rounding``."""
    return [
        (back, low),
        (front, low),
        (front, high - rounding),
        (front - rounding, high),
        (back + rounding, high),
        (back, high - rounding),
    ]


def draw_car(canvas: Canvas, rng: np.random.Generator, x: float, z: float, yaw: float) -> None:
    """Draw a saloon or an estate of any colour."""
    length, height, boot = rng.uniform(4.1, 4.6), rng.uniform(1.42, 1.58), rng.choice((0.25, 0.85))
    body = VehicleBody(canvas, Label.CAR, (x, z, yaw), (length, rng.uniform(1.75, 1.85)))
    colour, glass, end = pick(rng, PAINT), pick(rng, GLASS, 8), length / 2
    rear_low, rear_high = (-end + boot * 0.6, 0.95), (-end + boot + 0.35, height)
    front_low, front_high = (end - 1.15, 0.95), (end - 1.9, height)
    profile = [
        (-end, 0.26),
        (end, 0.26),
        (end, 0.68),
        (end - 0.15, 0.8),
        front_low,
        front_high,
        rear_high,
        rear_low,
        (-end, 0.88),
    ]
    body.shadow()
    body.tyres()
    body.shell(profile, colour)
    body.on_side([(-end, 0.26), (end, 0.26), (end, 0.48), (-end, 0.48)], shade(colour, 0.6))
    body.on_slope(rear_low, rear_high, glass)
    body.on_slope(front_low, front_high, glass)
    roof = height - 0.09
    post = (rear_high[0] + front_high[0]) / 2
    for start, stop, lean_back, lean_front in (
        (rear_low[0] + 0.14, post - 0.05, rear_high[0] - rear_low[0] - 0.08, 0.0),
        (post + 0.05, front_low[0] - 0.14, 0.0, front_low[0] - front_high[0] - 0.1),
    ):
        body.on_side([(start, 0.96), (stop, 0.96), (stop - lean_front, roof), (start + lean_back, roof)], glass)
    body.on_side(
        [(post - 0.02, 0.3), (post + 0.02, 0.3), (post + 0.02, 0.95), (post - 0.02, 0.95)], shade(colour, 0.55)
    )
    body.wheels((-end + 0.8, end - 0.85), 0.33)
    body.lamps(0.62, 0.82)
    for along in (-end, end):
        body.on_end(along, (-0.8, 0.27, 0.8, 0.4), (40, 40, 42))


def draw_truck(canvas: Canvas, rng: np.random.Generator, x: float, z: float, yaw: float) -> None:
    """Draw a cab with a windscreen and, behind a gap, a high box without windows."""
    length, height = rng.uniform(6.8, 8.5), rng.uniform(3.2, 3.7)
    body = VehicleBody(canvas, Label.TRUCK, (x, z, yaw), (length, 2.4))
    cab, cargo, end, half = pick(rng, PAINT), pick(rng, (*PAINT, (220, 220, 216), (200, 190, 160))), length / 2, 1.2
    dark, nose = (38, 38, 42), end - 1.9
    body.shadow()
    body.tyres(0.95)
    parts = [
        (_box(-end, nose, 0.55, 0.95), dark),
        (_box(nose, end, 0.45, 2.65, 0.18), cab),
        (_box(-end, nose - 0.25, 0.95, height), cargo),
    ]
    if body.front_seen:
        parts = [parts[0], parts[2], parts[1]]
    for profile, colour in parts:
        body.shell(profile, colour)
    glass = pick(rng, GLASS, 8)
    body.on_end(end, (-half + 0.15, 1.5, half - 0.15, 2.4), glass)
    body.on_end(end, (-half + 0.25, 0.7, half - 0.25, 1.2), dark)
    body.on_side([(nose + 0.45, 1.5), (end - 0.25, 1.5), (end - 0.35, 2.35), (nose + 0.45, 2.35)], glass)
    rib = shade(cargo, 0.62)
    for step in range(1, 6):
        along = -end + step * (length - 2.15) / 6
        body.on_side([(along, 0.95), (along + 0.07, 0.95), (along + 0.07, height), (along, height)], rib)
    for across in (-half, -0.05, half - 0.1):
        body.on_end(-end, (across, 0.95, across + 0.1, height), rib)
    for up in (0.95, height - 0.1):
        body.on_end(-end, (-half, up, half, up + 0.1), rib)
    for step in range(8):
        stripe = (200, 40, 36) if step % 2 else (230, 226, 220)
        body.on_end(-end, (-half + step * 0.3, 0.6, -half + (step + 1) * 0.3, 0.82), stripe)
    body.wheels((-end + 1.0, -end + 2.1, end - 1.0), 0.5)
    body.lamps(0.62, 0.84, 0.26)


def draw_bus(canvas: Canvas, rng: np.random.Generator, x: float, z: float, yaw: float) -> None:
    """Draw a long body with one row of big windows, doors, and a display above the windscreen."""
    length, height, half = rng.uniform(9.5, 11.5), rng.uniform(3.0, 3.2), 1.25
    body = VehicleBody(canvas, Label.BUS, (x, z, yaw), (length, 2 * half))
    colour, glass, end = pick(rng, PAINT), pick(rng, GLASS, 8), length / 2
    body.shadow()
    body.tyres()
    body.shell(_box(-end, end, 0.32, height, 0.12), colour)
    _window_band(body, (-end + 0.3, end - 0.2), (1.25, 2.5), 1.5, glass)
    body.on_side([(-end, 0.32), (end, 0.32), (end, 0.55), (-end, 0.55)], shade(colour, 0.5))
    for door in (end - 1.5, 0.0):
        body.on_side([(door, 0.45), (door + 1.1, 0.45), (door + 1.1, 2.5), (door, 2.5)], shade(glass, 0.75))
    body.on_end(end, (-half + 0.1, 1.05, half - 0.1, 2.45), glass)
    body.on_end(-end, (-half + 0.2, 1.6, half - 0.2, 2.5), glass)
    body.on_end(-end, (-0.8, 0.6, 0.8, 1.2), shade(colour, 0.6))
    for along in (-end, end):
        body.on_end(along, (-0.8, 2.58, 0.8, 2.9), (18, 18, 20))
        body.on_end(along, (-0.6, 2.66, 0.6, 2.82), (240, 170, 40))
    body.wheels((-end + 2.3, end - 2.4), 0.48)
    body.lamps(0.66, 0.92, 0.3)


def draw_tram(canvas: Canvas, rng: np.random.Generator, x: float, z: float, yaw: float) -> None:
    """Draw a long car on rails: striped, without visible wheels, with joints and a pantograph."""
    length, height, half = rng.uniform(15.0, 22.0), rng.uniform(3.4, 3.6), 1.2
    body = VehicleBody(canvas, Label.TRAIN, (x, z, yaw), (length, 2 * half))
    colour, stripe, glass, end = pick(rng, PAINT), pick(rng, PAINT), pick(rng, GLASS, 8), length / 2
    body.shadow()
    _pantograph(body, height)
    body.shell(
        [
            (-end + 0.2, 0.12),
            (end - 0.2, 0.12),
            (end, 1.2),
            (end - 0.55, height - 0.15),
            (end - 0.9, height),
            (-end + 0.9, height),
            (-end + 0.55, height - 0.15),
            (-end, 1.2),
        ],
        colour,
    )
    for low, high, tone in ((0.12, 0.4, (46, 46, 50)), (0.75, 1.05, stripe), (height - 0.5, height - 0.25, stripe)):
        body.on_side([(-end + 0.2, low), (end - 0.2, low), (end - 0.2, high), (-end + 0.2, high)], tone)
    _window_band(body, (-end + 0.8, end - 0.8), (1.45, 2.7), 1.15, glass)
    joints = 3
    for joint in range(1, joints):
        along = -end + joint * length / joints
        body.on_side(
            [(along - 0.25, 0.12), (along + 0.25, 0.12), (along + 0.25, height), (along - 0.25, height)], (44, 44, 48)
        )
    for sign in (-1, 1):
        body.on_end(sign * end, (-half, 0.75, half, 1.05), stripe)
        body.on_slope((sign * end, 1.25), (sign * (end - 0.5), height - 0.5), glass)
    body.lamps(0.5, 0.7, 0.4)


def _window_band(
    body: VehicleBody, span: tuple[float, float], heights: tuple[float, float], pitch: float, glass: Colour
) -> None:
    count = max(2, int((span[1] - span[0]) / pitch))
    pitch = (span[1] - span[0]) / count
    (low, high), gap = heights, 0.07
    for index in range(count):
        left, right = span[0] + index * pitch + gap, span[0] + (index + 1) * pitch - gap
        body.on_side([(left, low), (right, low), (right, high), (left, high)], shade(glass, 0.85 + 0.3 * (index % 2)))


def _pantograph(body: VehicleBody, roof: float) -> None:
    """Draw the current collector as bars of the tram's own label."""
    dark, middle = (50, 50, 54), body.length * 0.12
    for a0, y0, a1, y1 in ((0.0, 0.0, 0.9, 0.55), (0.9, 0.55, 0.2, 1.15)):
        quad = [
            body.at(middle + a, c, roof + y)
            for a, y, c in ((a0, y0, -0.1), (a0, y0, 0.1), (a1, y1, 0.1), (a1, y1, -0.1))
        ]
        body.canvas.face(quad, dark, body.label)
    bow = [body.at(middle + 0.2, c, roof + y) for c, y in ((-0.9, 1.1), (0.9, 1.1), (0.9, 1.2), (-0.9, 1.2))]
    body.canvas.face(bow, dark, body.label)
