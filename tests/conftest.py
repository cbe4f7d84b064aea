"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def media_root() -> Path:
    """Real videos and sounds, which are not part of the project; tests that need them skip without."""
    folder = os.environ.get("EMOREC_TEST_MEDIA")
    if not folder:
        pytest.skip("EMOREC_TEST_MEDIA names no folder of real media")
    return Path(folder).resolve()
