"""Samples power, heat and throttling while something else runs."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from emorec_jetson.tegrastats import PowerScope, Stats, parse
from emorec_jetson.throttle import ThrottleState, read_throttle
from emorec_rt.machine.jetson.errors import ToolMissingError

_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Sample:
    """One line of tegrastats and what the kernel said of throttling then.

    Attributes:
        at_seconds: Monotonic clock.
        stats: The line.
        throttle: Throttling at the same moment.
    """

    at_seconds: float
    stats: Stats
    throttle: ThrottleState


@dataclass(frozen=True)
class Summary:
    """Samples of one stretch of time.

    Attributes:
        samples: How many there were.
        mean_watts: Mean power; ``None`` without a power rail.
        peak_watts: Highest sample.
        power_scope: What the watts include.
        max_celsius: Highest temperature of any sensor.
        hottest_sensor: The sensor it came from.
        max_ram_mib: Most memory in use, everything on the machine counted.
        mean_gpu_percent: Mean load of the GPU, where it is printed.
        throttled: Whether clocks were held down or over-current events came; ``None`` where nothing says so.
        throttle_causes: Cooling devices and over-current counters with their events.
    """

    samples: int
    mean_watts: float | None
    peak_watts: float | None
    power_scope: PowerScope | None
    max_celsius: float | None
    hottest_sensor: str | None
    max_ram_mib: int | None
    mean_gpu_percent: float | None
    throttled: bool | None
    throttle_causes: tuple[str, ...]


@dataclass
class Sampler:
    """Runs ``tegrastats`` and collects its lines in a thread; a context manager.

    Attributes:
        interval_ms: Time between samples.
        root: Where sysfs is read.
    """

    interval_ms: int = 200
    root: Path = Path("/")
    _samples: list[Sample] = field(default_factory=list, repr=False)
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)
    _thread: threading.Thread | None = field(default=None, repr=False)

    def __enter__(self) -> Sampler:
        if shutil.which("tegrastats") is None:
            raise ToolMissingError("tegrastats", "it comes with Jetson Linux: run this on the Jetson itself")
        self._process = subprocess.Popen(
            ["tegrastats", "--interval", str(self.interval_ms)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # a Ctrl-C ends it through stop(), with its last lines read
        )
        self._thread = threading.Thread(target=self._read, name="tegrastats", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None or self._thread is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(_STOP_SECONDS)

    def between(self, start_seconds: float, end_seconds: float) -> list[Sample]:
        """Samples in ``[start, end)`` of the monotonic clock."""
        return [one for one in tuple(self._samples) if start_seconds <= one.at_seconds < end_seconds]

    def _read(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        with self._process.stdout as lines:
            for line in lines:
                stats = parse(line)
                if stats is not None:
                    self._samples.append(Sample(time.monotonic(), stats, read_throttle(self.root)))


def summarise(samples: list[Sample]) -> Summary:
    """Put samples together; fields stay ``None`` where no sample has them."""
    powers = [power for one in samples if (power := one.stats.power)]
    watts = [power.watts for power in powers]
    hot = [spot for one in samples if (spot := one.stats.hottest)]
    hottest = max(hot, key=lambda spot: spot[1], default=None)
    gpu = [one.stats.gpu_percent for one in samples if one.stats.gpu_percent is not None]
    ram = [one.stats.ram_used_mib for one in samples if one.stats.ram_used_mib is not None]
    throttled, causes = _throttling(samples)
    return Summary(
        samples=len(samples),
        mean_watts=statistics.fmean(watts) if watts else None,
        peak_watts=max(watts, default=None),
        power_scope=powers[0].scope if powers else None,
        max_celsius=hottest[1] if hottest else None,
        hottest_sensor=hottest[0] if hottest else None,
        max_ram_mib=max(ram, default=None),
        mean_gpu_percent=statistics.fmean(gpu) if gpu else None,
        throttled=throttled,
        throttle_causes=causes,
    )


def _throttling(samples: list[Sample]) -> tuple[bool | None, tuple[str, ...]]:
    if not any(one.throttle.readable for one in samples):
        return None, ()
    devices = sorted(set().union(*(one.throttle.active for one in samples)))
    events = samples[-1].throttle.new_events(samples[0].throttle)
    causes = (*devices, *(f"{name}: {count} events" for name, count in sorted(events.items())))
    return bool(causes), causes
