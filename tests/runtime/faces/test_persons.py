"""Everyone in the picture: identities that hold through crossing, leaving and coming back."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from emorec_rt.faces import FaceDetector
from emorec_rt.faces.persons import PersonTracker
from two_people import SIZE, scenes


@pytest.mark.parametrize(
    "motion", [{"crossing": False, "leaving": False}, {"leaving": False}, {}], ids=["apart", "cross", "leave"]
)
def test_identities_never_swap_and_faces_are_found(motion: dict[str, bool]) -> None:
    tracker = PersonTracker(FaceDetector())
    owners = Counter[int](), Counter[int]()
    visible = [0, 0]
    for scene in scenes(60.0, **motion):
        found = tracker.update(scene.frame)
        for number, center in enumerate(scene.centers):
            if center is None:
                continue
            visible[number] += 1
            nearest = min(found, key=lambda tracked: math.dist(tracked.face.box.center, center), default=None)
            if nearest is not None and math.dist(nearest.face.box.center, center) < 60.0:
                owners[number][nearest.person] += 1
    for number in range(2):
        assert len(owners[number]) == 1, owners
        assert owners[number].total() >= 0.98 * visible[number]
    assert set(owners[0]) != set(owners[1])


def test_so_many_at_once() -> None:
    tracker = PersonTracker(FaceDetector(), most=1)
    assert {len(tracker.update(scene.frame)) for scene in scenes(2.0, crossing=False)} == {1}


def test_boxes_stay_in_pixels_of_the_frame() -> None:
    tracker = PersonTracker(FaceDetector())
    for scene in scenes(1.0):
        for tracked in tracker.update(scene.frame):
            assert 0 <= tracked.face.box.center[0] <= SIZE[0]
            assert 0 <= tracked.face.box.center[1] <= SIZE[1]
