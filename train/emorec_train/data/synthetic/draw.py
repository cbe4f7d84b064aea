"""From a seed to a clip: everything is drawn in a fixed order from independent random streams of one seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_train.data.synthetic.contours import trace
from emorec_train.data.synthetic.head import draw_head
from emorec_train.data.synthetic.identity import draw_identity
from emorec_train.data.synthetic.measures import measures_at
from emorec_train.data.synthetic.motion import Motion
from emorec_train.data.synthetic.render import Person, Renderer, head_boxes
from emorec_train.data.synthetic.room import record
from emorec_train.data.synthetic.scene import (
    Pose,
    draw_background,
    draw_blinks,
    draw_camera,
    draw_gaze,
    draw_occluder,
    draw_pose,
)
from emorec_train.data.synthetic.speech import Syllable, draw_syllables, mouth_opening_at
from emorec_train.data.synthetic.timeline import Segment, action_units_at, draw_segments, labels_at
from emorec_train.data.synthetic.types import Clip, ClipSpec
from emorec_train.data.synthetic.voice import draw_speaker, speak

_DEFAULT_SPEC: Final = ClipSpec()
_STREAMS: Final = ("segments", "syllables", "identity", "motion", "scene", "camera", "voice", "room", "place")


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """A clip whose frames are drawn one at a time, so that its length costs no memory.

    Attributes:
        seed: What it is drawn from.
        spec: What was asked for.
        times_seconds: float64 ``[T]``.
        pcm: float32 ``[N]``, 16 kHz mono.
        labels: int64 ``[T]``, index into ``EXPRESSIONS``.
        measures: float32 ``[T, M]``, valence, arousal and action units, see ``measures``.
        boxes: float32 ``[T, 4]``, the head without hair.
    """

    seed: int
    spec: ClipSpec
    times_seconds: NDArray[np.float64]
    pcm: NDArray[np.float32]
    labels: NDArray[np.int64]
    measures: NDArray[np.float32]
    boxes: NDArray[np.float32]
    _renderer: Renderer

    def iter_frames(self) -> Iterator[NDArray[np.uint8]]:
        """Yield each frame, uint8 ``[H, W, 3]``; every call draws the same frames again."""
        return self._renderer.frames(_stream(self.seed, "camera"))


def draw_clip(seed: int, spec: ClipSpec = _DEFAULT_SPEC) -> Clip:
    """Draw a whole clip: the same seed and spec give the same clip (with the same library versions)."""
    plan = plan_clip(seed, spec)
    frames = np.empty((spec.frame_count, spec.height, spec.width, 3), dtype=np.uint8)
    for index, frame in enumerate(plan.iter_frames()):
        frames[index] = frame
    return Clip(seed, spec, frames, plan.times_seconds, plan.pcm, plan.labels, plan.boxes)


def plan_clip(seed: int, spec: ClipSpec = _DEFAULT_SPEC) -> ClipPlan:
    """Draw everything of a clip but its frames."""
    times = np.arange(spec.frame_count) / spec.fps
    segments = draw_segments(_stream(seed, "segments"), spec)
    syllables = draw_syllables(_stream(seed, "syllables"), segments)
    pose = draw_pose(_stream(seed, "scene"), spec, times)
    person = _draw_person(seed, segments, syllables, times)
    return ClipPlan(
        seed=seed,
        spec=spec,
        times_seconds=times,
        pcm=_draw_sound(seed, spec, syllables),
        labels=labels_at(segments, times),
        measures=measures_at(segments, times),
        boxes=head_boxes(person, pose),
        _renderer=_make_renderer(seed, spec, person, pose, times),
    )


def _stream(seed: int, name: str) -> np.random.Generator:
    """One independent stream a purpose: a change in one part leaves the draws of the others alone."""
    return np.random.default_rng((seed, _STREAMS.index(name)))


def _draw_person(
    seed: int,
    segments: tuple[Segment, ...],
    syllables: tuple[Syllable, ...],
    times_seconds: NDArray[np.float64],
) -> Person:
    rng = _stream(seed, "identity")
    identity = draw_identity(rng)
    head = draw_head(rng, identity)
    rng = _stream(seed, "motion")
    motion = Motion(
        units=action_units_at(segments, times_seconds),
        blink=draw_blinks(rng, times_seconds),
        gaze=draw_gaze(rng, times_seconds),
        speech=mouth_opening_at(syllables, times_seconds) * rng.uniform(0.3, 0.8),
    )
    return Person(identity, head, trace(identity, motion), motion.jaw()[:, 0])


def _draw_sound(seed: int, spec: ClipSpec, syllables: tuple[Syllable, ...]) -> NDArray[np.float32]:
    if not spec.sound:
        return np.zeros(0, dtype=np.float32)
    rng = _stream(seed, "voice")
    voice = speak(rng, draw_speaker(rng), syllables, round(spec.seconds * SAMPLE_RATE_HZ))
    return record(_stream(seed, "room"), voice, spec.clean)


def _make_renderer(
    seed: int, spec: ClipSpec, person: Person, pose: Pose, times_seconds: NDArray[np.float64]
) -> Renderer:
    rng = _stream(seed, "place")
    background = draw_background(rng, spec, person.identity, pose)
    occluder = None if spec.clean else draw_occluder(rng, person.identity, times_seconds)
    return Renderer(person, pose, background, occluder, draw_camera(rng, spec))
