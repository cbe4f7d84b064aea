"""Standard input, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from emorec_rt.media import open_media
from senders import clip_bytes, frames, sound

RUNTIME = Path(__file__).parents[4] / "runtime"
PROGRAM = """
import json, sys
from emorec_rt.errors import MediaError
from emorec_rt.media import Samples
from emorec_rt.media.sources import open_source
try:
    with open_source("-") as source:
        print(json.dumps([source.live, source.has_video, source.has_sound]), flush=True)
        for item in source:
            print(json.dumps([isinstance(item, Samples), item.pts_seconds]), flush=True)
    print(json.dumps(source.warnings))
except MediaError as error:
    print(json.dumps(str(error)))
except KeyboardInterrupt:
    print(json.dumps("interrupted"))
"""


def start(**options: Any) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(RUNTIME)}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def run(data: bytes) -> list[Any]:
    with start(stdin=subprocess.PIPE) as process:
        out, err = process.communicate(data, timeout=30.0)
    assert err == b""
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.parametrize("format_name", ["mpegts", "matroska"])
def test_a_pipe_gives_what_the_file_gives(tmp_path: Path, format_name: str) -> None:
    path = tmp_path / "clip.media"
    path.write_bytes(clip_bytes(format_name))
    with open_media(path) as media:
        items = list(media)
    first, *rows, warnings = run(path.read_bytes())
    assert first == [False, True, True]
    assert [seconds for is_sound, seconds in rows if not is_sound] == [
        frame.pts_seconds for frame in frames(items)
    ]
    assert [seconds for is_sound, seconds in rows if is_sound] == [
        block.pts_seconds for block in sound(items)
    ]
    assert warnings == []


def test_a_pipe_that_is_cut_in_the_middle(transport_stream: bytes) -> None:
    _, *rows, warnings = run(transport_stream[: len(transport_stream) // 2])
    assert 10 < sum(not is_sound for is_sound, _ in rows) < 50
    assert isinstance(warnings, list)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it ended before anything came"),
        (b"nonsense" * 10_000, "not media of a known format, or damaged from its start"),
    ],
)
def test_refusals(data: bytes, reason: str) -> None:
    assert run(data) == [f"standard input: {reason}"]


def test_no_standard_input() -> None:
    with start(stdin=subprocess.DEVNULL, preexec_fn=lambda: os.close(0)) as process:
        out, _ = process.communicate(timeout=30.0)
    assert json.loads(out) == "standard input: it is closed; pipe media into it"


def test_control_c_while_nothing_comes() -> None:
    with start(stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"G")
        process.stdin.flush()
        _wait_until_polling(process.pid)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30.0)
    assert (json.loads(out), err) == ("interrupted", b"")


def _wait_until_polling(pid: int) -> None:
    """Until the process sleeps in ``poll`` with FFmpeg loaded."""
    for _ in range(300):
        loaded = "libavformat" in Path(f"/proc/{pid}/maps").read_text()
        if loaded and "poll" in Path(f"/proc/{pid}/wchan").read_text():
            return
        time.sleep(0.05)
    pytest.skip("this system doesn't tell what a process waits for")
