"""Keeping up on a simulated machine: the same result each time, from all frames to few."""

from __future__ import annotations

import keep_up
import live
import pytest
from keep_up_simulation import Machine, Outcome, Recording

from emorec_rt.bundle import Bundle, open_bundle
from emorec_rt.bundle.manifest import GraphName
from emorec_rt.engines import open_engines
from emorec_rt.engines.base import Engine

SECONDS = 6.0
Engines = dict[GraphName, Engine]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return open_bundle()


@pytest.fixture(scope="module")
def engines(bundle: Bundle) -> Engines:
    return open_engines(bundle, backend="onnxruntime")[1]


@pytest.fixture(scope="module")
def clip(bundle: Bundle) -> Recording:
    whole = Recording.read(live.DEMO, bundle)
    items = tuple(item for item in whole.items if item.pts_seconds < SECONDS)
    return Recording(whole.name, whole.has_video, whole.has_sound, items)


def flags(outcome: Outcome) -> list[bool | None]:
    return [row.interpolated for row in outcome.rows]


@pytest.mark.parametrize("is_live", [False, True])
def test_a_machine_that_is_fast_enough_gives_the_rows_of_exact_mode(
    bundle: Bundle, engines: Engines, clip: Recording, is_live: bool
) -> None:
    machine = Machine(bundle, engines, live=is_live, load=0.3)
    exact, kept_up = machine.exact(clip), machine.kept_up(clip)
    assert flags(exact) == [None] * len(exact.rows)
    assert flags(kept_up) == [False] * len(exact.rows)
    assert [row.label for row in kept_up.rows] == [row.label for row in exact.rows]
    for one, other in zip(exact.rows, kept_up.rows, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


@pytest.mark.parametrize("is_live", [False, True])
def test_a_machine_that_is_too_slow_keeps_every_row_and_says_which_are_interpolated(
    bundle: Bundle, engines: Engines, clip: Recording, is_live: bool
) -> None:
    machine = Machine(bundle, engines, live=is_live, load=3.0)
    exact, kept_up = machine.exact(clip), machine.kept_up(clip)
    assert [row.index for row in kept_up.rows] == [row.index for row in exact.rows]
    assert kept_up.encoded < 0.6 * exact.encoded
    assert flags(kept_up).count(False) == kept_up.encoded
    assert exact.age_seconds[-1] > SECONDS
    assert kept_up.age_seconds[-1] < SECONDS / 2
    assert flags(machine.kept_up(clip)) == flags(kept_up)


def test_limits(bundle: Bundle, engines: Engines, clip: Recording) -> None:
    machine = Machine(bundle, engines, live=True, load=0.0)
    figure = keep_up.compare("real", machine, [clip], lambda one: machine.thinned(one, 4.0))
    assert figure.encoded_share == pytest.approx(0.25, abs=0.01)
    assert figure.load is None
    result = {"live": {"p95_seconds": 1.4}, "steady": [{"clips": "real", "agreement": 0.96}]}
    assert keep_up.holds(result)
    assert not keep_up.holds({**result, "live": {"p95_seconds": 1.6}})
    assert not keep_up.holds({**result, "steady": [{"clips": "real", "agreement": 0.94}]})
