"""The live connection, from a client of our own and from a browser with a fake camera."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest

import emorec_rt
from browser import PATIENCE_MS, chromium
from emorec_rt.cli.serve.live import MOST_PIXELS, decoded, jpeg_size
from emorec_rt.errors import UsageError
from emorec_rt.media import Frame, Samples, open_media
from pages import ROOT

app = pytest.importorskip("emorec_rt.cli.serve.app")
testclient = pytest.importorskip("starlette.testclient")

DEMO = ROOT / "examples" / "demo.mp4"


def jpeg(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", pixels[..., ::-1])[1].tobytes()


def picture(seconds: float, content: bytes) -> bytes:
    return struct.pack("<Bd", 1, seconds) + content


def sound(seconds: float, samples: np.ndarray, rate_hz: int = 16_000) -> bytes:
    return struct.pack("<BdI", 2, seconds, rate_hz) + samples.astype("<i2").tobytes()


@pytest.fixture(scope="module")
def recognizer() -> Any:
    return emorec_rt.load(backend="onnxruntime")


@pytest.fixture(scope="module")
def client(recognizer: Any) -> Iterator[Any]:
    with testclient.TestClient(app.create(recognizer)) as made:
        yield made


class TestPictures:
    def test_sizes(self) -> None:
        for height, width in ((1, 1), (48, 64), (480, 641)):
            content = jpeg(np.zeros((height, width, 3), np.uint8))
            assert jpeg_size(content) == (width, height)
            assert decoded(content).shape == (height, width, 3)

    def test_a_picture_that_would_take_all_memory(self) -> None:
        content = bytearray(jpeg(np.zeros((8, 8, 3), np.uint8)))
        at = content.index(b"\xff\xc0") + 5
        content[at : at + 4] = struct.pack(">HH", 65_000, 65_000)
        assert MOST_PIXELS < 65_000**2
        with pytest.raises(UsageError, match="65000x65000 is too large"):
            decoded(bytes(content))

    @pytest.mark.parametrize("length", [0, 1, 2, 5, 20, 100])
    def test_what_is_cut_off(self, length: int) -> None:
        with pytest.raises(UsageError, match="no JPEG"):
            decoded(jpeg(np.zeros((8, 8, 3), np.uint8))[:length])


def test_rows_come_back(client: Any) -> None:
    with open_media(DEMO) as media:
        items = sorted((item for item in media if item.pts_seconds < 3.0), key=lambda item: item.pts_seconds)
    rows: list[dict[str, Any]] = []
    with client.websocket_connect("/live") as connection:
        for item in items:
            if isinstance(item, Frame):
                connection.send_bytes(picture(item.pts_seconds, jpeg(item.pixels)))
            elif isinstance(item, Samples):
                connection.send_bytes(sound(item.pts_seconds, item.pcm * 32767))
        while not rows or rows[-1]["time_seconds"] < 2.0:
            rows.append(json.loads(connection.receive_text()))
    assert [row["frame"] for row in rows] == list(range(len(rows)))
    assert all(row["face"] for row in rows)
    assert any(row["sound"] for row in rows)
    assert rows[0]["label"] == "Neutral"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"", "too short"),
        (picture(0.0, b"no jpeg"), "no JPEG"),
        (struct.pack("<Bd", 7, 0.0), "neither a picture nor sound"),
        (sound(0.0, np.zeros(10), 3), "rate"),
        (struct.pack("<BdI", 2, 0.0, 16_000) + b"odd", "neither a picture nor sound"),
        (sound(float("nan"), np.zeros(10)), "number of seconds"),
    ],
)
def test_a_wrong_message_ends_the_connection(client: Any, message: bytes, words: str) -> None:
    with client.websocket_connect("/live") as connection:
        connection.send_bytes(message)
        with pytest.raises(testclient.WebSocketDisconnect) as caught:
            connection.receive_text()
    assert caught.value.code == 1007
    assert words in caught.value.reason
    assert client.get("/health").json()["running"] == 0


def test_no_place(recognizer: Any) -> None:
    full = testclient.TestClient(app.create(recognizer, app.Settings(max_at_once=0)))
    gone = pytest.raises(testclient.WebSocketDisconnect)
    with full, full.websocket_connect("/live") as connection, gone as caught:
        connection.receive_text()
    assert caught.value.code == 1013


def test_the_server_s_own_camera(recognizer: Any) -> None:
    watched = testclient.TestClient(app.create(recognizer, app.Settings(camera=str(DEMO))))
    rows, pictures = [], []
    with watched, watched.websocket_connect("/watch") as connection:
        while len(rows) < 30:
            message = connection.receive()
            rows.append(message["text"]) if message.get("text") else pictures.append(message["bytes"])
    assert json.loads(rows[0])["frame"] == 0
    assert decoded(pictures[0][16:]).shape == (240, 320, 3)
    assert struct.unpack_from("<dII", pictures[0]) == (0.0, 320, 240)


def test_no_camera(client: Any) -> None:
    with (
        client.websocket_connect("/watch") as connection,
        pytest.raises(testclient.WebSocketDisconnect) as gone,
    ):
        connection.receive_text()
    assert gone.value.reason == "this server has no camera"


def test_a_camera_that_is_not_there(recognizer: Any) -> None:
    missing = testclient.TestClient(app.create(recognizer, app.Settings(camera="/dev/video99")))
    gone = pytest.raises(testclient.WebSocketDisconnect)
    with missing, missing.websocket_connect("/watch") as connection, gone as caught:
        connection.receive_text()
    assert "no such camera" in caught.value.reason


@contextlib.contextmanager
def server(*options: str) -> Iterator[str]:
    """A server in a process of its own; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call = [
        sys.executable,
        "-c",
        "from emorec_rt.cli import main; main()",
        "serve",
        "-q",
        "--port",
        str(port),
    ]
    process = subprocess.Popen([*call, "--backend", "onnxruntime", *options])
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):  # noqa: S310
                break
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        assert process.wait(20) in (0, -15, 143)


@pytest.mark.parametrize("token", ["", "only-for-this-test-0123"])
def test_a_browser_with_a_camera_and_a_file(token: str) -> None:
    options = ("--camera", str(DEMO), *(("--token", token) if token else ()))
    with chromium() as browser, server(*options) as address:
        page = browser.new_context(permissions=["camera", "microphone"]).new_page()
        page.set_default_timeout(PATIENCE_MS)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text))
        page.goto(address)
        page.wait_for_selector("html[data-ready=yes]")
        if token:
            page.fill("#token", token)
        page.click("#camera")
        wait(page, "rows.length > 20")
        assert page.evaluate("rows.some((row) => row.sound)")
        page.click("#stop")
        page.click("#watch")
        wait(page, "rows.length > 20 && document.getElementById('still').width === 320")
        page.click("#stop")
        page.set_input_files("#choose", str(DEMO))
        wait(page, "document.getElementById('said').textContent.startsWith('500 rows')")
        assert page.evaluate("rows.length") == 500
        assert [text for text in complaints if "ScriptProcessorNode" not in text] == []


def wait(page: Any, condition: str) -> None:
    for _ in range(900):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never true: {condition}; the page says {page.inner_text('#said')!r}")
