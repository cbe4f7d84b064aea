"""Live sources and pipes, end to end: a sender process on loopback, the command as a person runs it."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import av
import cv2
import pytest

DEMO_CLIP = Path(__file__).parents[2] / "examples" / "demo.mp4"
SENDER = Path(__file__).parents[1] / "live_sender.py"
COMMAND = [sys.executable, "-c", "from emorec_rt.cli import main; main()"]
SECONDS = 6


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stream_gives_rows_while_it_runs_and_ends_cleanly_on_a_signal(number: signal.Signals) -> None:
    port = free_port()
    address = f"udp://127.0.0.1:{port}"
    with subprocess.Popen(
        [*COMMAND, address, "--out", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        time.sleep(3)  # a camera is there before who looks at it; UDP keeps nothing for those who come late
        sender = [sys.executable, str(SENDER), str(DEMO_CLIP), str(port), str(SECONDS)]
        sent = subprocess.run(sender, capture_output=True, text=True, check=True).stdout.splitlines()
        time.sleep(1)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    rows = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert len(rows) >= 0.8 * len(sent)
    assert [row["frame"] for row in rows] == list(range(len(rows)))
    times = [row["time_seconds"] for row in rows]
    assert times == sorted(times)
    assert sum(row["face"] for row in rows) > 0.9 * len(rows)
    assert sum(row["sound"] for row in rows) > 0.5 * len(rows)


def test_standard_input_gives_the_rows_of_the_file(tmp_path: Path) -> None:
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
        )
        results.append([json.loads(line) for line in done.stdout.splitlines()])
    assert len(results[0]) == 500
    for piped_row, file_row in zip(*results, strict=True):
        assert piped_row["label"] == file_row["label"]
        assert piped_row["time_seconds"] == file_row["time_seconds"]


def test_a_folder_of_numbered_pictures_has_a_row_for_each_number(tmp_path: Path) -> None:
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
    )
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "preds.txt").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [
        f"14-30-1920x1080_left/{index:05d}.jpg" for index in range(1, 41)
    ]


def test_a_refused_connection_is_one_line() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = subprocess.run(
        [*COMMAND, f"tcp://user:secret@127.0.0.1:{port}", "--out", "-"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error:")]) == 1
