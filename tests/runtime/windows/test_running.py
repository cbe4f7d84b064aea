"""Running normalisation against its definition: causal, bounded, and the same however the input is cut."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emorec_rt.bundle.manifest import Gate, Normalization, Preprocessing, Statistics
from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.engines.batching import Batcher
from emorec_rt.faces import Crop
from emorec_rt.faces.cropped import CroppedFrame
from emorec_rt.media.types import Samples
from emorec_rt.windows.builder import WindowBuilder
from emorec_rt.windows.running import RunningNorm
from emorec_rt.windows.schedule import Schedule, file_schedule
from emorec_rt.windows.sound import SoundStream
from emorec_rt.windows.voice import Voice
from emorec_rt.windows.window import Window
from fakes import FakeAudio, FakeVision, preprocessing

PRIOR = Statistics(mean=(1.0, -2.0), deviation=(2.0, 0.5), prior_count=50.0, memory_count=200.0)


def vectors(count: int, mean: float = 3.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.5, (count, 2)).astype(np.float32)


def test_without_evidence_the_trainings_statistics_count() -> None:
    x = vectors(9)
    expected = (x - np.array(PRIOR.mean)) / np.array(PRIOR.deviation)
    np.testing.assert_allclose(RunningNorm(PRIOR).apply(x), expected, rtol=1e-6)


@given(cuts=st.lists(st.integers(0, 300), max_size=6))
def test_blocks_do_not_matter(cuts: list[int]) -> None:
    x, whole, cut = vectors(300), RunningNorm(PRIOR), RunningNorm(PRIOR)
    whole.add(x)
    for block in np.split(x, sorted(cuts)):
        cut.add(block)
    np.testing.assert_allclose(cut.apply(x), whole.apply(x), rtol=1e-5, atol=1e-6)
    assert cut.count == pytest.approx(whole.count)


def test_evidence_is_weighed_against_the_prior() -> None:
    slow = msgspec.structs.replace(PRIOR, memory_count=1e9)  # nothing fades
    x, norm = vectors(150), RunningNorm(slow)
    norm.add(x)
    mean = (150 * x.mean(axis=0) + 50 * np.array(PRIOR.mean)) / 200
    variance = (150 * x.var(axis=0) + 50 * np.array(PRIOR.deviation) ** 2) / 200
    np.testing.assert_allclose(norm.apply(x), (x - mean) / np.sqrt(variance), rtol=1e-4, atol=1e-4)


def test_one_mood_throughout_never_takes_over() -> None:
    norm = RunningNorm(PRIOR)
    norm.add(vectors(100_000))
    assert norm.count == pytest.approx(PRIOR.memory_count)
    left = norm.apply(np.full((1, 2), 3.0, np.float32)) * np.sqrt([2.25 * 0.8 + 4 * 0.2, 2.25 * 0.8 + 0.05])
    share = 50 / (200 + 50)
    np.testing.assert_allclose(left[0], share * (3.0 - np.array(PRIOR.mean)), atol=0.15)


def test_another_voice_is_learnt_after_the_first() -> None:
    norm = RunningNorm(PRIOR)
    norm.add(vectors(2000, mean=8.0))
    norm.add(vectors(2000, mean=-8.0))
    only = RunningNorm(PRIOR)
    only.add(vectors(2000, mean=-8.0))
    np.testing.assert_allclose(norm.apply(vectors(5)), only.apply(vectors(5)), atol=0.05)


def spec(gate: Gate | None = None) -> Preprocessing:
    replace, plain = msgspec.structs.replace, preprocessing()
    statistics = Statistics(mean=(0.1, 0.9), deviation=(0.5, 2.0), prior_count=30.0, memory_count=500.0)
    both = Normalization(audio=statistics, vision=statistics)
    return replace(plain, audio=replace(plain.audio, gate=gate), normalization=both)


def items(seconds: float, block: int, seed: int = 0) -> list[CroppedFrame | Samples]:
    rng = np.random.default_rng(seed)
    pcm = rng.uniform(-0.5, 0.5, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)
    sound = [Samples(a / SAMPLE_RATE_HZ, pcm[a : a + block]) for a in range(0, len(pcm), block)]
    frames = []
    for k in range(round(seconds * 25)):
        pixels = np.full((8, 8, 3), rng.integers(256), np.uint8) if k % 7 else None
        frames.append(CroppedFrame(k, k / 25, Crop(pixels, None, 1.0)))
    return [*frames, *sound]


def build(
    own: Preprocessing, given_items: list[CroppedFrame | Samples], schedule: Schedule, batch: int = 3
) -> list[Window]:
    vision, audio = Batcher(FakeVision(own), batch), Batcher(FakeAudio(own), batch)
    sound = SoundStream(own.audio, schedule, audio, has_sound=True)
    builder = WindowBuilder(own, schedule, vision, sound, has_video=True)
    windows: list[Window] = []
    for item in given_items:
        if isinstance(item, Samples):
            sound.push(item)
        builder.push(item)
        windows += builder.ready()
        sound.forget(builder.oldest_seconds)
    sound.finish()
    builder.finish()
    vision.flush()
    audio.flush()
    windows += builder.ready()
    assert builder.done
    return windows


@settings(max_examples=10, deadline=None)
@given(block=st.sampled_from([160, 1000, 7777]), batch=st.integers(1, 5), interleaved=st.booleans())
def test_windows_do_not_depend_on_arrival(block: int, batch: int, *, interleaved: bool) -> None:
    own = spec(Gate())
    reference = build(own, items(3.0, 1600), file_schedule(own))
    other = items(3.0, block)
    if interleaved:
        other.sort(key=lambda item: item.pts_seconds)
    for one, two in zip(reference, build(own, other, file_schedule(own), batch), strict=True):
        np.testing.assert_allclose(one.audio_tokens, two.audio_tokens, atol=1e-5)
        np.testing.assert_allclose(one.frame_embeddings, two.frame_embeddings, atol=1e-5)
        np.testing.assert_array_equal(one.audio_mask, two.audio_mask)


def test_a_window_is_normalised_by_what_came_before_its_end() -> None:
    own = spec()
    plain = msgspec.structs.replace(own, normalization=Normalization())
    material = items(3.0, 1600)
    schedule = file_schedule(own)
    assert own.normalization.vision is not None
    norm, seen = RunningNorm(own.normalization.vision), 0
    for raw, done in zip(build(plain, material, schedule), build(own, material, schedule), strict=True):
        faces = raw.frame_mask > 0
        norm.add(raw.frame_embeddings[faces & (raw.first_step + np.arange(12) >= seen)])
        seen = raw.first_step + raw.steps
        np.testing.assert_allclose(
            done.frame_embeddings[faces], norm.apply(raw.frame_embeddings[faces]), atol=1e-5
        )
        assert not done.frame_embeddings[~faces].any()
        assert not done.audio_tokens[done.audio_mask == 0].any()


def test_live_and_file_agree_where_their_windows_do() -> None:
    own, material = spec(Gate()), sorted(items(3.0, 1600), key=lambda item: item.pts_seconds)
    file = file_schedule(own)
    # Windows of a live source end more often; statistics are those of their ends all the same.
    often = Schedule(
        first_end=file.first_end,
        hop=1,
        lookahead=1,
        left_tokens=file.left_tokens,
        right_tokens=file.right_tokens,
        patience_seconds=30.0,
        causal_smoothing=True,
    )
    live = {window.first_step: window for window in build(own, material, often)}
    for window in build(own, material, file):
        np.testing.assert_allclose(
            live[window.first_step].audio_tokens, window.audio_tokens, rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            live[window.first_step].frame_embeddings, window.frame_embeddings, rtol=1e-4, atol=1e-5
        )


def test_statistics_of_another_width_are_refused() -> None:
    wide = Statistics(mean=(0.0,) * 3, deviation=(1.0,) * 3, prior_count=9.0, memory_count=9.0)
    own = preprocessing()
    fields = {name: getattr(own, name) for name in own.__struct_fields__}
    with pytest.raises(ValueError, match=r"normalization.audio needs 2 means"):
        type(own)(**{**fields, "normalization": Normalization(audio=wide)})


def test_a_voice_is_normalised_by_its_own_turns_alone() -> None:
    own, schedule = spec(), file_schedule(spec())
    sound = SoundStream(own.audio, schedule, Batcher(FakeAudio(own), 1), has_sound=True)
    for item in items(3.0, 1600):
        if isinstance(item, Samples):
            sound.push(item)
    sound.finish()
    sound.ready(3.0, 3.0)
    times, raw = np.arange(100) / 50, sound.take(np.arange(100)).values
    mine = times < 0.8
    values, mask = Voice(own, sound, lambda at: at < 0.8).gather(times)
    assert own.normalization.audio is not None
    norm = RunningNorm(own.normalization.audio)
    norm.add(raw[mine])
    np.testing.assert_array_equal(mask > 0, mine)
    np.testing.assert_allclose(values[mine], norm.apply(raw[mine]), atol=1e-5)
    assert not values[~mine].any()
