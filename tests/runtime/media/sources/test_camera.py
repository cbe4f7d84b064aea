"""Cameras that aren't there, aren't cameras, or are unplugged; a camera itself is a matter of the machine."""

from __future__ import annotations

import os
from pathlib import Path

import av
import pytest

from emorec_rt.errors import MediaError
from emorec_rt.media.sources import SourceOptions, open_source, opening
from emorec_rt.media.sources.opening import _connect_camera
from emorec_rt.media.sources.transports import Interruption


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(MediaError) as caught:
        open_source("/dev/video987")
    assert str(caught.value) == "/dev/video987: no such camera; is it plugged in?"


def test_a_file_is_no_camera(tmp_path: Path) -> None:
    path = tmp_path / "video0"
    path.write_bytes(b"x")
    with pytest.raises(MediaError, match="this is not a camera"):
        _connect_camera(str(path), SourceOptions(camera_size=(640, 480), camera_fps=30.0), Interruption())


def test_a_camera_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "video0"
    path.write_bytes(b"x")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(MediaError, match="no permission to use this camera"):
        _connect_camera(str(path), SourceOptions(), Interruption())


def test_a_camera_is_asked_for_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "video0"
    path.write_bytes(b"x")
    asked: dict[str, object] = {}

    def connect(address: str, name: str, options: SourceOptions, **settings: object) -> None:
        asked.update(address=address, **settings)

    monkeypatch.setattr(opening, "connect_ffmpeg", connect)
    _connect_camera(str(path), SourceOptions(camera_size=(640, 480), camera_fps=12.5), Interruption())
    assert asked["format_name"] == "v4l2"
    wanted = {"video_size": "640x480", "framerate": "12.5"}
    assert wanted.items() <= asked["demuxer_options"].items()  # type: ignore[attr-defined]


def test_an_unplugged_camera_ends_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip_file: Path
) -> None:
    device = tmp_path / "video0"
    device.write_bytes(b"x")
    real_open = av.open

    def plugged(address: str, **settings: object) -> object:
        device.unlink()  # from now on it is gone
        return real_open(str(clip_file), timeout=settings["timeout"])  # type: ignore[call-overload]

    monkeypatch.setattr(av, "open", plugged)
    monkeypatch.setattr(opening, "is_camera", lambda address: address == str(device))
    with open_source(str(device), SourceOptions(reconnect_seconds=0.6)) as source:
        assert source.live
        assert len(list(source)) > 0
    assert [line for line in source.warnings if "the stream ended" in line]
