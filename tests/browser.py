"""A headless Chromium for tests of pages; they skip without one, unless EMOREC_REQUIRE_BROWSER=1."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

PATIENCE_MS = 120_000
"""How long a page may take for anything, on a machine that has other things to do."""

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of Playwright's, with a fake camera and microphone."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program, reason = None, "playwright is not installed"
    else:
        reason = f"no {' or '.join(NAMES)} on PATH"
    if program is None:
        if os.environ.get("EMOREC_REQUIRE_BROWSER") == "1":
            pytest.fail(f"EMOREC_REQUIRE_BROWSER=1, and {reason}")
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS, timeout=PATIENCE_MS)
        try:
            yield browser
        finally:
            browser.close()
