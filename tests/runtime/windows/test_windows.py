"""Windows against their definition, whatever the order of items and the size of batches."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emorec_rt.bundle.manifest import Preprocessing
from emorec_rt.constants import SAMPLE_RATE_HZ, TOKEN_RATE_HZ
from emorec_rt.engines.batching import Batcher
from emorec_rt.faces import Crop
from emorec_rt.faces.cropped import CroppedFrame
from emorec_rt.media.types import Samples
from emorec_rt.windows.builder import WindowBuilder
from emorec_rt.windows.iterate import iter_windows
from emorec_rt.windows.schedule import file_schedule
from emorec_rt.windows.sound import SoundStream
from emorec_rt.windows.window import Window
from fakes import FakeAudio, FakeVision, preprocessing

NO_FACE = Crop(pixels=None, box=None, score=0.0)


def frame(index: int, time: float, *, face: bool = True) -> CroppedFrame:
    pixels = np.full((8, 8, 3), index % 251, np.uint8)
    return CroppedFrame(index, time, Crop(pixels=pixels, box=None, score=1.0) if face else NO_FACE)


def sound(start: float, seconds: float) -> list[Samples]:
    """Each sample is its own time, cut into blocks of 0.1 s."""
    count = round(seconds * SAMPLE_RATE_HZ)
    times = (start + np.arange(count) / SAMPLE_RATE_HZ).astype(np.float32)
    return [Samples(start + a / SAMPLE_RATE_HZ, times[a : a + 1600]) for a in range(0, count, 1600)]


def build(
    items: list[CroppedFrame | Samples], *, batch: int = 4, rate_hz: float | None = 25.0, **has: bool
) -> list[Window]:
    spec = preprocessing(rate_hz=rate_hz)
    return list(
        iter_windows(
            items, spec, FakeVision(spec), FakeAudio(spec), vision_batch=batch, audio_batch=batch, **has
        )
    )


def by_time(items: list[CroppedFrame | Samples]) -> list[CroppedFrame | Samples]:
    return sorted(items, key=lambda item: item.pts_seconds)


def check_cover(windows: list[Window], total: int) -> None:
    """Every step is settled exactly once, by a window that holds it."""
    assert [w.settles for w in windows] == sorted({w.settles for w in windows})
    assert windows[-1].settles == windows[-1].first_step + windows[-1].steps == total
    for before, after in pairwise(windows):
        assert after.first_step <= before.settles


@pytest.mark.parametrize("count", [1, 2, 11, 12, 13, 17, 60, 61])
def test_windows_hold_the_frames_and_tokens_of_their_times(count: int) -> None:
    frames = [frame(k, 1.0 + k / 25) for k in range(count)]
    windows = build(by_time([*frames, *sound(1.0, 3.0)]))
    check_cover(windows, count)
    for window in windows:
        real = slice(0, window.steps)
        steps = np.arange(window.first_step, window.first_step + window.steps)
        np.testing.assert_allclose(window.times_seconds[real], 1.0 + steps / 25)
        np.testing.assert_allclose(window.frame_embeddings[real, 0], steps % 251)
        assert window.frame_mask[real].all()
        assert not window.frame_mask[window.steps :].any()
        heard = window.audio_tokens[window.audio_mask > 0, 0]
        token_times = (window.times_seconds[:, None] + np.arange(2) / 50).ravel()[window.audio_mask > 0]
        np.testing.assert_allclose(heard, token_times, atol=0.5 / TOKEN_RATE_HZ + 1e-3)


def same(a: list[Window], b: list[Window]) -> None:
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert (one.first_step, one.steps, one.settles) == (other.first_step, other.steps, other.settles)
        for name, array in one.feeds().items():
            np.testing.assert_array_equal(array, other.feeds()[name])


@settings(deadline=None, max_examples=200)
@given(
    gaps=st.lists(st.floats(0.005, 0.3), min_size=1, max_size=50),
    start=st.floats(-1, 2),
    seconds=st.floats(0.0, 3.0),
    batch=st.integers(1, 9),
    faces=st.randoms(use_true_random=False),
    rate_hz=st.sampled_from([None, 25.0]),
)
def test_order_and_batches_change_nothing(gaps, start, seconds, batch, faces, rate_hz) -> None:
    times = np.cumsum(gaps).tolist()
    frames = [frame(k, time, face=faces.random() < 0.8) for k, time in enumerate(times)]
    items = sound(start, seconds)
    interleaved = build(by_time([*frames, *items]), rate_hz=rate_hz)
    same(interleaved, build([*items, *frames], batch=batch, rate_hz=rate_hz))
    same(interleaved, build([*frames, *items], batch=batch, rate_hz=rate_hz))


def test_a_frame_is_encoded_once_and_faceless_frames_never() -> None:
    spec = preprocessing()
    vision = FakeVision(spec)
    frames = [frame(k, k / 12.5, face=k % 4 != 0) for k in range(100)]  # each stands for two steps
    assert list(iter_windows(frames, spec, vision, FakeAudio(spec), has_sound=False))
    assert sum(vision.batches) == 75


def test_sound_alone_sets_the_grid() -> None:
    windows = build(list(sound(0.5, 2.0)), has_video=False)
    check_cover(windows, 50)
    assert not any(window.frame_mask.any() for window in windows)


def test_a_video_track_without_frames_leaves_the_sound() -> None:
    same(build(list(sound(0.5, 2.0)), has_video=False), build(list(sound(0.5, 2.0)), has_video=True))


def builder_of(spec: Preprocessing, *, batch: int, has_sound: bool) -> WindowBuilder:
    schedule = file_schedule(spec)
    heard = SoundStream(spec.audio, schedule, Batcher(FakeAudio(spec), batch), has_sound=has_sound)
    return WindowBuilder(spec, schedule, Batcher(FakeVision(spec), batch), heard, has_video=True)


def test_sound_that_never_comes_is_given_up() -> None:
    builder = builder_of(preprocessing(), batch=1, has_sound=True)
    windows: list[Window] = []
    for k in range(25 * 60):
        builder.push(frame(k, k / 25))
        windows += builder.ready()
    assert windows[-1].settles > 25 * 25
    assert not windows[-1].audio_mask.any()


@pytest.mark.parametrize("count", [1, 12, 17, 22, 60])
def test_the_builder_is_done_when_its_last_window_leaves(count: int) -> None:
    builder = builder_of(preprocessing(), batch=4, has_sound=False)
    done_at_window: list[bool] = []
    for k in range(count):
        builder.push(frame(k, k / 25, face=False))
        done_at_window += [builder.done for _ in builder.ready()]
    builder.finish()
    done_at_window += [builder.done for _ in builder.ready()]
    assert done_at_window[-1]
    assert not any(done_at_window[:-1])
