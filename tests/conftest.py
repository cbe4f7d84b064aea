"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # The workers share the cores already; more threads would only wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure() -> None:
    """Let programs be interrupted: what runs in the background has inherited that it can't be."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def media_root() -> Path:
    """Real videos and sounds, which are not part of the project; tests that need them skip without."""
    folder = os.environ.get("EMOREC_TEST_MEDIA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("EMOREC_TEST_MEDIA names no folder of real media")
    return Path(folder).resolve()
