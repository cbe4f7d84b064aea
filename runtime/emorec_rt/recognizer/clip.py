"""One input on its way: crops and sound to its persons, their rows back in order.

``push`` and ``finish`` take what comes, ``fuse`` sends complete windows on, ``settled`` gives the final rows.
The engines run behind batchers, which any number of inputs share.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from emorec_rt.bundle.manifest import Manifest
from emorec_rt.faces.cropped import NO_FACE, CroppedFrame
from emorec_rt.media.types import Samples
from emorec_rt.recognizer.batchers import Batchers
from emorec_rt.recognizer.person import PersonStream
from emorec_rt.windows.pace import Pace
from emorec_rt.windows.prediction import Prediction
from emorec_rt.windows.schedule import Schedule
from emorec_rt.windows.sound import SoundStream
from emorec_rt.windows.speakers import Speakers

AWAY_SECONDS: Final = 2.0
"""Absence after which a person's stream ends; windows over a shorter one are masked there."""


class Clip:
    """State of one input; it shares nothing with another one but the batchers.

    With the main face alone there is one stream of rows, a row for each frame. With everyone followed, a
    frame gives a row for each person in it, in the order of their identities. A frame that shows nobody gives
    one, from the sound and from what the last person showed before.

    Args:
        manifest: The bundle's.
        schedule: When windows and chunks are cut.
        batchers: The engines.
        has_video: Whether frames are to be expected.
        has_sound: Whether samples are to be expected.
        vision_fps: Frames encoded in a second, at most; ``None`` sets no limit.
        pace: How often to encode; ``None`` keeps the schedule.
        speakers: Who speaks when, where everyone is followed.

    Attributes:
        done: All rows were given.
    """

    def __init__(
        self,
        manifest: Manifest,
        schedule: Schedule,
        batchers: Batchers,
        *,
        has_video: bool,
        has_sound: bool,
        vision_fps: float | None,
        pace: Pace | None = None,
        speakers: Speakers | None = None,
    ) -> None:
        self._speakers = speakers
        audio = manifest.preprocessing.audio
        self._sound = SoundStream(audio, schedule, batchers.audio, has_sound=has_sound, pace=pace)
        self._new_stream: Callable[[], PersonStream] = partial(
            PersonStream,
            manifest,
            schedule,
            batchers,
            self._sound,
            has_video=has_video,
            vision_fps=vision_fps,
            pace=pace,
            speakers=speakers,
        )
        self._last = self._new_stream()  # of the person who was seen last
        self._streams = [self._last]
        self._order: deque[tuple[int, PersonStream]] = deque()  # frames whose rows are not given yet
        self._rows: dict[tuple[int, PersonStream], Prediction] = {}
        self.done = False

    def push(self, item: CroppedFrame | Samples) -> None:
        """Take a frame or a block of sound, in presentation order."""
        if isinstance(item, Samples):
            self._sound.push(item)
            for stream in self._streams:
                stream.hear(item)
        elif item.crop.person:
            self._push_people(item)
        else:
            self._see(self._last, item)
            self._miss(item, but=[self._last])

    def finish(self) -> None:
        """End the input."""
        self._sound.finish()
        for stream in self._streams:
            stream.finish()

    def fuse(self) -> None:
        """Submit the windows that have become complete.

        Raises:
            EngineError: An encoder failed.
        """
        for stream in self._streams:
            stream.fuse()
        self._sound.forget(min((stream.oldest_seconds for stream in self._streams), default=float("-inf")))

    def settled(self) -> Iterator[Prediction]:
        """Yield the rows that have become final, each once and in order. ``done`` is set after the last one.

        Raises:
            EngineError: The fusion failed.
            MismatchError: It gave values that are not finite.
        """
        for stream in self._streams:
            for row in stream.settled():
                if self._order:
                    self._rows[row.index, stream] = row
                else:
                    yield row  # sound without a picture
        while self._order and (self._order[0] in self._rows or self._order[0][1].done):
            row_or_none = self._rows.pop(self._order.popleft(), None)
            if row_or_none is not None:
                yield row_or_none
        self._streams = [stream for stream in self._streams if not stream.done]
        self.done = not self._streams

    def _push_people(self, frame: CroppedFrame) -> None:
        present = []
        for crop in frame.found:
            stream = self._stream_of(crop.person)
            present.append(stream)
            if self._speakers is not None:
                self._speakers.see(crop.person, frame.pts_seconds, crop.mouth)
            self._see(stream, CroppedFrame(frame.index, frame.pts_seconds, crop))
        self._last = present[0]
        self._miss(frame, but=present)

    def _see(self, stream: PersonStream, frame: CroppedFrame) -> None:
        self._order.append((frame.index, stream))
        stream.see(frame)

    def _miss(self, frame: CroppedFrame, but: list[PersonStream]) -> None:
        """Tell the others of a frame that doesn't show them; who is away for long leaves."""
        for stream in self._streams:
            if stream in but or stream.finished:
                continue
            if frame.pts_seconds - stream.seen_seconds > AWAY_SECONDS:
                stream.finish()
            else:
                stream.see(CroppedFrame(frame.index, frame.pts_seconds, NO_FACE), row=False)

    def _stream_of(self, person: int) -> PersonStream:
        for stream in self._streams:
            if not stream.finished and stream.person in (person, 0):
                stream.person = person  # the first person takes over what was before anybody
                return stream
        stream = self._new_stream()
        stream.person = person
        self._streams.append(stream)
        return stream
