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

ROOT = Path(__file__).parents[2]
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
    assert sum(row["sound"] for row in rows) > 0.5 * len(rows)


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


def test_a_refused_connection_is_one_line(environment: dict[str, str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = subprocess.run(
        [*COMMAND, f"tcp://user:secret@127.0.0.1:{port}", "--out", "-"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error:")]) == 1
