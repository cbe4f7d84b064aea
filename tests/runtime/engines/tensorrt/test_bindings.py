"""The backend against the real Python bindings of each supported TensorRT release, without a GPU.

The checks themselves are in ``bindings/check_*.py``; they run in a process that finds the libraries.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
FETCH: dict[str, Any] = runpy.run_path(str(HERE / "fetch_bindings.py"))
REQUIRED = bool(os.environ.get("EMOREC_REQUIRE_TRT_BINDINGS"))


@pytest.fixture(params=FETCH["RELEASES"])
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    if sys.version_info[:2] > FETCH["NEWEST_PYTHON"].get(request.param, sys.version_info[:2]):
        pytest.skip(f"TensorRT {request.param} has no wheel for this Python")
    folder = FETCH["default_folder"]().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        packages, libraries = FETCH["fetch"](request.param, folder)
    except FETCH["MissingError"] as error:
        if REQUIRED:
            pytest.fail(str(error))
        pytest.skip(f"{error}; EMOREC_REQUIRE_TRT_BINDINGS=1 makes this a failure")
    paths = (packages, ROOT / "runtime", ROOT / "tests", HERE / "bindings")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "LD_LIBRARY_PATH": str(libraries),
    }


def test_the_backend_fits_the_bindings(environment: dict[str, str]) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--no-header",
        "-o",
        "addopts=",
    ]
    command += ["-o", "python_files=check_*.py", "-o", "pythonpath=", "--import-mode=importlib"]
    result = subprocess.run(
        [*command, str(HERE / "bindings")],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
