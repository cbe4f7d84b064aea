from __future__ import annotations

import itertools
import tempfile
import xml.etree.ElementTree as ET  # the SVG is our own
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.errors import OutputError
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers import FORMATS
from emorec_rt.writers.base import Target
from emorec_rt.writers.curve import Extent, curve
from emorec_rt.writers.palette import colours
from emorec_rt.writers.plot import BOTTOM, PLOT_COLUMNS, TOP, plot
from emorec_rt.writers.plot_axis import ABSENT, LEFT, PRESENT, RIGHT
from emorec_rt.writers.raster import PIXELS_PER_POINT, to_png
from emorec_rt.writers.row_buffer import IN_MEMORY_BYTES, RowBuffer
from emorec_rt.writers.shapes import Line, Polygon, Rectangle, Text
from emorec_rt.writers.svg import to_svg

from .conftest import leftovers, prediction, rows, target, write_all

SVG = "{http://www.w3.org/2000/svg}"


def spooled(predictions: list[Prediction]) -> tuple[RowBuffer, Extent]:
    spool, extent = RowBuffer(EXPRESSIONS), Extent()
    for item in predictions:
        spool.append(item)
        extent.add(item.time_seconds)
    return spool, extent


def drawn(predictions: list[Prediction], title: str = "talk"):
    return plot(curve(*spooled(predictions), PLOT_COLUMNS), EXPRESSIONS, title)


