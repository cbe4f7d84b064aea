"""The picture that the README opens with: the page of the shipped clip, as Chromium shows it.

    python benchmarks/page_picture.py

Needs playwright and Chromium; writes ``docs/pictures/page.jpg``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

ROOT: Final = Path(__file__).parents[1]
CLIP: Final = ROOT / "examples" / "demo.mp4"
SHOWN_SECONDS: Final = 7.4
WIDTH: Final = 1100


def main() -> None:
    """Make the page, open it, and keep what it shows above the summary."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "demo.html"
        code = "from emorec_rt.cli import main; main()"
        subprocess.run([sys.executable, "-c", code, str(CLIP), "-q", "-o", str(path), "--embed"], check=True)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 720}, device_scale_factor=1.5)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        page.evaluate(f"video.controls = false; jump({SHOWN_SECONDS})")
        page.wait_for_timeout(1500)
        bottom = float(page.evaluate("map.getBoundingClientRect().bottom + scrollY"))
        out = ROOT / "docs" / "pictures" / "page.jpg"
        out.parent.mkdir(exist_ok=True)
        page.screenshot(
            path=out,
            full_page=True,
            type="jpeg",
            quality=82,
            clip={"x": 0, "y": 0, "width": WIDTH, "height": bottom + 12},
        )
        browser.close()


if __name__ == "__main__":
    main()
