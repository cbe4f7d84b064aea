"""The ABAW challenge's formats: ``<video>/00001.jpg,<values>``, frames counted from 1, of each of its tracks.

Where everyone is followed, each person has a file: ``talk_left.txt`` and ``talk_right.txt`` for two, as the
challenge names them, ``talk_1.txt``, ``talk_2.txt`` ... for more.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from emorec_rt.bundle.tasks import ACTION_UNITS, VALENCE_AROUSAL
from emorec_rt.errors import OutputError, printable
from emorec_rt.files import WholeFile
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.base import STDOUT, Target, Writer
from emorec_rt.writers.each_person import with_ending
from emorec_rt.writers.text import text_writer


@dataclass(frozen=True)
class Track:
    """What the rows of one of the challenge's tracks tell.

    Attributes:
        format_name: Its format, which is also its suffix.
        columns: Of the header, after ``image_location``.
        values: Text of a row after the name of its image.
    """

    format_name: str
    columns: tuple[str, ...]
    values: Callable[[Prediction], str]


class AbawFormat:
    """Rows of one video.

    Args:
        track: What they tell.
        video: The video's name, without folder and suffix.
    """

    def __init__(self, track: Track, video: str) -> None:
        self._track = track
        # Neither may stand in a row: it would end there, or have a column more.
        self._video = printable(video).replace(",", "_")

    def header(self) -> str:
        """The challenge's header. That of expressions has nine columns over rows of two, as its templates."""
        return ",".join(["image_location", *self._track.columns]) + "\n"

    def row(self, prediction: Prediction) -> str:
        """One frame."""
        return self.line(prediction.index, self._track.values(prediction))

    def line(self, index: int, values: str) -> str:
        """The row of frame ``index`` of the video, counted from 0."""
        return f"{self._video}/{index + 1:05d}.jpg,{values}\n"

    def end(self) -> str:
        """Nothing follows the last row."""
        return ""


@dataclass(slots=True)
class _Person:
    """Rows of one person, until it is known how many people there are."""

    frames: array[int] = field(default_factory=lambda: array("l"))
    values: list[str] = field(default_factory=list)
    left_sum: float = 0.0

    @property
    def place(self) -> float:
        """Mean horizontal position, in pixels."""
        return self.left_sum / max(len(self.frames), 1)


class AbawPeopleWriter:
    """A file for each person, named when all rows have come.

    Args:
        track: What the rows tell.
        target: What to write; the person goes before the suffix of its path.

    Raises:
        OutputError: It is standard output, which is one stream.
    """

    def __init__(self, track: Track, target: Target) -> None:
        if target.path == STDOUT:
            name = track.format_name
            raise OutputError("standard output", f"{name} has a file for each person; give -o talk.{name}")
        self._track = track
        self._target = target
        self._people: dict[int, _Person] = {}
        self._whole = _Person()

    def go_live(self) -> None:
        """Nothing to show before the end."""

    def write(self, prediction: Prediction) -> None:
        """Keep the next row."""
        person = self._whole
        if prediction.person is not None:
            person = self._people.setdefault(prediction.person, _Person())
        person.frames.append(prediction.index)
        # A few different texts stand in most rows: each is kept once.
        person.values.append(sys.intern(self._track.values(prediction)))
        if prediction.box is not None:
            person.left_sum += prediction.box.center[0]

    def commit(self) -> None:
        """Write the files. Without anybody in the picture, the rows of the sound make one."""
        for ending, person in self._named():
            rows = AbawFormat(self._track, f"{self._target.video}{ending}")
            with WholeFile(with_ending(self._target.path, ending, self._track.format_name)) as file:
                file.write(rows.header())
                for frame, values in zip(person.frames, person.values, strict=True):
                    file.write(rows.line(frame, values))

    def discard(self) -> None:
        """Leave nothing."""
        self._people.clear()

    def _named(self) -> list[tuple[str, _Person]]:
        if len(self._people) < 2:
            return [("", next(iter(self._people.values()), self._whole))]
        if len(self._people) == 2:
            return list(
                zip(("_left", "_right"), sorted(self._people.values(), key=lambda p: p.place), strict=True)
            )
        return [(f"_{number}", person) for number, person in sorted(self._people.items())]


def abaw_writer(target: Target) -> Writer:
    """``txt``: the position of the label among the classes."""
    position = {label: str(index) for index, label in enumerate(target.labels)}
    return _writer(Track("txt", target.labels, lambda row: position[row.label]), target)


def valence_arousal_writer(target: Target) -> Writer:
    """``va.txt``: both from -1 to 1, of bundles that tell them."""
    names = _measures(target, VALENCE_AROUSAL, "valence and arousal")
    return _writer(
        Track("va.txt", names, lambda row: ",".join(f"{row.measures[name]:.4f}" for name in names)), target
    )


def action_units_writer(target: Target) -> Writer:
    """``au.txt``: 1 where an action unit is likelier there than not, of bundles that tell them."""
    names = _measures(target, ACTION_UNITS, "action units")
    columns = tuple(name.replace("AU0", "AU") for name in names)  # the challenge writes AU1, not AU01
    return _writer(
        Track("au.txt", columns, lambda row: ",".join(str(int(row.measures[name] > 0.5)) for name in names)),
        target,
    )


def _writer(track: Track, target: Target) -> Writer:
    if target.options.people:
        return AbawPeopleWriter(track, target)
    return text_writer(lambda target: AbawFormat(track, target.video))(target)


def _measures(target: Target, wanted: tuple[str, ...], called: str) -> tuple[str, ...]:
    """Names of what a bundle tells beside the classes, of those that are wanted.

    Raises:
        OutputError: It tells none of it.
    """
    names = tuple(name for name in wanted if name in target.measures)
    if not names:
        raise OutputError(target.path, f"the bundle tells no {called}, which this format is about")
    return names
