"""Addresses: kinds, names, secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from emorec_rt.errors import MediaError, UsageError
from emorec_rt.media.sources import SourceOptions, is_address, masked, open_source, output_stem
from emorec_rt.media.sources.addresses import normalised

SECRETS = [
    "rtsp://admin:s3cret@cam.local:554/live",
    "rtsp://admin:s3c/ret@x@cam.local:554/live",
    "http://cam/live?user=admin&password=s3cret",
    "tcp://admin:s3cret@127.0.0.1",
    "http://admin:s3cret@[::1/",
    "ftp://admin:s3cret@host/a.mp4",
    "gst:rtspsrc location=rtsp://admin:s3cret@cam/ user-pw=s3cret ! decodebin",
]


@pytest.mark.parametrize("address", SECRETS)
def test_no_secret_is_told(address: str) -> None:
    for text in (masked(address), output_stem(address)):
        assert "s3c" not in text
        assert "ret@" not in text


@pytest.mark.parametrize("address", [SECRETS[3], SECRETS[4], SECRETS[5]])
def test_no_secret_is_in_a_refusal(address: str) -> None:
    with pytest.raises(MediaError) as caught:
        open_source(address)
    assert "s3c" not in str(caught.value)
    assert "s3c" not in repr(caught.value.__cause__)


@pytest.mark.parametrize(
    ("address", "stem"),
    [
        ("rtsp://admin:pw@cam.local:554/live/1", "rtsp-cam.local-554-live-1"),
        ("http://cam/video.mjpg?token=1", "http-cam-video.mjpg"),
        ("/dev/video0", "video0"),
        ("-", "stdin"),
        ("clips/a.mp4", "a.mp4"),
        ("udp://@239.0.0.1:5000", "udp-239.0.0.1-5000"),
    ],
)
def test_results_have_a_name(address: str, stem: str) -> None:
    assert output_stem(address) == stem


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("-", True),
        ("/dev/video3", True),
        ("rtsp://x/", True),
        (Path("rtsp://x/"), True),
        ("gst:videotestsrc", True),
        ("clip.mp4", False),
        ("./rtsp:x", False),
        ("/dev/video", False),
    ],
)
def test_what_is_an_address(address: str | Path, expected: bool) -> None:
    assert is_address(address) is expected


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("ftp://host/a.mp4", "ftp:// is not supported"),
        ("concat:a.mp4", "no such file"),
        ("tcp://127.0.0.1", "the port is missing"),
        ("udp://127.0.0.1:99999", "not well formed"),
        ("/dev/video87", "no such camera"),
        ("nowhere.mp4", "no such file"),
    ],
)
def test_refusals(address: str, reason: str) -> None:
    with pytest.raises(MediaError, match=reason):
        open_source(address)


@pytest.mark.parametrize(
    "wrong",
    [
        {"fps": 0.0},
        {"fps": float("nan")},
        {"read_seconds": -1.0},
        {"reconnect_seconds": -1.0},
        {"camera_size": (0, 480)},
        {"rtsp_transport": "http"},
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        SourceOptions(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://user@cam:554/live",
        "csi://0",
        "gst:rtspsrc location=rtsp://cam/live ! rtph264depay ! decodebin",
        "gst:souphttpsrc location=https://cam/a ! decodebin",
    ],
)
def test_slashes_that_a_path_takes_come_back(address: str) -> None:
    assert normalised(Path(address)) == address
    assert normalised(address) == address
