# ruff: noqa: ARG005 - doubles take what the real ones take
"""Progress of a build: nested phases, stopping, and exceptions that wait for the C++ frames to be left."""

from __future__ import annotations

import pytest

from emorec_rt.engines.tensorrt.progress import ProgressRelay


def test_phases_nest() -> None:
    told: list[tuple[str, int, int]] = []
    relay = ProgressRelay(lambda *step: told.append(step) or True)
    relay.phase_start("Build", None, 2)
    relay.phase_start("Timing", "Build", 4)
    relay.phase_start("Tactic", "Timing", 1)
    assert relay.step_complete("Tactic", 0)
    relay.phase_finish("Tactic")
    assert relay.step_complete("Timing", 3)
    assert told[2:] == [
        ("Build > Timing > Tactic", 0, 1),
        ("Build > Timing > Tactic", 1, 1),
        ("Build > Timing", 4, 4),
    ]
    relay.finish()
    assert not relay.stopped


def test_a_step_of_an_unknown_phase_is_told_too() -> None:
    told: list[tuple[str, int, int]] = []
    relay = ProgressRelay(lambda *step: told.append(step) or True)
    relay.phase_finish("never begun")
    assert relay.step_complete("Loose", 2)
    assert told == [("Loose", 3, 3)]


def test_only_false_stops() -> None:
    relay = ProgressRelay(lambda *step: None)  # type: ignore[arg-type, return-value]
    assert relay.step_complete("Build", 0)


def test_once_stopped_nothing_more_is_told() -> None:
    told: list[int] = []
    relay = ProgressRelay(lambda phase, done, steps: told.append(done) or False)
    assert not relay.step_complete("Build", 0)
    assert not relay.step_complete("Build", 1)
    assert told == [1]
    assert relay.stopped


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("broken bar")])
def test_exceptions_stop_the_build_and_are_raised_after_it(error: BaseException) -> None:
    def fail(phase: str, done: int, steps: int) -> bool:
        raise error

    relay = ProgressRelay(fail)
    relay.phase_start("Build", None, 1)
    assert relay.stopped
    assert not relay.step_complete("Build", 0)
    with pytest.raises(type(error)):
        relay.finish()
