"""A process that may not have enough memory: one line, no traceback, no half-written result."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from emorec_rt.engines import by_speed
from emorec_rt.engines.base import is_installed

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-c", "from emorec_rt.cli import main; main()"]


@pytest.mark.parametrize("megabytes", [300, 400, 500, 700, 1500])
def test_too_little_memory_is_one_line(tmp_path: Path, megabytes: int) -> None:
    limit = megabytes * 10**6
    result = subprocess.run(
        [*COMMAND, str(ROOT / "examples" / "demo.mp4"), "--out", str(tmp_path / "rows.txt")],
        env={**os.environ, "PYTHONPATH": str(ROOT / "runtime"), "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if megabytes < 600:
        assert "emorec-rt needs 600 MB of address space" in result.stderr
    elif megabytes < 1000:
        # On some Pythons what is imported before takes all of it.
        assert re.search(
            "onnxruntime needs 1000 MB of address space|error: the memory .* is full", result.stderr
        )
    elif by_speed().index("openvino") < by_speed().index("onnxruntime") and is_installed("openvino"):
        # With less than it needs, it hangs or aborts now and then.
        assert "OpenVINO needs 2000 MB of address space" in result.stderr
    assert "Traceback" not in result.stderr
    if result.returncode:
        assert result.returncode == 1
        assert sum(line.startswith("error: ") for line in result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ([] if result.returncode else ["rows.txt"])
