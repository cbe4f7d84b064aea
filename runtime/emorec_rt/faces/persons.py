"""Everyone in the picture: each face followed under an identity of its own.

Faces are detected now and then and followed in between, as ``FaceTracker`` does for the main one. A
detection goes to the person whose motion and look (colours of head and shoulders) it continues. Somebody who
was gone for a moment, behind another person or over a cut, is recognised by the look where that is clear, and
is a new person otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_rt.faces.box import Box, Face
from emorec_rt.faces.detector import FaceDetector
from emorec_rt.faces.tracker import (
    DETECT_EVERY_SECONDS,
    ROUNDING_SECONDS,
    SAME_FACE_IOU,
    CutDetector,
    smoothed,
)
from emorec_rt.media.types import Frame

CONFIRM_SECONDS: Final = 0.08
"""Time to the next detection while somebody is new, missing or moving."""

HIDDEN_SECONDS: Final = 0.6
"""A face that detections miss is shown where it was for this long."""

FOLLOW_SECONDS: Final = 1.5
"""Somebody hidden is expected where their motion leads for this long; later, the look alone decides."""

REACH_SIZES: Final = 0.9
"""Distance from the expected place, in face sizes, over which a detection can't continue a person."""

SAME_LOOK: Final = 0.75
"""Least likeness of looks, in [0, 1], by which somebody who was gone is recognised."""

CLEARLY: Final = 0.1
"""By how much the likest person must be ahead of the next one."""

LOOK_WEIGHT: Final = 1.0
"""Weight of the look beside the place, where a detection may continue either of two people."""

LOOK_SHARE: Final = 0.1
"""Weight of a new detection in a person's look."""

REMEMBERED: Final = 64
"""People who are gone and may come back."""

SMALLEST_PIXELS: Final = 40
"""Longer side of the smallest face that is looked for, in pixels of the frame."""

SEARCHED_PIXELS: Final = 21
"""Longer side of the smallest face that the detector finds, in pixels of the picture that it searches."""

LARGEST_SEARCH: Final = 1280
"""Longer side of the largest picture that is searched."""

_BINS: Final = (12, 4, 4)


@dataclass(frozen=True, slots=True)
class Tracked:
    """A face in a frame.

    Attributes:
        person: Identity, from 1; the same as long as the person is recognised.
        face: Smoothed box, and the detector's confidence.
    """

    person: int
    face: Face


@dataclass(slots=True, eq=False)
class _Person:
    look: NDArray[np.float32]
    target: Box
    shown: Box
    score: float
    seen_seconds: float
    identity: int = 0  # none before the second detection: a shadow is seen once
    velocity: tuple[float, float] = (0.0, 0.0)  # pixels a second
    moving: bool = field(default=False)

    def expected(self, time_seconds: float) -> Box:
        elapsed = min(time_seconds - self.seen_seconds, FOLLOW_SECONDS)
        return self.target.moved(self.velocity[0] * elapsed, self.velocity[1] * elapsed)


