"""The places of labels in a plot."""

from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.report.point_labels import Frame, place

FRAME = Frame((0.0, 100.0), (0.0, 100.0), 1000, 500)


def test_a_lone_label_stands_beside_its_point():
    (label,) = place(FRAME, [(50, 50)], ["name"], 12)
    assert (label.align, label.y, label.text) == ("left", 50, "name")
    assert 50 < label.x < 52


def test_a_label_at_the_right_edge_goes_to_the_left():
    (label,) = place(FRAME, [(99, 50)], ["a rather long name"], 12)
    assert label.align == "right"
    assert label.x < 99


def test_a_label_does_not_cross_a_line():
    (label,) = place(FRAME, [(50, 50)], ["name"], 12, lines=[(0, 50, 100, 50)])
    assert label.y != 50


def test_a_label_far_from_its_point_is_marked_as_distant():
    wall = [(0, y, 100, y) for y in range(47, 54)]
    (near,) = place(FRAME, [(50, 50)], ["name"], 12)
    (away,) = place(FRAME, [(50, 50)], ["name"], 12, lines=wall)
    assert (near.is_distant, away.is_distant) == (False, True)
    assert (away.point_x, away.point_y) == (50, 50)


def test_a_label_without_room_is_left_out():
    assert place(Frame((0, 1), (0, 1), 20, 10), [(0.5, 0.5)], ["name"], 12) == []


def test_a_long_name_is_cut():
    (label,) = place(FRAME, [(50, 50)], ["x" * 1000], 12)
    assert label.text == "x" * 25 + "…"


coordinates = st.floats(5, 95).map(lambda value: round(value, 3))


@given(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=12))
def test_labels_never_overlap(points):
    labels = place(FRAME, points, [f"row {index}" for index in range(len(points))], 12)
    boxes = []
    for label in labels:
        x, y = label.x * 10, (100 - label.y) * 5
        width = len(label.text) * 12 * 0.58
        left = {"left": x, "right": x - width, "center": x - width / 2}[label.align]
        boxes.append((left, y - 7.2, left + width, y + 7.2))
    for index, one in enumerate(boxes):
        for other in boxes[index + 1 :]:
            assert (
                one[0] >= other[2] - 1e-6
                or other[0] >= one[2] - 1e-6
                or one[1] >= other[3] - 1e-6
                or other[1] >= one[3] - 1e-6
            )


@given(st.lists(st.fixed_dictionaries({"low": coordinates, "high": coordinates, "miou": coordinates}), min_size=1))
def test_every_point_lies_inside_its_frame(points):
    frame = Frame.around(points, 300, 200)
    for point in points:
        for value in (point["low"], point["high"]):
            right, down = frame.pixel(value, point["miou"])
            assert 0 < right < 300
            assert 0 < down < 200
            assert abs(frame.value(right, down)[0] - value) < 1e-6
