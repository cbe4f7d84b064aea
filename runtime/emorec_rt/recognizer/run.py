"""One run of a recognizer: the inputs that are under way, and their events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from emorec_rt.errors import MediaError, MismatchError
from emorec_rt.recognizer.batchers import Batchers
from emorec_rt.recognizer.clip import Clip
from emorec_rt.recognizer.events import Done, Event, Failed, Row


@dataclass(slots=True, eq=False)
class Input:
    """An input whose rows are not all given yet.

    Attributes:
        source: As it was asked for.
        clip: Its state.
        rows: Rows given so far.
        warnings: Damage and doubts, once it has ended.
        closed: Its last event was given.
    """

    source: Path
    clip: Clip
    rows: int = 0
    warnings: tuple[str, ...] = ()
    closed: bool = False

    def events(self) -> Iterator[Event]:
        """Yield the rows that have become final, and the end."""
        try:
            for prediction in self.clip.settled():
                self.rows += 1
                yield Row(self.source, prediction)
        except MismatchError as error:  # only this input fails
            self.closed = True
            yield Failed(self.source, MediaError(self.source, str(error)))
            return
        if self.clip.done:
            self.closed = True
            yield Done(self.source, self.rows, self.warnings)


@dataclass(slots=True, eq=False)
class Run:
    """One call of ``Recognizer.run``.

    Attributes:
        batchers: The engines.
        inputs: Inputs under way, in their order.
        stopping: The run shall end at its next item.
        receiving: An input has been opened.
    """

    batchers: Batchers
    inputs: list[Input] = field(default_factory=list)
    stopping: bool = False
    receiving: bool = False

    def flush(self) -> Iterator[Event]:
        """Run what waits for the engines, however little, and yield what that settles."""
        self.batchers.flush_encoders()
        yield from self._fused()

    def flush_pictures(self) -> Iterator[Event]:
        """Run what waits of a live source, and yield what that settles.

        Rows that are due don't wait for newer pictures, and pictures not for sound that is being encoded.
        """
        yield from self._fused()
        self.batchers.vision.flush()
        self.batchers.audio.poll()
        yield from self._fused()

    def _fused(self) -> Iterator[Event]:
        """Fuse the windows that are complete, and yield their rows."""
        yield from self.settled()
        self.batchers.fusion.flush()
        yield from self.settled()

    def settled(self) -> Iterator[Event]:
        """Yield the events that are due."""
        for current in self.inputs:
            current.clip.fuse()  # all first: a batch of windows holds those of several inputs
        for current in self.inputs:
            yield from current.events()
        self.inputs = [current for current in self.inputs if not current.closed]

    def drop(self, source: Path) -> None:
        """Forget an input that failed."""
        self.inputs = [current for current in self.inputs if current.source != source]