class PersonTracker:
    """Follow every face of one input; frames come once each, in presentation order.

    Args:
        detector: A detector that no other thread uses at the same time.
        most: Faces to follow at once, the largest first; ``None`` follows all.
    """

    def __init__(self, detector: FaceDetector, most: int | None = None) -> None:
        self._detector = detector
        self._most = most
        self._cuts = CutDetector()
        self._present: list[_Person] = []
        self._gone: list[_Person] = []
        self._detected_seconds = -math.inf
        self._last_seconds = -math.inf
        self._known = 0

    def update(self, frame: Frame) -> tuple[Tracked, ...]:
        """Everyone in this frame, by identity."""
        time = frame.pts_seconds
        if self._cuts.is_cut(frame.pixels):
            self._gone = (self._present + self._gone)[:REMEMBERED]
            self._gone = [person for person in self._gone if person.identity]
            self._present = []
            self._detected_seconds = -math.inf
        if not 0 <= time - self._detected_seconds < self._interval_seconds - ROUNDING_SECONDS:
            self._detect(frame)
        for person in self._present:
            person.shown = smoothed(person.shown, person.target, time - self._last_seconds)
        self._last_seconds = time
        shown = (p for p in self._present if p.identity and time - p.seen_seconds <= HIDDEN_SECONDS)
        return tuple(
            Tracked(p.identity, Face(p.shown, p.score)) for p in sorted(shown, key=lambda p: p.identity)
        )

    @property
    def _interval_seconds(self) -> float:
        settled = all(
            p.identity and not p.moving and p.seen_seconds == self._detected_seconds for p in self._present
        )
        return DETECT_EVERY_SECONDS if settled else CONFIRM_SECONDS

    def _detect(self, frame: Frame) -> None:
        time, pixels = frame.pts_seconds, frame.pixels
        self._detected_seconds = time
        faces = sorted(self._detector.detect(pixels, _search_side(pixels)), key=lambda f: -f.box.size)
        looks = [_look(pixels, face.box) for face in faces]
        left = set(range(len(faces)))
        missed = list(self._present)
        for person, index in _continued(self._present, faces, looks, time):
            left.discard(index)
            missed.remove(person)
            self._continue(person, faces[index], looks[index], time)
        first = not self._present
        for index in sorted(left):
            if self._most is None or len(self._present) < self._most:
                self._add(faces[index], looks[index], time, sure=first)
        for person in missed:
            self._look_closer(person, frame)
        self._part(time)

    def _look_closer(self, person: _Person, frame: Frame) -> None:
        """Search around somebody whom the whole picture did not show: there the face is larger."""
        place = person.expected(frame.pts_seconds)
        taken = [other.target for other in self._present if other is not person]
        near = [
            face
            for face in self._detector.detect_near(frame.pixels, place)
            if not any(face.box.iou(box) > SAME_FACE_IOU for box in taken)
        ]
        looks = [_look(frame.pixels, face.box) for face in near]
        for _, index in _continued([person], near, looks, frame.pts_seconds):
            self._continue(person, near[index], looks[index], frame.pts_seconds)

    def _continue(self, person: _Person, face: Face, look: NDArray[np.float32], time: float) -> None:
        elapsed = max(time - person.seen_seconds, 1e-3)
        moved = tuple(now - before for now, before in zip(face.box.center, person.target.center, strict=True))
        share = min(elapsed / DETECT_EVERY_SECONDS, 1.0) * 0.5
        person.velocity = tuple(  # type: ignore[assignment]
            (1 - share) * old + share * step / elapsed
            for old, step in zip(person.velocity, moved, strict=True)
        )
        person.moving = math.hypot(*person.velocity) > 0.2 * person.target.size
        person.look = (1 - LOOK_SHARE) * person.look + LOOK_SHARE * look
        person.target, person.score, person.seen_seconds = face.box, face.score, time
        if not person.identity:
            person.identity = self._recognise(person.look)

    def _recognise(self, look: NDArray[np.float32]) -> int:
        """The identity of somebody who was gone and has this look, or a new one."""
        likeness = sorted(((_alike(look, p.look), k) for k, p in enumerate(self._gone)), reverse=True)
        clear = len(likeness) == 1 or (len(likeness) > 1 and likeness[0][0] - likeness[1][0] >= CLEARLY)
        if likeness and clear and likeness[0][0] >= SAME_LOOK:
            return self._gone.pop(likeness[0][1]).identity
        self._known += 1
        return self._known

    def _add(self, face: Face, look: NDArray[np.float32], time: float, *, sure: bool) -> None:
        """Add somebody new; at the start and after a cut the first detection is enough."""
        person = _Person(look, face.box, face.box, face.score, time)
        if sure:
            person.identity = self._recognise(look)
        self._present.append(person)

    def _part(self, time: float) -> None:
        """Part with those who have been hidden for too long; a face seen once is forgotten."""
        gone = [
            person
            for person in self._present
            if time - person.seen_seconds > (FOLLOW_SECONDS if person.identity else CONFIRM_SECONDS)
        ]
        self._present = [person for person in self._present if person not in gone]
        self._gone = ([person for person in gone if person.identity] + self._gone)[:REMEMBERED]


def _continued(
    people: list[_Person], faces: list[Face], looks: list[NDArray[np.float32]], time: float
) -> Iterable[tuple[_Person, int]]:
    """Pairs of a person and the detection that continues them, the surest first."""
    scores = []
    for number, person in enumerate(people):
        place = person.expected(time)
        for index, (face, look) in enumerate(zip(faces, looks, strict=True)):
            distance = math.dist(face.box.center, place.center) / max(place.size, 1.0)
            ratio = face.box.size / max(place.size, 1.0)
            if distance <= REACH_SIZES and 0.5 <= ratio <= 2.0:
                nearness = 1.0 - distance / REACH_SIZES
                scores.append((nearness + LOOK_WEIGHT * _alike(person.look, look), number, index))
    used_people: set[int] = set()
    used_faces: set[int] = set()
    for _, number, index in sorted(scores, reverse=True):
        if number not in used_people and index not in used_faces:
            used_people.add(number)
            used_faces.add(index)
            yield people[number], index


def _search_side(pixels: NDArray[np.uint8]) -> int:
    """Longer side of the picture in which the smallest face that counts is still found."""
    side: int = max(pixels.shape[:2])
    return min(max(round(side * SEARCHED_PIXELS / SMALLEST_PIXELS), 320), LARGEST_SEARCH)


def _look(pixels: NDArray[np.uint8], box: Box) -> NDArray[np.float32]:
    """Colours of head and shoulders: a histogram in HSV, float32, its root summing to 1 in squares."""
    height, width = pixels.shape[:2]
    left, right = box.left - 0.3 * box.width, box.left + 1.3 * box.width
    top, bottom = box.top - 0.3 * box.height, box.top + 1.8 * box.height
    part = pixels[
        max(round(top), 0) : max(min(round(bottom), height), 1),
        max(round(left), 0) : max(min(round(right), width), 1),
    ]
    if not part.size:
        return np.zeros(math.prod(_BINS), np.float32)
    small = cv2.resize(part, (24, 32), interpolation=cv2.INTER_AREA)
    hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
    found = cv2.calcHist([hsv], [0, 1, 2], None, list(_BINS), [0, 180, 0, 256, 0, 256]).ravel()
    return np.asarray(np.sqrt(found / max(found.sum(), 1.0)), np.float32)


def _alike(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Bhattacharyya coefficient of two looks, in [0, 1]."""
    return float(one @ other)
