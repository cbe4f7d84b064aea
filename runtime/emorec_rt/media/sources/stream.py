"""A source that is read from connections: one after another for a live source, a single one otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Final, Protocol

from emorec_rt.errors import MediaError
from emorec_rt.media import MediaItem, Samples
from emorec_rt.media.decoders import PacketCounts
from emorec_rt.media.reading import Reading
from emorec_rt.media.sources.clock import LiveClock
from emorec_rt.media.sources.transports import Interruption

FIRST_RETRY_SECONDS: Final = 0.25
LONGEST_RETRY_SECONDS: Final = 8.0
HEAD_START_SECONDS: Final = 2.0
PACE: Final = 1.05
"""A sender's clock may go so much faster than time; a file that is taken for live is read at this speed."""

CLOSE_SECONDS: Final = 0.5
"""Time that ``close`` waits for a reading thread; one that is still in FFmpeg then cleans up itself."""


class Link(Protocol):
    """One connection of any kind, read once.

    Attributes:
        has_video: Frames will come.
        has_sound: Samples will come.
        live: Items come in real time.
        warnings: Tracks that can't be decoded, a line each.
        lost: Reason for an end before the sender's; ``None`` as long as there is none.
    """

    has_video: bool
    has_sound: bool
    live: bool
    warnings: list[str]
    lost: str | None

    @property
    def complete(self) -> bool:
        """Say whether the sender said that this was all."""

    @property
    def counts(self) -> dict[str, PacketCounts]:
        """Packets of each track so far, decoded and damaged."""

    def items(self) -> Iterator[MediaItem]:
        """Decode until it ends, for any reason."""

    def damage(self, source: str, counts: Mapping[str, PacketCounts]) -> list[str]:
        """Describe the damage, a line each; a ``MediaError`` if nothing at all could be decoded."""

    def close(self) -> None:
        """Close it; may be called twice."""


class SourceEndedError(MediaError):
    """A connection that was made again brings nothing new: what came before was all."""


Connect = Callable[[Interruption], Link]
"""Makes a connection, whose reads the argument can end; raises a ``MediaError`` if there is none."""


class StreamSource(Reading):
    """Frames and sound of standard input or a network stream or a camera.

    A connection that is lost is made again, after waits that double each time, until nothing has come for
    ``reconnect_seconds``; then the source ends, with a warning. The first connection is made at once.

    Args:
        name: Name for messages.
        connect: Makes a connection.
        live: Whether items come in real time; ``None`` leaves it to the first connection.
        reconnect_seconds: How long to try to get a lost connection back, if it is live.
        paced: Read a live source no faster than its clock goes, but for a start: it may be a file.

    Attributes:
        name: As given.
        live: Items come in real time.
        has_video: Frames will come.
        has_sound: Samples will come.
        duration_seconds: Not known.
        warnings: Damage and losses, complete when the iterator has ended.
        reconnections: How often the connection was made again.

    Raises:
        MediaError: No connection, or no media.
    """

    duration_seconds: float | None = None

    def __init__(
        self,
        name: str,
        connect: Connect,
        *,
        live: bool | None,
        reconnect_seconds: float = 0.0,
        paced: bool = False,
    ) -> None:
        self.name = name
        self.reconnections = 0
        self._connect = connect
        self._interruption = Interruption()
        self._stopped = self._interruption.event
        self._connection = connect(self._interruption)
        self.live = self._connection.live if live is None else live
        self._reconnect_seconds = reconnect_seconds if self.live else 0.0
        self._clock = LiveClock() if self.live else None
        self._paced = paced
        self._ended = False
        self._counts: dict[str, PacketCounts] = {}
        self._missed_seconds = 0.0
        self._came = True
        self._retry_until = 0.0
        self._retry_wait = FIRST_RETRY_SECONDS
        self._began = self._last_came = time.monotonic()
        self.warnings = self._connection.warnings
        self.has_video = self._connection.has_video
        self.has_sound = self._connection.has_sound
        super().__init__()

    def __next__(self) -> MediaItem:
        with self._reading:
            if self._stopped.is_set():
                self._close_now()
            return next(self._items)

    def close(self) -> None:
        """End the iterator, from any thread."""
        self._interruption.interrupt()
        if self._reading.acquire(timeout=CLOSE_SECONDS):
            try:
                self._close_now()
            finally:
                self._reading.release()

    def _close_now(self) -> None:
        super()._close_now()
        self._connection.close()

    def _iterate(self) -> Generator[MediaItem, None, None]:
        try:
            while True:
                yield from self._placed(self._connection)
                self._count()
                if self._stopped.is_set() or self._connection.complete or not self._reconnected():
                    break
        finally:
            self._connection.close()
            self._tell_losses()
        self._conclude()

    def _placed(self, connection: Link) -> Iterator[MediaItem]:
        for item in connection.items():
            if self._stopped.is_set():
                return
            self._last_came, self._came = time.monotonic(), True
            placed = item if self._clock is None else self._clock.place(item)
            if self._clock is not None and self._paced:
                self._wait_for(self._clock.end_seconds)
            announced = self.has_sound if isinstance(item, Samples) else self.has_video
            if placed is not None and announced:
                yield placed

    def _wait_for(self, clock_seconds: float) -> None:
        ahead = clock_seconds - PACE * (time.monotonic() - self._began)
        if ahead > HEAD_START_SECONDS:
            self._stopped.wait(ahead - HEAD_START_SECONDS)

    def _reconnected(self) -> bool:
        """Make the connection again; ``False`` when that was in vain."""
        self._connection.close()
        if self._came:  # else the last connection brought nothing, and the same patience goes on
            self._retry_until = time.monotonic() + self._reconnect_seconds
            self._retry_wait, self._came = FIRST_RETRY_SECONDS, False
        while time.monotonic() + self._retry_wait < self._retry_until:
            if self._stopped.wait(self._retry_wait):
                return False
            self._retry_wait = min(2 * self._retry_wait, LONGEST_RETRY_SECONDS)
            try:
                connection = self._connect(self._interruption)
            except SourceEndedError:
                self._ended = True
                return False
            except MediaError:
                continue
            self._adopt(connection)
            return not self._stopped.is_set()
        return False

    def _adopt(self, connection: Link) -> None:
        self._connection = connection
        away = time.monotonic() - self._last_came
        self.reconnections += 1
        self._missed_seconds += away
        if self._clock is not None:
            self._clock.reconnected(away)

    def _tell_losses(self) -> None:
        if self.reconnections:
            times = "once" if self.reconnections == 1 else f"{self.reconnections} times"
            self.warnings.append(f"the connection was lost {times}; {self._missed_seconds:.1f} s are missing")

    def _conclude(self) -> None:
        if self._stopped.is_set():
            return
        told = self._connection.complete or self._ended
        if self._connection.lost is not None or (self._reconnect_seconds and not told):
            lost = self._connection.lost or "the sender closed the connection"
            at = "" if self._clock is None else f" at {self._clock.end_seconds:.1f} s"
            self.warnings.append(f"the stream ended{at}: {lost}")
        self.warnings.extend(self._connection.damage(self.name, self._counts))

    def _count(self) -> None:
        for track, counts in self._connection.counts.items():
            self._counts[track] = self._counts.get(track, PacketCounts()) + counts