def two_halves(count: int, fps: float = 25.0) -> list[Prediction]:
    labels = ["Anger"] * (count // 2) + ["Sadness"] * (count - count // 2)
    return [prediction(i, i / fps, label, 0.9) for i, label in enumerate(labels)]


class TestSpool:
    def test_rows_come_back_as_they_were(self) -> None:
        faceless = Prediction(1, 0.04, "Fear", prediction(1, 0.0, "Fear").probabilities, False, False)
        given = [prediction(0, 1 / 3), faceless]
        spool, _ = spooled(given)
        for _ in range(2):
            for before, after in zip(given, spool.rows(), strict=True):
                np.testing.assert_array_equal(before.probabilities, after.probabilities)
                assert (after.index, after.time_seconds, after.label) == (
                    before.index,
                    before.time_seconds,
                    before.label,
                )
                assert (after.face, after.sound, after.box) == (before.face, before.sound, before.box)

    def test_many_rows_go_to_a_file_without_a_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        spool = RowBuffer(EXPRESSIONS)
        item = prediction(0, 0.0)
        count = IN_MEMORY_BYTES // 60
        for _ in range(count):
            spool.append(item)
        assert list(tmp_path.iterdir()) == []
        assert sum(len(chunk) for chunk in spool.chunks()) == count


class TestCurve:
    def test_few_rows_stay_as_they_are(self) -> None:
        predictions = two_halves(50)
        thinned = curve(*spooled(predictions), 100)
        np.testing.assert_allclose(thinned.edges[:-1], [p.time_seconds for p in predictions])
        np.testing.assert_allclose(thinned.probabilities, [p.probabilities for p in predictions])
        assert thinned.edges[-1] == pytest.approx(2.0)

    def test_many_rows_become_the_means_of_their_columns(self) -> None:
        predictions = two_halves(40_000)
        thinned = curve(*spooled(predictions), 100)
        expected = np.stack([p.probabilities for p in predictions]).reshape(100, 400, -1).mean(axis=1)
        np.testing.assert_allclose(thinned.probabilities, expected, atol=1e-5)
        np.testing.assert_allclose(thinned.probabilities.sum(axis=1), 1.0, atol=1e-5)
        assert thinned.shares[EXPRESSIONS.index("Anger")] == 0.5

    def test_a_gap_repeats_what_was_before_it(self) -> None:
        times = [*np.arange(100) * 0.01, *(9.0 + np.arange(100) * 0.01)]
        thinned = curve(*spooled(rows(times)), 50)
        np.testing.assert_allclose(thinned.probabilities.sum(axis=1), 1.0, atol=1e-5)


class TestPlot:
    def test_areas_stack_to_one_and_fill_the_plot(self) -> None:
        areas = [shape for shape in drawn(two_halves(100)).shapes if isinstance(shape, Polygon)]
        assert len(areas) == len(EXPRESSIONS)
        top = areas[0].points  # the last class, drawn first, reaches up to the sum
        assert top[:, 0].min() == pytest.approx(LEFT)
        assert top[:, 0].max() == pytest.approx(RIGHT)
        np.testing.assert_allclose(top[1:-1, 1], TOP, atol=1e-6)
        for higher, lower in itertools.pairwise(areas):
            assert (higher.points[:, 1] <= lower.points[:, 1] + 1e-9).all()
            assert (lower.points[:, 1] <= BOTTOM + 1e-9).all()

    @pytest.mark.parametrize(
        ("seconds", "labels", "unit"),
        [
            (4.0, ["0", "0.5", "1", "1.5", "2", "2.5", "3", "3.5", "4"], None),
            (60.0, ["0", "10", "20", "30", "40", "50", "60"], "time in seconds"),
            (600.0, ["0:00", "1:00", "2:00", "10:00"], "time (min:s)"),
            (7200.0, ["0:00:00", "0:15:00", "2:00:00"], "time (h:min:s)"),
        ],
    )
    def test_the_axis_is_told_in_fitting_units(self, seconds: float, labels: list[str], unit) -> None:
        times = np.arange(0, seconds, seconds / 100)
        texts = [shape.text for shape in drawn(rows(times)).shapes if isinstance(shape, Text)]
        if unit is not None:
            assert unit in texts
            assert set(labels) <= set(texts)

    def test_stretches_without_face_or_sound_are_pale(self) -> None:
        predictions = [
            Prediction(p.index, p.time_seconds, p.label, p.probabilities, not 20 <= i < 40, not 60 <= i < 70)
            for i, p in enumerate(two_halves(100))
        ]
        veils = [s for s in drawn(predictions).shapes if isinstance(s, Rectangle) and s.opacity == 0.62]
        width = (RIGHT - LEFT) / 100
        spans = [(veil.left - LEFT, veil.width) for veil in veils]
        assert spans == [pytest.approx((20 * width, 20 * width)), pytest.approx((60 * width, 10 * width))]

    def test_classes_have_different_colours(self) -> None:
        assert len(set(colours(EXPRESSIONS))) == len(EXPRESSIONS)
        assert len(set(colours(("x", "y", "Anger", "z")))) == 4


def pixel(picture, x: float, y: float) -> tuple[int, ...]:
    return tuple(picture[round(y * PIXELS_PER_POINT), round(x * PIXELS_PER_POINT), ::-1].tolist())


def test_png_and_svg_show_the_same(tmp_path: Path) -> None:
    for suffix in ("png", "svg"):
        write_all(FORMATS[suffix].make(target(tmp_path / f"t.{suffix}")), two_halves(200))
    picture = cv2.imread(str(tmp_path / "t.png"))
    document = ET.fromstring((tmp_path / "t.svg").read_text())
    assert picture.shape[1] == PIXELS_PER_POINT * float(document.get("width", 0))
    assert picture.shape[0] == PIXELS_PER_POINT * float(document.get("height", 0))
    strip = [r for r in document.iter(f"{SVG}rect") if r.get("y") == "312"]
    assert len(strip) == 2
    for box in strip:
        fill = box.get("fill", "")
        middle = float(box.get("x", 0)) + float(box.get("width", 0)) / 2
        expected = tuple(bytes.fromhex(fill[1:]))
        assert pixel(picture, middle, 320) == expected
        assert pixel(picture, middle, BOTTOM - 0.4 * (BOTTOM - TOP)) == expected
    assert leftovers(tmp_path) == []


def test_any_name_makes_well_formed_svg() -> None:
    svg = to_svg(drawn(two_halves(10), title='a < b & "c" \x07 \N{SNOWMAN}'))
    document = ET.fromstring(svg)
    texts = [element.text for element in document.iter(f"{SVG}text")]
    assert 'a < b & "c"   \N{SNOWMAN}' in texts
    assert set(EXPRESSIONS) <= set(texts)


def test_hours_make_no_larger_svg_than_minutes() -> None:
    minutes, hours = (len(to_svg(drawn(two_halves(count)))) for count in (1500, 90_000))
    assert hours < 1.2 * minutes


def test_one_row_is_a_plot_too() -> None:
    assert to_png(drawn(rows([3.0]))).startswith(b"\x89PNG")


def test_no_rows_are_refused(tmp_path: Path) -> None:
    writer = FORMATS["png"].make(target(tmp_path / "t.png"))
    with pytest.raises(OutputError, match="no rows"):
        writer.commit()
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def measured(count: int) -> list[Prediction]:
    told = ({"valence": k / count, "arousal": -1.0, "AU12": float(k >= count // 2)} for k in range(count))
    return [replace(row, measures=one) for row, one in zip(two_halves(count), told, strict=True)]


class TestMeasures:
    @pytest.mark.parametrize("count", [100, 40_000])
    def test_curves_and_strips_are_those_of_the_rows(self, count: int) -> None:
        names = ("valence", "arousal", "AU12")
        buffer, extent = RowBuffer(EXPRESSIONS, names), Extent()
        for row in measured(count):
            buffer.append(row)
            extent.add(row.time_seconds)
        assert next(buffer.rows()).measures == {"valence": 0.0, "arousal": -1.0, "AU12": 0.0}
        thinned = curve(buffer, extent, 100)
        np.testing.assert_allclose(thinned.measures["valence"], np.linspace(0, 1, 101)[:-1], atol=0.01)
        np.testing.assert_allclose(thinned.measures["arousal"], -1.0)
        np.testing.assert_allclose(thinned.measures["AU12"][[10, 90]], [0.0, 1.0])

    def test_the_plot_grows_by_what_is_told(self) -> None:
        plain = drawn(two_halves(100))
        buffer, extent = RowBuffer(EXPRESSIONS, ("valence", "arousal", "AU12")), Extent()
        for row in measured(100):
            buffer.append(row)
            extent.add(row.time_seconds)
        full = plot(curve(buffer, extent, PLOT_COLUMNS), EXPRESSIONS, "talk")
        assert full.height > plain.height
        texts = [shape.text for shape in full.shapes if isinstance(shape, Text)]
        assert {"valence", "arousal", "AU12"} <= set(texts)
        assert not {"valence", "arousal", "AU12"} & {s.text for s in plain.shapes if isinstance(s, Text)}
        rising = [s for s in full.shapes if isinstance(s, Line) and s.width == 1.5]
        assert all(LEFT <= s.start[0] <= s.end[0] <= RIGHT for s in rising)
        assert len(rising) == 2 * 99
        assert all(s.end[1] <= s.start[1] for s in rising)  # valence rises, arousal stays

    def test_a_strip_is_as_dark_as_its_unit_is_likely(self) -> None:
        buffer, extent = RowBuffer(EXPRESSIONS, ("AU12",)), Extent()
        for row in measured(100):
            buffer.append(row)
            extent.add(row.time_seconds)
        shapes = plot(curve(buffer, extent, PLOT_COLUMNS), EXPRESSIONS, "talk").shapes
        (place,) = (number for number, s in enumerate(shapes) if isinstance(s, Text) and s.text == "AU12")
        before, after = shapes[place + 1], shapes[place + 2]
        assert isinstance(before, Rectangle)
        assert isinstance(after, Rectangle)
        assert (before.fill, after.fill) == (ABSENT, PRESENT)
        assert after.left == pytest.approx((LEFT + RIGHT) / 2, abs=1.0)

    def test_files_of_a_bundle_that_tells_them(self, tmp_path: Path) -> None:
        for name in ("svg", "png"):
            made = Target(
                Path("talk.mp4"), tmp_path / f"t.{name}", EXPRESSIONS, measures=("valence", "arousal", "AU12")
            )
            write_all(FORMATS[name].make(made), measured(100))
        assert "arousal" in (tmp_path / "t.svg").read_text()
        assert cv2.imread(str(tmp_path / "t.png")) is not None
