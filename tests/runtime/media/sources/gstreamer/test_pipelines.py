"""Pipelines as text; what GStreamer makes of them is in test_gstreamer.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from emorec_rt.errors import DecoderUnavailableError, MediaError
from emorec_rt.media.gstreamer.library import import_gstreamer
from emorec_rt.media.gstreamer.pipelines import plan, quoted, sound_branch, video_branch
from emorec_rt.media.sources import SourceOptions, open_source

OPTIONS = SourceOptions()


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / 'a "b" \\c.mp4'
    chosen = plan(str(path), OPTIONS, hardware=False)
    assert chosen.text == f"filesrc location={quoted(str(path))} ! decodebin name=decoder"
    assert (chosen.live, chosen.dynamic, chosen.ends) == (False, True, True)


def test_values_are_quoted() -> None:
    assert quoted('a "b" \\c') == '"a \\"b\\" \\\\c"'


@pytest.mark.parametrize("address", ["rtsp://user:pw@camera:554/live?x=1", "rtsps://camera/live"])
def test_rtsp(address: str) -> None:
    chosen = plan(address, OPTIONS, hardware=True)
    assert chosen.text == f'uridecodebin name=decoder uri="{address}"'
    assert (chosen.live, chosen.dynamic, chosen.ends) == (True, True, False)


def test_a_usb_camera() -> None:
    assert plan("/dev/video2", OPTIONS, hardware=False).text == (
        'v4l2src device="/dev/video2" ! decodebin name=decoder'
    )
    options = SourceOptions(camera_size=(1280, 720), camera_fps=30.0)
    assert plan("/dev/video2", options, hardware=False).text == (
        'v4l2src device="/dev/video2" ! capsfilter caps="image/jpeg,width=1280,height=720,framerate=30/1;'
        'video/x-raw,width=1280,height=720,framerate=30/1" ! decodebin name=decoder'
    )


def test_a_csi_camera() -> None:
    chosen = plan("csi://1", SourceOptions(camera_size=(1920, 1080), camera_fps=29.97), hardware=True)
    assert chosen.text == (
        "nvarguscamerasrc sensor-id=1 ! "
        "video/x-raw(memory:NVMM),width=1920,height=1080,framerate=2997/100 ! " + video_branch(hardware=True)
    )
    assert (chosen.live, chosen.dynamic, chosen.ends) == (True, False, False)
    assert "sensor-id=0 ! video/x-raw(memory:NVMM),width=1280,height=720,framerate=30/1" in (
        plan("csi://", OPTIONS, hardware=True).text
    )


def test_a_csi_camera_has_a_number() -> None:
    with pytest.raises(MediaError, match="write csi:// and the camera's number"):
        plan("csi://0 ! filesink location=x", OPTIONS, hardware=True)


def test_a_pipeline_of_ones_own() -> None:
    chosen = plan("gst: videotestsrc ! timeoverlay ", OPTIONS, hardware=False)
    assert chosen.text == "videotestsrc ! timeoverlay ! " + video_branch(hardware=False)
    whole = "videotestsrc ! video/x-raw,format=RGB ! appsink sync=false name=video"
    assert plan(f"gst:{whole}", OPTIONS, hardware=False).text == whole
    assert chosen.ends


def test_hardware_brings_pictures_into_the_hosts_memory() -> None:
    assert "nvvidconv ! video/x-raw,format=BGRx" in video_branch(hardware=True)
    assert "nvvidconv" not in video_branch(hardware=False)
    for branch in (video_branch(hardware=True), video_branch(hardware=False)):
        assert "appsink name=video sync=false" in branch
        assert "videoflip video-direction=auto" in branch
    assert "rate=16000" in sound_branch()
    assert "channels=1" in sound_branch()


def test_other_addresses_are_left_to_pyav() -> None:
    with pytest.raises(MediaError, match="doesn't take http://; leave --decoder out"):
        plan("http://camera/video?key=secret", OPTIONS, hardware=False)


def test_missing_gstreamer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import_gstreamer.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "gi", None)
    with pytest.raises(DecoderUnavailableError) as caught:
        open_source("csi://0")
    import_gstreamer.cache_clear()
    text = str(caught.value)
    assert text.startswith("decoder gstreamer needs GStreamer with its Python bindings, which is not")
    assert "sudo apt-get install python3-gi" in text
    assert "\n" not in text
