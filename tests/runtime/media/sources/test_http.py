"""HTTP servers on the loopback interface."""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import pytest

from emorec_rt.errors import MediaError
from emorec_rt.media import open_media
from emorec_rt.media.sources import SourceOptions, open_source
from senders import CLIP_SECONDS, FPS, PATIENT, QUICK, check_times, clip_bytes, frames, picture

Answer = Callable[[BaseHTTPRequestHandler], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answers: dict[str, Answer]
    seen: list[tuple[str, str | None]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        with contextlib.suppress(ConnectionError, TimeoutError):
            self.server.answers[self.path](self)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as httpd:
        httpd.answers, httpd.seen = {}, []
        thread = threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield httpd
        httpd.shutdown()
        thread.join(5.0)


def url(server: _Server, path: str, login: str = "") -> str:
    return f"http://{login}127.0.0.1:{server.server_port}{path}"


def whole(data: bytes, announced: int | None = None) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(announced or len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def chunked(data: bytes, *, ends: bool) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for start in range(0, len(data), 10_000):
            part = data[start : start + 10_000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        if ends:
            handler.wfile.write(b"0\r\n\r\n")

    return answer


def status(code: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def multipart(count: int) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        for number in range(count):
            jpeg = cv2.imencode(".jpg", picture(number))[1].tobytes()
            head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
            handler.wfile.write(head + jpeg + b"\r\n")
            threading.Event().wait(0.02)

    return answer


def test_a_file_waits_to_be_read(server: _Server, transport_stream: bytes, clip_file: Path) -> None:
    server.answers["/a.ts"] = whole(transport_stream)
    with open_source(url(server, "/a.ts"), PATIENT) as source:
        assert (source.live, source.has_video, source.has_sound) == (False, True, True)
        items = list(source)
    with open_media(clip_file) as media:
        assert [item.pts_seconds for item in items] == [item.pts_seconds for item in media]
    assert source.warnings == []
    assert len(server.seen) == 1


def test_an_mp4_whose_index_is_in_front(server: _Server) -> None:
    # A fragmented one: FFmpeg can't move the index to the front of a file in memory.
    server.answers["/a.mp4"] = whole(clip_bytes("mp4", options={"movflags": "empty_moov+frag_keyframe"}))
    server.answers["/b.mp4"] = whole(_far_index(clip_bytes("mp4")))
    with open_source(url(server, "/a.mp4"), QUICK) as source:
        assert len(frames(list(source))) == CLIP_SECONDS * FPS
    with (
        open_source(url(server, "/b.mp4"), QUICK) as source,
        pytest.raises(MediaError, match="its index is at the end or missing"),
    ):
        list(source)


def _far_index(data: bytes) -> bytes:
    """Move the index at the end too far away to be still in memory with the pictures."""
    end = data.rindex(b"moov") - 4
    return data[:end] + (1 << 20).to_bytes(4, "big") + b"free" + bytes((1 << 20) - 8) + data[end:]


def test_a_file_that_is_cut_off(server: _Server, transport_stream: bytes) -> None:
    server.answers["/a.ts"] = whole(transport_stream[: len(transport_stream) // 2], len(transport_stream))
    with open_source(url(server, "/a.ts"), PATIENT) as source:
        items = list(source)
    assert 10 < len(frames(items)) < CLIP_SECONDS * FPS
    assert any("the stream ended" in line for line in source.warnings)


def test_a_stream_that_ends_as_it_should(server: _Server, transport_stream: bytes) -> None:
    server.answers["/live"] = chunked(transport_stream, ends=True)
    with open_source(url(server, "/live"), PATIENT) as source:
        assert source.live
        items = list(source)
    check_times(items)
    assert len(frames(items)) == CLIP_SECONDS * FPS
    assert source.warnings == []
    assert len(server.seen) == 1


def test_a_stream_that_breaks_off_is_asked_for_again(server: _Server, transport_stream: bytes) -> None:
    server.answers["/live"] = chunked(transport_stream, ends=False)
    items = []
    with open_source(url(server, "/live"), PATIENT) as source:
        for item in source:
            items.append(item)
            if len(frames(items)) > CLIP_SECONDS * FPS + 10:
                break
    check_times(items)
    assert len(server.seen) == 2


def test_pictures_that_replace_one_another(server: _Server) -> None:
    server.answers["/cam"] = multipart(40)
    with open_source(url(server, "/cam"), QUICK) as source:
        assert (source.live, source.has_video, source.has_sound) == (True, True, False)
        items = list(source)
    check_times(items)
    assert len(items) == 40
    assert items[0].pts_seconds == 0.0
    assert 40 * 0.02 * 0.5 < items[-1].pts_seconds < 30.0  # arrival, not a nominal rate


def test_user_and_password(server: _Server, transport_stream: bytes) -> None:
    server.answers["/a.ts"] = status(302, Location="/b.ts")
    server.answers["/b.ts"] = whole(transport_stream)
    with open_source(url(server, "/a.ts", "ad%40min:p%2Fw@"), QUICK) as source:
        assert "min" not in source.name
    login = "Basic " + base64.b64encode(b"ad@min:p/w").decode()
    assert server.seen == [("/a.ts", login), ("/b.ts", login)]


def test_a_password_stays_with_its_host(server: _Server, transport_stream: bytes) -> None:
    server.answers["/a.ts"] = status(302, Location=f"http://localhost:{server.server_port}/b.ts")
    server.answers["/b.ts"] = whole(transport_stream)
    open_source(url(server, "/a.ts", "admin:pw@"), QUICK).close()
    assert server.seen[1] == ("/b.ts", None)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (status(404), "the server refuses: 404 Not Found"),
        (status(401), "the server refuses: 401 Unauthorized"),
        (status(302, Location="/a"), "more than 5 redirections"),
        (status(302, Location="file:///etc/passwd"), "something that isn't HTTP"),
        (whole(b"<html>login first</html>" * 100), "not media of a known format"),
        (lambda handler: handler.wfile.write(b"SSH-2.0-x\r\n"), "the answer is not HTTP"),
    ],
)
def test_refusals(server: _Server, answer: Answer, reason: str) -> None:
    server.answers["/a"] = answer
    with pytest.raises(MediaError, match=reason):
        open_source(url(server, "/a"), QUICK)


def test_closing_ends_a_read_that_waits(server: _Server, transport_stream: bytes) -> None:
    hold = threading.Event()

    def stall(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(transport_stream)
        hold.wait(30.0)

    server.answers["/live"] = stall
    source = open_source(url(server, "/live"), SourceOptions(read_seconds=60.0))
    reader = threading.Thread(target=lambda: list(source), daemon=True)
    reader.start()
    source.close()
    reader.join(10.0)
    hold.set()
    assert not reader.is_alive()


def until_closed(data: bytes) -> Answer:
    """A body whose length nothing tells."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("format_name", ["matroska", "avi"])
def test_a_file_by_its_format_needs_no_length(
    server: _Server, tmp_path: Path, format_name: str, ends: bool
) -> None:
    """Its header tells how long it is, so it waits to be read, and isn't asked for again."""
    path = tmp_path / "clip"
    path.write_bytes(clip_bytes(format_name))
    server.answers["/a"] = chunked(path.read_bytes(), ends=True) if ends else until_closed(path.read_bytes())
    with open_source(url(server, "/a"), PATIENT) as source:
        assert not source.live
        items = list(source)
    with open_media(path) as media:
        assert [item.pts_seconds for item in items] == [item.pts_seconds for item in media]
    assert source.warnings == []
    assert len(server.seen) == 1


@pytest.mark.parametrize("header", [{"ETag": '"1"'}, {"Accept-Ranges": "bytes"}])
def test_a_file_by_what_the_server_tells_needs_no_length(
    server: _Server, transport_stream: bytes, header: dict[str, str]
) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        for name, value in header.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(transport_stream)

    server.answers["/a"] = answer
    with open_source(url(server, "/a"), PATIENT) as source:
        assert not source.live
        assert len(frames(list(source))) == CLIP_SECONDS * FPS
    assert source.warnings == []
    assert len(server.seen) == 1


def test_what_comes_again_from_its_beginning_has_ended(server: _Server, transport_stream: bytes) -> None:
    server.answers["/a"] = until_closed(transport_stream)
    with open_source(url(server, "/a"), PATIENT) as source:
        assert source.live
        items = list(source)
    check_times(items)
    assert len(frames(items)) == CLIP_SECONDS * FPS
    assert source.warnings == []
    assert len(server.seen) == 2


def test_what_comes_faster_than_its_clock_is_read_at_its_pace(server: _Server) -> None:
    server.answers["/a"] = until_closed(clip_bytes(seconds=4))
    began = time.monotonic()
    with open_source(url(server, "/a"), QUICK) as source:
        items = frames(list(source))
    assert len(items) == 4 * FPS
    assert 1.2 < time.monotonic() - began < 6.0


@pytest.mark.parametrize("head", ["HTTP/1.1 200 OK\r\nX: ", "HTTP/1.1 200 OK\r\n\r\n"])
def test_a_byte_now_and_then_does_not_hold_the_door_open(server: _Server, head: str) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(head.encode())
        for _ in range(200):
            handler.wfile.write(b"x")
            threading.Event().wait(0.05)

    server.answers["/a"] = drip
    began = time.monotonic()
    with pytest.raises(MediaError, match=r"no answer within 0\.5 s|no known format in what came"):
        open_source(url(server, "/a"), SourceOptions(open_seconds=0.5))
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize(
    "location",
    [
        "http://[::1",
        "http://127.0.0.1:99999/",
        f"http://{'a' * 80}.org/",
        "http://a..b/",
        "http://x:y/",
    ],
)
def test_a_bad_redirection_is_one_line(server: _Server, location: str) -> None:
    server.answers["/a"] = status(302, Location=location)
    with pytest.raises(MediaError, match="the server points to an address") as caught:
        open_source(url(server, "/a"), QUICK)
    assert "\n" not in str(caught.value)
