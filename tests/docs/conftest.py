"""A folder in which the pages' commands find what they name: a short talk, a bundle, recordings."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import av
import cv2
import pytest

from emorec_rt.bundle import DEFAULT_FOLDER
from pages import ROOT

TALK_SECONDS = 2.0
VIDEOS = (
    "talk.mp4",
    "other.mp4",
    "any-video.mp4",
    "examples/demo.mp4",
    "recordings/monday.mp4",
    "recordings/week-2/friday.mp4",
)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, the same for all commands of a worker."""
    folder = tmp_path_factory.mktemp("stage")
    for name in VIDEOS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    _shorten(ROOT / "examples" / "demo.mp4", folder / VIDEOS[0])
    for name in VIDEOS[1:]:
        shutil.copy(folder / VIDEOS[0], folder / name)
    _sound_of(folder / VIDEOS[0], folder / "talk.wav")
    _pictures_of(folder / VIDEOS[0], folder / "crops" / "talk")
    (folder / "today.txt").write_text("# of today\ntalk.mp4\nrecordings\n", encoding="utf-8")
    for name in ("demo", "mine"):
        shutil.copytree(DEFAULT_FOLDER, folder / "engines" / name)
    _programs(folder / "bin")
    return folder


@pytest.fixture
def environment(stage: Path) -> dict[str, str]:
    """Where shell lines find ``emorec-rt`` and ``python``."""
    paths = os.pathsep.join(path for path in sys.path if path)
    path = f"{stage / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def _shorten(source: Path, target: Path) -> None:
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        streams = {stream.index: writer.add_stream_from_template(stream) for stream in reader.streams}
        for packet in reader.demux():
            if packet.dts is not None and packet.dts * packet.time_base < TALK_SECONDS:
                packet.stream = streams[packet.stream.index]
                writer.mux(packet)


def _sound_of(source: Path, target: Path) -> None:
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        stream = writer.add_stream("pcm_s16le", rate=16_000, layout="mono")
        resampler = av.AudioResampler("s16", "mono", 16_000)
        for frame in reader.decode(audio=0):
            for resampled in resampler.resample(frame):
                writer.mux(stream.encode(resampled))
        writer.mux(stream.encode(None))


def _pictures_of(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    with av.open(str(source)) as reader:
        for index, frame in zip(range(1, 11), reader.decode(video=0), strict=False):
            cv2.imwrite(str(folder / f"{index:05d}.jpg"), frame.to_ndarray(format="bgr24"))


def _programs(folder: Path) -> None:
    folder.mkdir()
    for name, arguments in {
        "emorec-rt": '-c "from emorec_rt.cli import main; main()"',
        "python": "",
    }.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
