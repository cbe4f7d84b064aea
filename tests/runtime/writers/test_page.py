"""The page: what it holds, and what a browser makes of it."""

from __future__ import annotations

import csv
import re
import shutil
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser import PATIENCE_MS, chromium
from emorec_rt.constants import EXPRESSIONS
from emorec_rt.errors import OutputError
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers import FORMATS, OutputOptions, Target
from emorec_rt.writers.packing import BUDGET_BYTES, LEVELS, corners
from emorec_rt.writers.page import fill
from pages import ROOT

from .conftest import leftovers, prediction, write_all
from .test_tables import GAP, NOTICE, TALK

DEMO = ROOT / "examples" / "demo.mp4"
HOUR_ROWS = 90_000
MOST_BYTES = 400_000
FIRST_PAINT_MS = 10_000
FRAME_MS = 330
"""Ten times what ``benchmarks/page.py`` holds the page to: other tests share the cores."""

SCRUB = """(() => {
  const begun = performance.now();
  for (let i = 0; i < 100; i++) jump(36 * i);
  return performance.now() - begun;
})()"""


def noisy(count: int, seed: int = 0) -> list[Prediction]:
    """Rows that change all the time: twice a second another class, and noise on every score."""
    random = np.random.default_rng(seed)
    wanted = np.repeat(random.integers(0, 8, count // 12 + 1), 12)[:count]
    logits = 3.0 * np.eye(8)[wanted] + np.cumsum(random.normal(0, 0.05, (count, 8)), axis=0) % 1.0
    logits += random.normal(0, 0.1, (count, 8))
    scores = np.exp(logits)
    scores = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
    first = prediction(0, 0.0)
    return [
        replace(first, index=i, time_seconds=i / 25, label=EXPRESSIONS[int(p.argmax())], probabilities=p)
        for i, p in enumerate(scores)
    ]


def made(folder: Path, rows: list[Prediction], source: Path = DEMO, *, embed: bool = False) -> Path:
    path = folder / "talk.html"
    target = Target(source, path, EXPRESSIONS, OutputOptions(embed=embed), NOTICE)
    write_all(FORMATS["html"].make(target), rows)
    return path


class TestFile:
    def test_an_hour_fits(self, tmp_path: Path) -> None:
        path = made(tmp_path, noisy(HOUR_ROWS))
        assert path.stat().st_size <= MOST_BYTES
        assert BUDGET_BYTES < MOST_BYTES
        assert leftovers(tmp_path) == []

    def test_it_names_nothing_outside(self, tmp_path: Path) -> None:
        text = made(tmp_path, TALK).read_text()
        assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", text)
        assert "http" not in text.replace("http-equiv", "")
        assert NOTICE.replace("<", "&lt;").replace(">", "&gt;") in text

    def test_labels_can_do_no_harm(self, tmp_path: Path) -> None:
        labels = ("</script><script>alert(1)</script>", "<b>")
        path = tmp_path / "a.html"
        row = replace(TALK[0], label=labels[0], probabilities=TALK[0].probabilities[:2], labels=labels)
        write_all(FORMATS["html"].make(Target(Path("<i>.mp4"), path, labels)), [row])
        text = path.read_text()
        assert "<script>alert" not in text
        assert "<title>&lt;i&gt;</title>" in text

    def test_no_rows(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="no rows to show"):
            made(tmp_path, [])

    def test_embedding_needs_a_file(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="--embed needs an input that is a file"):
            made(tmp_path, TALK, Path("rtsp://camera/1"), embed=True)
        assert list(tmp_path.iterdir()) == []

    def test_a_part_is_not_a_template(self) -> None:
        assert fill("a{{x}}b{{y}}c", {"x": "{{y}}", "y": "2"}) == "a{{y}}b2c"


@pytest.mark.parametrize("tolerance", [0.004, 0.02])
def test_corners_stay_within_the_tolerance(tolerance: float) -> None:
    values = np.array([row.probabilities[2] for row in noisy(3000)], np.float64)
    gaps, heights = corners(values.tolist(), tolerance)
    at = np.cumsum(gaps)
    assert at[-1] == len(values) - 1
    assert max(gaps) <= 255
    line = np.interp(np.arange(len(values)), at, heights)
    assert np.abs(line - values).max() <= tolerance + 1e-9
    assert len(gaps) < len(values)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Open a page; at the end nothing may have gone wrong in it."""
    contexts: list[Any] = []
    complaints: list[str] = []
    requests: list[str] = []

    def open_page(path: Path, *, lost_video: bool = False, **options: Any) -> Any:
        context = browser.new_context(accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: lost_video or complaints.append(said.text))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "blob:", "data:"))] == []


def head(page: Any) -> float:
    return float(page.evaluate("head"))


def wait(page: Any, condition: str) -> None:
    """Poll from outside: the page's own policy forbids to evaluate text inside it."""
    for _ in range(600):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never true: {condition}")


class TestBrowser:
    def test_numbers_arrive_as_they_were(self, opened: Any, tmp_path: Path) -> None:
        page = opened(made(tmp_path, GAP))
        with page.expect_download() as download:
            page.click("#csv")
        with Path(download.value.path()).open() as file:
            rows = list(csv.DictReader(file))
        assert [row["label"] for row in rows] == [row.label if row.known else "" for row in GAP]
        for row, given in zip(rows, GAP, strict=True):
            assert float(row["time_seconds"]) == pytest.approx(given.time_seconds, abs=1e-6)
            assert int(row["frame"]) == given.index
            assert [float(row[label]) for label in EXPRESSIONS] == pytest.approx(
                given.probabilities.tolist(), abs=LEVELS[0].score_error + 1e-6
            )
            assert row["box_left"] == ("20.0" if given.box else "")

    def test_uneven_times_and_numbers(self, opened: Any, tmp_path: Path) -> None:
        random = np.random.default_rng(1)
        times = np.round(np.cumsum(random.uniform(0.01, 0.2, 300)), 6)
        rows = [prediction(2 * i + (i > 100), float(t)) for i, t in enumerate(times)]
        page = opened(made(tmp_path, rows))
        assert page.evaluate("Array.from(lanes[0].times)") == pytest.approx(times.tolist(), abs=2e-6)
        assert page.evaluate("[0, 101, 299].map((i) => lanes[0].number(i))") == [0, 203, 599]

    def test_the_lines_of_an_hour(self, opened: Any, tmp_path: Path) -> None:
        rows = noisy(HOUR_ROWS)
        page = opened(made(tmp_path, rows))
        step = 1000
        read = page.evaluate(
            f"Array.from({{length: {HOUR_ROWS // step}}}, (_, i) => score(lanes[0], 2, i * {step}))"
        )
        given = [float(row.probabilities[2]) for row in rows[::step]]
        error = max(level.score_error for level in LEVELS[:6])
        assert read == pytest.approx(given, abs=error + 1e-6)
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        assert paint < FIRST_PAINT_MS
        assert page.evaluate(SCRUB) / 100 < FRAME_MS

    def test_click_keys_and_zoom(self, opened: Any, tmp_path: Path) -> None:
        page = opened(made(tmp_path, TALK))
        box = page.locator("#lanes").bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + 90)
        assert head(page) == pytest.approx(2.2, abs=0.2)
        page.keyboard.press("p")
        assert head(page) == pytest.approx(2.0, abs=1e-3)
        page.keyboard.press("n")
        assert head(page) == pytest.approx(3.0, abs=1e-3)
        page.keyboard.press("ArrowRight")
        assert head(page) == pytest.approx(3.04, abs=1e-3)
        page.keyboard.press("Home")
        assert head(page) == 0
        page.keyboard.press("+")
        assert page.evaluate("view[1] - view[0]") == pytest.approx(2.0)
        page.mouse.wheel(0, -300)
        assert page.evaluate("view[1] - view[0]") < 2.0
        page.keyboard.press("0")
        assert page.evaluate("view") == [0, 4]
        assert page.locator("#now .who b").inner_text() == "Neutral"
        page.click("#now .row >> nth=0")
        assert page.evaluate("hidden.has(0)")

    def test_the_player_moves_in_step(self, opened: Any, tmp_path: Path) -> None:
        page = opened(made(tmp_path, noisy(500)))
        wait(page, "hasVideo")
        page.evaluate("jump(5)")
        wait(page, "Math.abs(video.currentTime - 5) < 0.01 && !video.seeking")
        page.click("#play")
        wait(page, "head > 5.3")
        page.click("#play")
        wait(page, "video.paused")
        page.wait_for_timeout(200)
        assert abs(head(page) - page.evaluate("video.currentTime")) < 0.1
        assert page.evaluate("document.getElementById('overlay').width") > 100

    def test_the_video_inside(self, opened: Any, tmp_path: Path) -> None:
        page = opened(made(tmp_path, TALK, embed=True))
        wait(page, "hasVideo && video.videoWidth > 0")
        assert page.evaluate("video.src").startswith("blob:")

    def test_a_video_that_has_moved(self, opened: Any, tmp_path: Path) -> None:
        source = tmp_path / "in.mp4"
        shutil.copy(DEMO, source)
        path = made(tmp_path, TALK, source)
        source.rename(tmp_path / "moved.mp4")
        page = opened(path, lost_video=True)
        page.wait_for_selector("#missing:not([hidden])")
        page.keyboard.press("End")
        assert head(page) == pytest.approx(4.0)
        page.set_input_files("#choose", str(tmp_path / "moved.mp4"))
        wait(page, "hasVideo")
        assert page.locator("#missing").is_hidden()

    def test_sound_alone_has_a_low_player(self, opened: Any, tmp_path: Path) -> None:
        source = tmp_path / "talk.wav"
        with wave.open(str(source), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(16_000)
            out.writeframes(bytes(4 * 32_000))
        page = opened(made(tmp_path, TALK, source))
        wait(page, "hasVideo")
        assert page.evaluate("document.getElementById('screen').clientHeight") < 80

    def test_no_video_at_all(self, opened: Any, tmp_path: Path) -> None:
        page = opened(made(tmp_path, TALK, Path("rtsp://camera/1")))
        assert page.locator("#play").is_hidden()
        assert page.locator("#now .row").count() == len(EXPRESSIONS)

    def test_a_lane_for_each_person(self, opened: Any, tmp_path: Path) -> None:
        rows: list[Prediction] = []
        for row in TALK:
            rows.append(replace(row, person=1))
            if not 1.0 < row.time_seconds < 3.0:
                rows.append(replace(row, label="Fear", person=2))
        page = opened(made(tmp_path, rows))
        assert page.evaluate("lanes.map((lane) => [lane.person, lane.segments.length, !!lane.face])") == [
            [1, 3, True],
            [2, 2, True],
        ]
        assert page.evaluate("lanes[1].gaps") == [[pytest.approx(1.04), pytest.approx(3.0)]]
        assert page.locator("#now .who").count() == 2
        with page.expect_download() as download:
            page.click("#segments")
        lines = Path(download.value.path()).read_text().splitlines()
        assert [line.split(",")[2] for line in lines[1:]] == ["1", "1", "1", "2", "2"]

    @pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
    def test_nothing_sticks_out(self, opened: Any, tmp_path: Path, width: int, scheme: str) -> None:
        page = opened(made(tmp_path, TALK), viewport={"width": width, "height": 800}, color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page_colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert page_colour == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 24, 28)")
