"""The page of an hour: its size, how soon it shows, and whether it keeps up with a hand that scrubs.

    python benchmarks/page.py

The rows change class twice a second and have noise on every score, which is worse than any recording. Needs
playwright and Chromium; writes ``benchmarks/results/page.json``.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from machine import save
from playwright.sync_api import sync_playwright

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.faces import Box
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers import FORMATS, Target

CLIP: Final = Path(__file__).parents[1] / "examples" / "demo.mp4"
FPS: Final = 25
HOUR_SECONDS: Final = 3600
MOST_KILOBYTES: Final = 400
MOST_PAINT_MS: Final = 1000
MOST_JUMP_MS: Final = 33
JUMPS: Final = """(() => {
  const begun = performance.now();
  for (let i = 0; i < 200; i++) jump(18 * i);
  return (performance.now() - begun) / 200;
})()"""


def rows() -> Iterator[Prediction]:
    """Ninety thousand rows of a restless person whose face moves."""
    random = np.random.default_rng(0)
    count = FPS * HOUR_SECONDS
    wanted = np.repeat(random.integers(0, len(EXPRESSIONS), count // 12 + 1), 12)[:count]
    scores = np.exp(3.0 * np.eye(len(EXPRESSIONS))[wanted] + random.normal(0, 0.1, (count, len(EXPRESSIONS))))
    scores = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
    walk = np.cumsum(random.normal(0, 1.0, (count, 2)), axis=0)
    for index, (p, (x, y)) in enumerate(zip(scores, walk, strict=True)):
        box = Box(200.0 + x % 100, 100.0 + y % 100, 120.0, 150.0)
        label = EXPRESSIONS[int(p.argmax())]
        yield Prediction(index, index / FPS, label, p, face=True, sound=True, box=box, labels=EXPRESSIONS)


def opened(path: Path) -> dict[str, Any]:
    """Open the page in headless Chromium, and time it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        jump = page.evaluate(JUMPS)
        browser.close()
    return {"first_paint_ms": round(paint), "jump_ms": round(jump, 2)}


def main() -> None:
    """Measure, print and save."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hour.html"
        writer = FORMATS["html"].make(Target(CLIP, path, EXPRESSIONS))
        for row in rows():
            writer.write(row)
        begun = time.perf_counter()
        writer.commit()
        seconds = time.perf_counter() - begun
        result = {
            "rows": FPS * HOUR_SECONDS,
            "kilobytes": round(path.stat().st_size / 1000),
            "made_seconds": round(seconds, 1),
            **opened(path),
            "limits": {"kilobytes": MOST_KILOBYTES, "first_paint_ms": MOST_PAINT_MS, "jump_ms": MOST_JUMP_MS},
        }
    print(json.dumps(result, indent=2))
    save("page", result)


if __name__ == "__main__":
    main()
