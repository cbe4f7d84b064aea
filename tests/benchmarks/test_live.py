"""Matching rows with the frames that were sent, and a short run of the whole benchmark."""

from __future__ import annotations

import live
import pytest

FRAME_SECONDS = 1 / live.FPS


def rows(numbers: list[int], delay_seconds: float = 0.4) -> list[tuple[float, dict[str, float]]]:
    """Rows of frames that were sent at 100 s and after; the source's clock starts 60 ms before the first."""
    return [
        (100.0 + k * FRAME_SECONDS + delay_seconds, {"frame": k, "time_seconds": 0.06 + k * FRAME_SECONDS})
        for k in numbers
    ]


SENT = [100.0 + k * FRAME_SECONDS for k in range(60)]


def test_every_row_is_there() -> None:
    delays = live.compare(SENT, rows(list(range(60))), measured=50)
    assert (delays.sent, delays.rows, delays.lost, delays.mistimed) == (50, 50, 0, 0)
    assert delays.figures() == pytest.approx({"p50_seconds": 0.4, "p95_seconds": 0.4, "max_seconds": 0.4})
    assert delays.holds


def test_a_frame_without_a_row_is_lost() -> None:
    delays = live.compare(SENT, rows([*range(20), *range(23, 60)]), measured=50)
    assert (delays.rows, delays.lost, delays.mistimed) == (47, 3, 0)
    assert not delays.holds


def test_rows_that_count_past_a_lost_frame_are_mistimed() -> None:
    shifted = [(at, {**row, "time_seconds": row["time_seconds"] + (row["frame"] >= 40) * FRAME_SECONDS})
               for at, row in rows(list(range(60)))]  # fmt: skip
    delays = live.compare(SENT, shifted, measured=50)
    assert (delays.lost, delays.mistimed) == (0, 10)
    assert not delays.holds


def test_late_rows_miss_the_limit() -> None:
    delays = live.compare(SENT, [*rows(list(range(40))), *rows(list(range(40, 50)), 1.5)], measured=50)
    assert delays.figures()["p95_seconds"] == pytest.approx(1.5)
    assert not delays.holds


def test_no_row_at_all() -> None:
    delays = live.compare(SENT, [], measured=50)
    assert delays.lost == 50
    assert delays.figures()["max_seconds"] == float("inf")
    assert not delays.holds


def test_a_short_run_matches_rows_with_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(live, "TAIL_SECONDS", 1.0)
    delays, said = live.run(live.DEMO, 2.0, ["--quiet"])
    assert delays.sent == 50
    assert delays.rows + delays.lost == 50
    assert delays.rows > 0
    assert delays.mistimed == 0
    assert "Traceback" not in said
