"""Nothing leaves the machine, and nothing is written but what was asked for, as system calls show."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from folder_clips import environment, write_clip

CALLS = (
    "trace=socket,connect,sendto,sendmsg,open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2"
)
WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT")
FREE = ("/dev/", "/proc/", "/sys/")
INTERNET = re.compile(r"\b(?:socket|connect|sendto|sendmsg)\(.*(?:AF_INET|AF_INET6|AF_PACKET)")


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_run_opens_no_socket_and_writes_its_results_alone(tmp_path: Path, backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    home, out, temporary = tmp_path / "home", tmp_path / "out", tmp_path / "tmp"
    for folder in (home, temporary):
        folder.mkdir()
    clip = write_clip(tmp_path / "talk.mkv", frames=10)
    log = tmp_path / "calls.txt"
    program = [sys.executable, "-B", "-m", "emorec_rt", str(clip), "--out-dir", str(out), "--resume"]
    command = ["strace", "-f", "-qq", "-e", CALLS, "-o", str(log), *program, "--backend", backend]
    variables = {
        name: value for name, value in environment().items() if not name.startswith(("ORT_", "XDG_"))
    }
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**variables, "HOME": str(home), "TMPDIR": str(temporary)},
        timeout=300,
    )
    if "Operation not permitted" in done.stderr and not log.stat().st_size:
        pytest.skip("processes can't be traced here")
    assert done.returncode == 0, done.stderr
    lines = log.read_text(errors="replace").splitlines()
    assert lines
    assert [line for line in lines if INTERNET.search(line)] == []
    assert list(home.iterdir()) == []
    assert list(temporary.iterdir()) == []
    assert sorted(path.name for path in out.iterdir()) == [".emorec-done.jsonl", "talk.csv"]
    written = {
        path for line in lines if WRITING.search(line) and " = -1 " not in line for path in _paths(line)
    }
    assert {path for path in written if not path.startswith((*FREE, str(out)))} == set()


def _paths(line: str) -> list[str]:
    return re.findall(r'"([^"]*)"', line)
