"""Times that a consumer can rely on, whatever the container says."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from emorec_rt.media.timeline import ABSURD_SECONDS, RESTART_SECONDS, Timeline

MILLISECONDS = Fraction(1, 1000)


def _times(pts: list[int | None]) -> list[float]:
    timeline, times, last = Timeline(MILLISECONDS), [], None
    for value in pts:
        expected = 0.0 if last is None else last + 0.04
        last = timeline.resolve(value, earliest=last, expected=expected)
        times.append(round(last, 6))
    return times


def test_the_start_is_not_subtracted() -> None:
    assert _times([8333, 8373]) == [8.333, 8.373]


def test_missing_times_follow_their_predecessor() -> None:
    assert _times([None, None, 100, None]) == [0.0, 0.04, 0.1, 0.14]


def test_a_restarted_clock_goes_on() -> None:
    assert _times([90_000, 90_040, 0, 40]) == [90.0, 90.04, 90.08, 90.12]


def test_a_damaged_leap_is_not_believed() -> None:
    assert _times([0, 40, 2**62, 120]) == [0.0, 0.04, 0.08, 0.12]
    assert _times([0, 10**9, 10**9 + 40]) == [0.0, 0.04, 0.08]


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_nothing_goes_far_back(pts: list[int | None]) -> None:
    times = _times(pts)
    assert all(abs(seconds) < 2 * ABSURD_SECONDS for seconds in times)
    assert all(later - earlier >= -RESTART_SECONDS - 1e-3 for earlier, later in pairwise(times))
