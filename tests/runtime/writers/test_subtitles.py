from __future__ import annotations

from pathlib import Path

import av
import pytest

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.writers import FORMATS, Target
from emorec_rt.writers.subtitles import VttFormat

from .conftest import prediction, rows, target, write_all


def parsed(path: Path) -> list[tuple[float, float, str]]:
    """Start, end and text, as FFmpeg reads them."""
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        return [
            (
                float(packet.pts * stream.time_base),
                float((packet.pts + packet.duration) * stream.time_base),
                bytes(packet).decode(),
            )
            for packet in container.demux(stream)
            if packet.size
        ]


@pytest.mark.parametrize("suffix", ["srt", "vtt"])
class TestBoth:
    def test_a_player_reads_back_what_was_written(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"s.{suffix}"
        labels = ["Neutral"] * 50 + ["Anger"] * 3 + ["Neutral"] * 10 + ["Surprise"] * 37
        predictions = [prediction(i, i * 0.04, label, 0.83) for i, label in enumerate(labels)]
        write_all(FORMATS[suffix].make(target(path)), predictions)
        cues = parsed(path)
        assert [(round(start, 3), round(end, 3)) for start, end, _ in cues] == [(0.0, 2.52), (2.52, 4.0)]
        assert [text for _, _, text in cues] == ["Neutral 0.79", "Surprise 0.83"]

    def test_hours_are_told(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"s.{suffix}"
        write_all(FORMATS[suffix].make(target(path)), rows([36000.0, 36000.5, 36001.0]))
        assert [(start, end) for start, end, _ in parsed(path)] == [(36000.0, 36001.5)]

    def test_times_count_from_the_container_s_start(self, tmp_path: Path, clip, suffix: str) -> None:
        times = [7.3 + 0.04 * i for i in range(25)]
        source = clip("late.mkv", times)
        path = tmp_path / f"s.{suffix}"
        write_all(FORMATS[suffix].make(target(path, source)), rows(times))
        assert [cue[:2] for cue in parsed(path)] == [pytest.approx((0.0, 1.0), abs=1e-3)]

    def test_sound_that_starts_first_is_the_zero(self, tmp_path: Path, clip, suffix: str) -> None:
        times = [2.0 + 0.04 * i for i in range(25)]
        source = clip("late.mkv", times, sound_codec="pcm_s16le", sound_at=0.5, sound_seconds=3.0)
        path = tmp_path / f"s.{suffix}"
        write_all(FORMATS[suffix].make(target(path, source)), rows(times))
        assert [cue[:2] for cue in parsed(path)] == [pytest.approx((1.5, 2.5), abs=1e-3)]

    def test_no_rows_make_an_empty_file_that_is_still_valid(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"s.{suffix}"
        write_all(FORMATS[suffix].make(target(path)), [])
        assert path.read_text() == {"srt": "", "vtt": "WEBVTT\n\n"}[suffix]


def test_webvtt_escapes_what_it_would_read_as_markup() -> None:
    labels = ("<b>&", *EXPRESSIONS[1:])
    subtitles = VttFormat(Target(Path("talk.mp4"), Path("-"), labels))
    item = prediction(0, 0.0, "Neutral")
    subtitles.row(type(item)(0, 0.0, "<b>&", item.probabilities, True, True))
    assert "&lt;b&gt;&amp; 0.65" in subtitles.end()
