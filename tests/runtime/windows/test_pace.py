"""The pace of an input on a clock of the test's own: slower while there is too much to do, and back again."""

from __future__ import annotations

import numpy as np
import pytest

from emorec_rt.bundle.manifest import Audio
from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.media.types import Samples
from emorec_rt.windows.chunks import AudioChunker
from emorec_rt.windows.pace import LATE_SECONDS, LONGEST_STRETCH, SOUND_STRETCH, USED_SHARE, Pace

FPS = 25


class Machine:
    """Frames that come in real time, and an encoder that takes ``load`` seconds for a second of them."""

    def __init__(self, load: float) -> None:
        self.seconds = 0.0
        self.load = load
        self.pace = Pace(now=lambda: self.seconds)
        self.frames = 0

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * FPS)):
            came_at = self.frames / FPS
            self.frames += 1
            self.seconds = max(self.seconds, came_at)
            newest = self.seconds < self.frames / FPS
            self.pace.note(came_at, self.seconds - came_at, newest=newest)
            self.pace.begin()
            self.seconds += 0.0 if self.pace.behind else self.load / FPS / self.pace.stretch
            self.pace.rest()


def test_a_machine_that_is_fast_enough_leaves_nothing_out() -> None:
    machine = Machine(0.7)
    machine.run(60.0)
    assert (machine.pace.stretch, machine.pace.longest) == (1.0, 1.0)


@pytest.mark.parametrize("load", [1.0, 2.0, 4.0, 10.0])
def test_the_stretch_is_what_the_load_asks_for(load: float) -> None:
    machine = Machine(load)
    machine.run(60.0)
    assert machine.pace.stretch == pytest.approx(load / USED_SHARE, rel=0.1)
    assert machine.seconds - machine.frames / FPS < 0.1
    assert not machine.pace.gives_up()


def test_it_comes_back_once_there_is_less_to_do() -> None:
    machine = Machine(4.0)
    machine.run(30.0)
    late = machine.pace.stretch
    machine.load = 0.5
    machine.run(20.0)
    assert machine.pace.stretch == 1.0
    assert machine.pace.longest >= late > 4.0


def test_it_gives_up_once_where_no_pace_will_do() -> None:
    machine = Machine(30.0)
    while machine.pace.stretch < LONGEST_STRETCH:
        machine.run(1.0)
    assert not machine.pace.gives_up()
    machine.run(30.0)
    assert machine.pace.gives_up()
    assert not machine.pace.gives_up()


def test_it_gives_up_where_sound_never_comes_in_time() -> None:
    machine = Machine(0.5)
    for _ in range(30):
        machine.pace.sound_missed = True
        machine.run(1.0)
    assert machine.pace.gives_up()


def test_frames_are_thinned_out_further_than_sound() -> None:
    pace = Pace()
    most = LONGEST_STRETCH - SOUND_STRETCH
    for stretch, expected in {
        1.0: 1.0,
        2.0: 2.0,
        4.0: 4.0,
        6.0: 4.0,
        8.0: 4.0,
        LONGEST_STRETCH: most,
    }.items():
        pace.stretch = stretch
        assert pace.sound_stretch == expected


def test_a_late_item_gives_way_only_where_a_newer_one_waits() -> None:
    pace = Pace()
    behind = []
    for age_seconds, newest in ((0.0, False), (LATE_SECONDS + 0.1, False), (LATE_SECONDS + 0.1, True)):
        pace.note(0.0, age_seconds, newest=newest)
        behind.append(pace.behind)
    assert behind == [False, True, False]


def test_pictures_that_come_late_by_themselves_are_not_left_out() -> None:
    machine = Machine(0.1)
    for k in range(60 * FPS):
        machine.seconds = k / FPS
        machine.pace.note(k / FPS, 2.0, newest=True)
    assert machine.pace.idle
    assert machine.pace.stretch == 1.0
    assert machine.pace.gives_up()


def test_batches_wait_for_a_moment() -> None:
    seconds = 0.0
    pace = Pace(now=lambda: seconds)
    flushes = 0
    for k in range(250):
        seconds = 0.04 * k
        flushes += pace.flush_due()
    assert flushes == pytest.approx(48, abs=3)


@pytest.mark.parametrize("speed", [0.5, 1.0, 4.0])
def test_a_file_is_late_by_its_own_speed(speed: float) -> None:
    seconds = 0.0
    pace = Pace(speed, now=lambda: seconds)
    assert pace.lateness_seconds(7.0) == 0.0
    seconds = 3.0
    assert pace.lateness_seconds(7.0 + 3.0 * speed) == pytest.approx(0.0)
    assert pace.lateness_seconds(7.0) == pytest.approx(3.0)
    assert pace.lateness_seconds(17.0) == pytest.approx(3.0 - 10.0 / speed)


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_longer_chunks_hold_the_same_tokens(cores: int) -> None:
    audio = Audio(chunk_tokens=40, context_tokens=5, embedding_dim=4)
    pcm = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * SAMPLE_RATE_HZ).astype(np.float32)
    chunker = AudioChunker(audio, 25, 5)
    chunker.cores = cores
    chunks = [*chunker.push(Samples(1.0, pcm)), *chunker.finish()]
    assert [chunk.index for chunk in chunks][:3] == [0, cores, 2 * cores]
    for chunk in chunks:
        assert len(chunk.samples) == audio.chunk_samples
        assert len(chunk.mask) == chunk.cores * chunker.core
        first = 25 - (chunk.cores - 1) * chunker.core
        for k in range(0, len(chunk.mask), 7):
            heard = chunk.samples[(first + k) * 320 :][:400]
            place = (chunk.index * chunker.core + k) * 320
            wanted = pcm[place : place + 400]
            np.testing.assert_array_equal(heard[: len(wanted)], wanted)
            assert not heard[len(wanted) :].any()
    assert sum(chunk.mask.sum() for chunk in chunks) == (len(pcm) - 200) // 320 + 1
