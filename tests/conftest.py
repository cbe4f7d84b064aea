"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # The workers share the cores already; more threads would only wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def media_root() -> Path:
    """Real videos and sounds, which are not part of the project; tests that need them skip without."""
    folder = os.environ.get("EMOREC_TEST_MEDIA")
    if not folder:
        pytest.skip("EMOREC_TEST_MEDIA names no folder of real media")
    return Path(folder).resolve()
