"""Files that can't grow any more, and processes that die: one error, and nothing half-written."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emorec_rt.writers import FORMATS

from .conftest import leftovers
from .test_text import environment

WRITE = """
import resource, sys
from pathlib import Path
import numpy as np
from emorec_rt.errors import OutputError
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers import FORMATS, OutputOptions, Target
source, path, rows, limit = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
labels = ("a", "b")
writer = FORMATS[path.suffix[1:]].make(Target(source, path, labels, OutputOptions(0.0)))
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    for index in range(rows):
        p = 0.5 + 0.4 * (-1) ** index
        row = np.array([p, 1 - p], np.float32)
        writer.write(Prediction(index, index * 0.04, labels[int(row.argmax())], row, True, True))
    print("rows", flush=True)
    writer.commit()
except OutputError as error:
    writer.discard()
    print(error)
"""


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_can_not_grow_is_one_error(tmp_path: Path, clip, suffix: str) -> None:
    rows = 50 if suffix == "mp4" else 2000
    source = clip("c.mkv", [0.04 * i for i in range(50)])
    out = tmp_path / f"p.{suffix}"
    out.write_text("before")
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(source), str(out), str(rows), "8000"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    assert done.stdout.splitlines()[-1] == f"{out}: can't be written (File too large)", done.stderr
    assert out.read_text() == "before"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("suffix", ["csv", "mp4"])
def test_a_kill_leaves_the_place_as_it_was(tmp_path: Path, clip, suffix: str) -> None:
    source = clip("c.mkv", [0.04 * i for i in range(200)], size=(480, 640))
    out = tmp_path / f"p.{suffix}"
    out.write_text("before")
    rows = {"csv": 10_000_000, "mp4": 200}[suffix]
    with subprocess.Popen(
        [sys.executable, "-c", WRITE, str(source), str(out), str(rows), "0"], env=environment()
    ) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not any(part.stat().st_size for part in leftovers(tmp_path)):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert out.read_text() == "before"
    (part,) = leftovers(tmp_path)
    assert part.name.startswith(".emorec-")


def test_a_process_that_is_asked_to_end_cleans_up(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from emorec_rt.machine.signals import end_on_signal\n"
        "from emorec_rt.writers import WholeFile\n"
        "signal.signal(signal.SIGTERM, end_on_signal)\n"
        "with WholeFile(Path(sys.argv[1])) as file:\n"
        "    file.write('half'); os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "p.txt")], check=False, env=environment()
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
