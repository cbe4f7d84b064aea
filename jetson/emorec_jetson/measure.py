"""Speed, power and heat of ``emorec-rt bench`` in each power mode."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emorec_jetson.modes import Say, Switch
from emorec_jetson.sampler import Sampler, Summary, summarise
from emorec_rt.machine.jetson.errors import JetsonError, ToolMissingError
from emorec_rt.machine.jetson.nvpmodel import PowerMode


@dataclass(frozen=True)
class Speed:
    """Report of ``emorec-rt bench --json``.

    Attributes:
        frames: Video frames recognised.
        wall_seconds: Time it took.
        times_real_time: Seconds of video for each second of wall time.
        details: The whole report, stage times included, as it came.
    """

    frames: int
    wall_seconds: float
    times_real_time: float
    details: dict[str, Any]

    @property
    def frames_per_second(self) -> float:
        """Frames recognised in a second."""
        return self.frames / self.wall_seconds

    @property
    def video_seconds(self) -> float:
        """Length of the video."""
        return self.times_real_time * self.wall_seconds


@dataclass(frozen=True)
class ModeResult:
    """One power mode: its figures, or why there are none.

    Attributes:
        mode: The mode.
        skipped: Why it was not measured; ``None`` when it was.
        speed: Speed.
        load: Power and heat from the start of the program to its end.
        idle_watts: Mean power in the same mode before the program started.
    """

    mode: PowerMode
    skipped: str | None = None
    speed: Speed | None = None
    load: Summary | None = None
    idle_watts: float | None = None

    @property
    def joules_per_video_second(self) -> float | None:
        """Energy to recognise one second of video, everything that the power scope includes."""
        if self.speed is None or self.load is None or self.load.mean_watts is None:
            return None
        return self.load.mean_watts / self.speed.times_real_time


def parse_report(text: str) -> Speed:
    """Read the report of ``emorec-rt bench --json``: the last JSON object of its output.

    Raises:
        JetsonError: There is none, or a figure is missing or not above zero.
    """
    start = 0 if text.lstrip().startswith("{") else max(text.rfind("\n{"), 0)
    try:
        report = json.loads(text[start:])
        speed = Speed(
            int(report["frames"]), float(report["wall_seconds"]), float(report["times_real_time"]), report
        )
    except (ValueError, KeyError, TypeError) as error:
        raise JetsonError(f"emorec-rt bench printed no report that is understood ({error!r})") from error
    if min(speed.frames, speed.wall_seconds, speed.times_real_time) <= 0:
        raise JetsonError("emorec-rt bench reports a figure that is not above zero")
    return speed


def run_program(video: Path, options: Sequence[str] = ()) -> Speed:
    """Run ``emorec-rt bench VIDEO --json``.

    Raises:
        JetsonError: It is missing, fails, or prints no report.
    """
    # Beside this Python too: sudo looks on a PATH of its own.
    folders = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{Path(sys.executable).parent}"
    program = shutil.which("emorec-rt", path=folders)
    if program is None:
        raise ToolMissingError("emorec-rt", "activate the environment that jetson/setup.sh made")
    command = [program, "bench", str(video), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise JetsonError(f"emorec-rt bench failed: {last[0]}")
    return parse_report(done.stdout)


def measure_modes(
    modes: Sequence[PowerMode],
    switch: Switch,
    run: Callable[[], Speed],
    *,
    settle_seconds: float,
    interval_ms: int,
    root: Path = Path("/"),
    say: Say,
) -> Iterator[ModeResult]:
    """Measure one mode after the other; one that can't be had is noted, and the rest go on.

    Args:
        modes: Modes to measure.
        switch: Changes to a mode, from ``mode_restored``.
        run: Runs the program once.
        settle_seconds: Wait after a change of mode; idle power is measured then.
        interval_ms: Time between samples.
        root: Where sysfs is read.
        say: Takes a line of progress.
    """
    for mode in modes:
        say(f"mode {mode.number} ({mode.name})")
        try:
            switch(mode)
            result = measure(mode, run, settle_seconds=settle_seconds, interval_ms=interval_ms, root=root)
        except ToolMissingError:
            raise
        except JetsonError as error:
            say(f"  skipped: {error}")
            result = ModeResult(mode, skipped=str(error))
        yield result


def measure(
    mode: PowerMode,
    run: Callable[[], Speed],
    *,
    settle_seconds: float,
    interval_ms: int,
    root: Path = Path("/"),
) -> ModeResult:
    """Measure the mode that is on."""
    with Sampler(interval_ms, root) as sampler:
        settled = time.monotonic()
        time.sleep(settle_seconds)
        started = time.monotonic()
        speed = run()
        ended = time.monotonic()
    idle = summarise(sampler.between(settled, started))
    load = summarise(sampler.between(started, ended))
    return ModeResult(mode, None, speed, load, idle.mean_watts)
