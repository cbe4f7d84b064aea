"""Pipelines as text, in the syntax of ``gst-launch-1.0``. Nothing here needs GStreamer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.errors import MediaError
from emorec_rt.media.sources.addresses import is_camera, masked, scheme
from emorec_rt.media.sources.base import SourceOptions

DECODER: Final = "decoder"
"""Name of the element whose pads are the decoded tracks."""

DEVICE_MEMORY: Final = "memory:NVMM"
"""Mark of a Jetson's elements for pictures that are not in the host's memory."""

VIDEO_SINK: Final = "video"
SOUND_SINK: Final = "sound"
RTSP_LATENCY_MS: Final = 200
"""Time that the jitter buffer waits for a late packet; later ones are dropped."""

CSI_SIZE: Final = (1280, 720)
CSI_FPS: Final = 30.0
_SINK: Final = "appsink name={name} sync=false max-buffers=4"
_QUEUE: Final = "queue max-size-buffers=4 max-size-bytes=0 max-size-time=0"


@dataclass(frozen=True, slots=True)
class Plan:
    """A pipeline.

    Attributes:
        text: Its description; tracks that ``decoder`` finds are connected once they are known.
        live: Whether it comes in real time.
        dynamic: Whether there is a ``decoder``; without, the text has its sinks itself.
        ends: Whether its end is the end; else it is taken for a lost connection.
    """

    text: str
    live: bool
    dynamic: bool
    ends: bool


def plan(address: str, options: SourceOptions, *, hardware: bool) -> Plan:
    """The pipeline for an address.

    Args:
        address: A file, ``rtsp://``, ``/dev/video0``, ``csi://0`` or ``gst:`` and a pipeline of one's own,
            whose last element gives raw video (or which has an ``appsink name=video`` itself).
        options: Sizes, rates and time limits.
        hardware: Whether a Jetson's elements are there.

    Raises:
        MediaError: GStreamer isn't used for this kind of address.
    """
    kind = scheme(address)
    if kind == "gst":
        return _own(address.partition(":")[2], hardware=hardware)
    if kind == "csi":
        text = f"{_csi(address, options)} ! {video_branch(hardware=hardware)}"
        return Plan(text, live=True, dynamic=False, ends=False)
    if is_camera(address):
        text = f"{_usb(address, options)} ! decodebin name={DECODER}"
        return Plan(text, live=True, dynamic=True, ends=False)
    if kind in ("rtsp", "rtsps"):
        text = f"uridecodebin name={DECODER} uri={quoted(address)}"
        return Plan(text, live=True, dynamic=True, ends=False)
    if kind is None:
        text = f"filesrc location={quoted(str(Path(address).resolve()))} ! decodebin name={DECODER}"
        return Plan(text, live=False, dynamic=True, ends=True)
    raise MediaError(masked(address), f"the decoder gstreamer doesn't take {kind}://; leave --decoder out")


def video_branch(*, hardware: bool) -> str:
    """From decoded pictures, wherever they are, to upright ones in the host's memory."""
    # nvvidconv has no RGB, so its padded pictures are converted here.
    convert = "nvvidconv ! video/x-raw,format=BGRx" if hardware else "videoconvert"
    turn = "videoflip video-direction=auto ! videoconvert ! video/x-raw,format=(string){RGB,BGRx}"
    return f"{_QUEUE} ! {convert} ! {turn} ! {_SINK.format(name=VIDEO_SINK)}"


def sound_branch() -> str:
    """From decoded sound to 16 kHz mono."""
    raw = f"audio/x-raw,format=F32LE,layout=interleaved,channels=1,rate={SAMPLE_RATE_HZ}"
    return f"queue ! audioconvert ! audioresample ! {raw} ! {_SINK.format(name=SOUND_SINK)}"


def quoted(text: str) -> str:
    """A value that GStreamer's parser reads back as it was."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _own(text: str, *, hardware: bool) -> Plan:
    whole = text.strip()
    if not re.search(rf"appsink\b[^!]*\bname={VIDEO_SINK}\b", whole):
        whole = f"{whole} ! {video_branch(hardware=hardware)}"
    return Plan(whole, live=True, dynamic=False, ends=True)


def _csi(address: str, options: SourceOptions) -> str:
    number = address.partition("://")[2].strip("/") or "0"
    if not number.isdecimal():
        raise MediaError(address, "write csi:// and the camera's number, such as csi://0")
    width, height = options.camera_size or CSI_SIZE
    caps = f"width={width},height={height},framerate={_rate(options.camera_fps or CSI_FPS)}"
    return f"nvarguscamerasrc sensor-id={number} ! video/x-raw({DEVICE_MEMORY}),{caps}"


def _usb(address: str, options: SourceOptions) -> str:
    wanted = []
    if options.camera_size is not None:
        wanted.append("width={},height={}".format(*options.camera_size))
    if options.camera_fps is not None:
        wanted.append(f"framerate={_rate(options.camera_fps)}")
    source = f"v4l2src device={quoted(address)}"
    if not wanted:
        return source
    # Many cameras reach their larger sizes as JPEG alone.
    caps = ",".join(wanted)
    return f'{source} ! capsfilter caps="image/jpeg,{caps};video/x-raw,{caps}"'


def _rate(fps: float) -> str:
    rate = Fraction(fps).limit_denominator(1001)
    return f"{rate.numerator}/{rate.denominator}"
