"""Any sample format and channel layout into one channel."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from emorec_rt.media import Samples, open_media
from emorec_rt.media.downmix import Downmix, planes_of

NAMED = ("mono", "stereo", "2.1", "quad", "5.0", "5.1", "6.1", "7.0", "7.1", "7.1(wide)", "octagonal", "22.2")
LAYOUTS = (*NAMED, *(f"{count} channels" for count in range(1, 65)))
FORMATS = {"u8p": np.uint8, "s16p": np.int16, "s32p": np.int32, "fltp": np.float32, "dblp": np.float64}
SAMPLES = 100


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_plane_of_a_planar_layout_is_read(layout: str) -> None:
    frame = av.AudioFrame(format="fltp", layout=layout, samples=SAMPLES)
    count = frame.layout.nb_channels
    assert len(planes_of(frame)) == count
    for number, plane in enumerate(planes_of(frame)):
        values = np.zeros(plane.buffer_size // 4, np.float32)
        values[:SAMPLES] = number / 64
        plane.update(values)
    mixed = Downmix().mono(frame)
    assert mixed.shape == (SAMPLES,)
    assert np.ptp(mixed) < 1e-6
    assert 0 <= mixed[0] <= (count - 1) / 64
    assert mixed[0] > 0 or count == 1
    if "channels" in layout and count > 8:
        assert mixed[0] == pytest.approx(np.arange(count).mean() / 64, rel=1e-5)


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("planar", [True, False])
def test_each_sample_format(format_name: str, planar: bool) -> None:
    kind = np.dtype(FORMATS[format_name])
    middle = 128 if kind == np.uint8 else 0
    half = 0.5 if kind.kind == "f" else 2.0 ** (8 * kind.itemsize - 2)
    name = format_name if planar else format_name[:-1]
    frame = av.AudioFrame(format=name, layout="7.1", samples=SAMPLES)
    for plane in planes_of(frame):
        plane.update(np.full(plane.buffer_size // kind.itemsize, middle + half).astype(kind))
    np.testing.assert_allclose(Downmix().mono(frame), 0.5, rtol=1e-6)


@pytest.mark.parametrize(("codec", "suffix"), [("aac", "mp4"), ("flac", "mkv"), ("libopus", "mkv")])
def test_a_file_with_eight_channels(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"clip.{suffix}"
    rate = 48_000
    time = np.arange(rate) / rate
    sine = (8000 * np.sin(2 * np.pi * 300 * time)).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="7.1")
        frame = av.AudioFrame.from_ndarray(np.repeat(sine, 8).reshape(1, -1), format="s16", layout="7.1")
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(stream.format, "7.1", rate, stream.codec_context.frame_size or 1024)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    with open_media(path) as media:
        heard = np.concatenate([item.pcm for item in media if isinstance(item, Samples)])
    assert len(heard) == pytest.approx(16_000, abs=1_600)
    assert heard[4_000:12_000].std() == pytest.approx(8000 / 32768 / np.sqrt(2), rel=0.15)


def stereo(left: NDArray[np.float32], right: NDArray[np.float32]) -> av.AudioFrame:
    return av.AudioFrame.from_ndarray(np.stack([left, right]), format="fltp", layout="stereo")


def test_an_inverted_channel_is_turned_round() -> None:
    rng = np.random.default_rng(0)
    downmix = Downmix()
    for _ in range(3):
        voice = rng.uniform(-0.5, 0.5, 1024).astype(np.float32)
        np.testing.assert_allclose(downmix.mono(stereo(voice, -voice)), voice, atol=1e-6)
    assert downmix.opposed
    silence = np.zeros(1024, np.float32)
    assert not downmix.mono(stereo(silence, silence)).any()
    np.testing.assert_allclose(downmix.mono(stereo(voice, voice)), voice, atol=1e-6)


def test_wide_stereo_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    downmix = Downmix()
    for share in (0.0, 0.3, 0.6, 0.8):
        left, noise = rng.uniform(-0.5, 0.5, (2, 1024)).astype(np.float32)
        right = (1 - share) * noise - share * left
        np.testing.assert_allclose(downmix.mono(stereo(left, right)), (left + right) / 2, atol=1e-6)
    assert not downmix.opposed


def test_one_channel_of_two_is_half_of_the_sound() -> None:
    voice = np.full(1024, 0.5, np.float32)
    np.testing.assert_allclose(Downmix().mono(stereo(voice, 0 * voice)), 0.25, atol=1e-6)
