"""Live sources and pipes, end to end: a sender process on loopback, the command as a person runs it."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import cv2
import pytest

from senders import CLIP_SECONDS, FPS, Sender, clip_bytes

ROOT = Path(__file__).parents[3]
DEMO_CLIP = ROOT / "examples" / "demo.mp4"
SENDER = ROOT / "benchmarks" / "live_sender.py"
COMMAND = [sys.executable, "-c", "from emorec_rt.cli import main; main()"]
ROWS = 75


@pytest.fixture
def environment() -> dict[str, str]:
    """The checkout's own runtime, installed or not."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "runtime"), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def playing() -> Iterator[str]:
    """Address of a sender that waits for a reader, then plays the demo clip in real time."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    command = [sys.executable, str(SENDER), str(DEMO_CLIP), f"{address}?listen=1", "120"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _wait_until_listening(port)
        yield address
        process.kill()


def _wait_until_listening(port: int) -> None:
    """Without connecting: the sender takes a single reader."""
    table = Path("/proc/net/tcp")
    for _ in range(600):
        if f":{port:04X} 00000000:0000 0A" in table.read_text():
            return
        time.sleep(0.05)
    raise AssertionError("the sender doesn't listen")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stream_gives_rows_while_it_runs_and_ends_cleanly_on_a_signal(
    number: signal.Signals, playing: str, environment: dict[str, str]
) -> None:
    with subprocess.Popen(
        [*COMMAND, playing, "--out", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        early = list(islice(process.stdout, ROWS))  # while the sender goes on
        process.send_signal(number)
        late = process.stdout.read()  # communicate() would leave out what was read ahead
        err = process.stderr.read()
        process.wait(60)
    rows = [json.loads(line) for line in [*early, *late.splitlines()]]
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert len(early) == ROWS
    numbers = [row["frame"] for row in rows]
    assert numbers == sorted(set(numbers))
    assert numbers == list(range(len(rows))) or "dropped" in err  # on a machine that is too busy
    times = [row["time_seconds"] for row in rows]
    assert times == sorted(times)
    assert sum(row["face"] for row in rows) > 0.9 * len(rows)
    assert sum(row["sound"] for row in rows) > 0.25 * len(rows)  # on a busy machine some comes too late


def test_a_signal_ends_the_wait_for_a_sender(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with subprocess.Popen([*COMMAND, address], stderr=subprocess.PIPE, env=environment) as process:
            silent.settimeout(60)
            connection, _ = silent.accept()
            with connection:
                process.send_signal(signal.SIGTERM)
                _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert b"Traceback" not in err


def test_standard_input_gives_the_rows_of_the_file(tmp_path: Path, environment: dict[str, str]) -> None:
    piped = io.BytesIO()
    with av.open(str(DEMO_CLIP)) as reader, av.open(piped, "w", format="matroska") as writer:
        streams = {stream.index: writer.add_stream_from_template(stream) for stream in reader.streams}
        for packet in reader.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                writer.mux(packet)
    (tmp_path / "clip.mkv").write_bytes(piped.getvalue())
    results = []
    for source, given in (("-", piped.getvalue()), (str(tmp_path / "clip.mkv"), b"")):
        done = subprocess.run(
            [*COMMAND, source, "--quiet", "--out", "-"],
            input=given,
            capture_output=True,
            timeout=60,
            check=True,
            env=environment,
        )
        results.append([json.loads(line) for line in done.stdout.splitlines()])
    assert len(results[0]) == 500
    for piped_row, file_row in zip(*results, strict=True):
        assert piped_row["label"] == file_row["label"]
        assert piped_row["time_seconds"] == file_row["time_seconds"]


def test_a_folder_of_numbered_pictures_has_a_row_for_each_number(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "14-30-1920x1080_left"
    folder.mkdir()
    with av.open(str(DEMO_CLIP)) as container:
        for index, frame in enumerate(container.decode(video=0), start=1):
            if index > 40:
                break
            if index not in {7, 8, 30}:  # faces that were not found have no picture
                cv2.imwrite(str(folder / f"{index:05d}.jpg"), frame.to_ndarray(format="bgr24"))
    done = subprocess.run(
        [*COMMAND, str(folder), "--quiet", "--out", str(tmp_path / "preds.txt")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "preds.txt").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [
        f"14-30-1920x1080_left/{index:05d}.jpg" for index in range(1, 41)
    ]


@pytest.mark.parametrize("scheme", ["tcp", "http", "rtsp"])
def test_a_refused_connection_is_one_line(environment: dict[str, str], scheme: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = run([f"{scheme}://user:secret@127.0.0.1:{port}/live", "--out", "-"], environment)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert line == f"error: {scheme}://***@127.0.0.1:{port}/live: connection refused; nothing listens there"


def test_a_camera_that_is_not_there_is_one_line(environment: dict[str, str]) -> None:
    done = run(["/dev/video987", "--quiet"], environment)
    assert done.returncode == 1
    assert done.stderr == "error: /dev/video987: no such camera; is it plugged in?\n"


def test_a_sender_that_comes_back_goes_on_in_the_same_rows(environment: dict[str, str]) -> None:
    data = clip_bytes()
    server = Sender([lambda connection: connection.sendall(data)] * 2, pause_seconds=0.3)
    done = run([f"tcp://me:secret@127.0.0.1:{server.port}", "--out", "-", "--reconnect", "1.5"], environment)
    server.stop()
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["frame"] for row in rows] == list(range(2 * CLIP_SECONDS * FPS))
    times = [row["time_seconds"] for row in rows]
    assert times == sorted(set(times))
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning:")]
    assert [line for line in warnings if "the connection was lost once; " in line]
    assert [line for line in warnings if "the stream ended at " in line]
    assert all(f"tcp://***@127.0.0.1:{server.port}: " in line for line in warnings)
    assert "secret" not in done.stdout + done.stderr


def test_datagrams_end_with_all_their_rows_when_the_sender_falls_silent(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    arguments = [f"udp://127.0.0.1:{port}", "--out", "-", "--read-timeout", "1", "--reconnect", "0"]
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        _send_datagrams(port, process)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    from_the_first_key_frame_on = CLIP_SECONDS * FPS - 12
    assert len(out.splitlines()) >= from_the_first_key_frame_on or "dropped" in err  # on a busy machine
    assert "the stream ended at " in err


def _send_datagrams(port: int, process: subprocess.Popen[str]) -> None:
    """Once the program has the port, which refuses nobody, and so must be watched for."""
    while f":{port:04X} " not in Path("/proc/net/udp").read_text():
        assert process.poll() is None
        time.sleep(0.05)
    data = clip_bytes()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for start in range(0, len(data), 1316):
            udp.sendto(data[start : start + 1316], ("127.0.0.1", port))
            time.sleep(0.005)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--camera-size", "large"], "--camera-size is large; write it as 1280x720"),
        (["--decoder", "magic"], "magic"),
        (["--read-timeout", "0"], "--read-timeout"),
        (["--reconnect", "-1"], "--reconnect"),
    ],
)
def test_wrong_options_of_a_source(arguments: list[str], complaint: str, environment: dict[str, str]) -> None:
    done = run(["/dev/video987", *arguments], environment)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_call_leaves_every_row_that_was_final(
    playing: str, environment: dict[str, str], tmp_path: Path
) -> None:
    target = tmp_path / "live.csv"
    with subprocess.Popen(
        [*COMMAND, playing, "--out", str(target)], stderr=subprocess.DEVNULL, env=environment
    ) as process:
        for _ in range(600):
            if target.exists() and len(target.read_text().splitlines()) > ROWS:
                break
            time.sleep(0.1)
        process.kill()
    header, *rows = target.read_text().splitlines()
    assert len(rows) >= ROWS
    assert {row.count(",") for row in rows} == {header.count(",")}
    assert list(tmp_path.iterdir()) == [target]


def test_a_stream_has_a_call_of_its_own(environment: dict[str, str]) -> None:
    done = run(["rtsp://me:secret@camera/1", "/dev/video987", "--out-dir", "results"], environment)
    assert done.returncode == 2
    assert "rtsp://***@camera/1 has no end" in done.stderr


def test_a_stream_can_not_be_annotated(environment: dict[str, str], tmp_path: Path) -> None:
    done = run(["tcp://127.0.0.1:9", "--out", str(tmp_path / "a.mp4")], environment)
    assert done.returncode == 1
    assert "a stream can't be read a second time to draw on" in done.stderr
    assert list(tmp_path.iterdir()) == []


def run(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
