"""Hosts that don't exist, and a look-up that doesn't answer."""

from __future__ import annotations

import socket
import threading

import pytest

from emorec_rt.errors import MediaError
from emorec_rt.media.sources import SourceOptions, open_source
from emorec_rt.media.sources.hosts import check_host


def unknown(*_: object, **__: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http", "https", "tcp", "srt"])
def test_an_unknown_host_is_one_line(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(MediaError) as caught:
        open_source(f"{scheme}://admin:s3cret@cam.nowhere:8554/live", SourceOptions())
    assert str(caught.value) == (
        f"{scheme}://***@cam.nowhere:8554/live: no such host: cam.nowhere (Name or service not known)"
    )


def test_a_lookup_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(30.0))
    with pytest.raises(MediaError, match=r"looking up the host cam\.slow took more than 0\.1 s"):
        check_host("rtsp://cam.slow/live", 0.1)
    release.set()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "http://[::1]/a", "udp://:5000", "/dev/video0"])
def test_numbers_and_what_has_no_host_pass(address: str) -> None:
    check_host(address, 5.0)
