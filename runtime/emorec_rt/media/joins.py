"""One clock for all tracks of a container, also where it restarts in the middle.

Joined recordings, HLS segments and dashcams restart or skip the clock. The tracks of a part rarely have the
same length, so tracks that are continued one by one drift apart with each join. Here the track that meets
the join first is continued, and all others move by the same offset. FFmpeg's command line reads joined files
the same way (``ts_discontinuity_process``), with the same thresholds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from emorec_rt.constants import ABSURD_SECONDS
from emorec_rt.media.packets import packets_of
from emorec_rt.media.timeline import LEAP_SECONDS, RESTART_SECONDS
from emorec_rt.media.tracks import STILLS

JOINABLE: Final = 0x0200
"""FFmpeg's AVFMT_TS_DISCONT: formats whose clock may restart or skip, such as MPEG-TS and VOB."""

JOINABLE_RESTART_SECONDS: Final = 0.1
JOINABLE_LEAP_SECONDS: Final = 10.0
LIVE_LEAP_SECONDS: Final = 5.0
"""A live clock may gain this on the time that passes here."""


@dataclass(slots=True)
class _Track:
    offset_seconds: float
    last_seconds: float | None = None
    next_seconds: float = 0.0


class ContainerClock:
    """Moves packets to the time at which their part of the container is shown.

    Args:
        restart_seconds: A track that goes back by more has a restarted clock.
        leap_seconds: A container that goes ahead by more has a clock that skips.
        live: Packets come in real time, so that the clock may go ahead as far as time has passed here.
        now: Monotonic time in seconds.

    Attributes:
        joins: How often the clock restarted or skipped so far.
    """

    def __init__(
        self,
        restart_seconds: float = RESTART_SECONDS,
        leap_seconds: float = LEAP_SECONDS,
        *,
        live: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.joins = 0
        self._restart_seconds = restart_seconds
        self._leap_seconds = leap_seconds
        self._live = live
        self._now = now
        self._came_at = now()
        self._offset_seconds = 0.0
        self._newest_seconds = -float("inf")
        self._tracks: dict[int, _Track] = {}

    def place(self, packet: Packet[Any]) -> None:
        """Move the timestamps of a track's next packet."""
        base = packet.time_base
        if not base:
            return
        track = self._tracks.setdefault(packet.stream_index, _Track(self._offset_seconds))
        if packet.dts is not None and abs(packet.dts * base) <= ABSURD_SECONDS:
            self._follow(track, float(packet.dts * base), float((packet.duration or 0) * base))
        ticks = round(track.offset_seconds / base)
        if ticks:
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks

    def _follow(self, track: _Track, raw: float, duration: float) -> None:
        if track.last_seconds is not None:
            self._catch_up(track, raw)
            seconds = raw + track.offset_seconds
            ahead = seconds - max(self._newest_seconds, track.next_seconds)
            if seconds < track.last_seconds - self._restart_seconds or ahead > self._longest_leap():
                self._offset_seconds = track.offset_seconds = track.next_seconds - raw
                self.joins += 1
        self._came_at = self._now()
        track.last_seconds = raw + track.offset_seconds
        track.next_seconds = track.last_seconds + duration
        self._newest_seconds = max(self._newest_seconds, track.last_seconds)

    def _catch_up(self, track: _Track, raw: float) -> None:
        """Take the newest offset once it fits better: a track's last packets may come after a join."""
        old, new = (
            abs(raw + offset - track.next_seconds) for offset in (track.offset_seconds, self._offset_seconds)
        )
        if new < old:
            track.offset_seconds = self._offset_seconds

    def _longest_leap(self) -> float:
        return self._now() - self._came_at + LIVE_LEAP_SECONDS if self._live else self._leap_seconds


def clock_of(container: InputContainer, *, live: bool = False) -> ContainerClock:
    """Make the clock for a container's format."""
    if int(container.format.flags) & JOINABLE:
        return ContainerClock(JOINABLE_RESTART_SECONDS, JOINABLE_LEAP_SECONDS, live=live)
    return ContainerClock(live=live)


def timed_packets(
    container: InputContainer, indices: set[int], clock: ContainerClock
) -> Iterator[Packet[Any]]:
    """Demux the tracks with these indices, at the times of the container's one clock.

    The clock sees every track, so that a track has the same times whatever is read beside it.
    """
    streams: list[VideoStream | AudioStream] = [*container.streams.video, *container.streams.audio]
    timed = [stream for stream in streams if not stream.disposition & STILLS or stream.index in indices]
    for packet in packets_of(container, *timed):
        clock.place(packet)
        if packet.stream_index in indices:
            yield packet
