"""The ABAW challenge's format: ``<video>/00001.jpg,<class>``, frames counted from 1.

Where everyone is followed, each person has a file: ``talk_left.txt`` and ``talk_right.txt`` for two, as the
challenge names them, ``talk_1.txt``, ``talk_2.txt`` ... for more.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from emorec_rt.errors import OutputError, printable
from emorec_rt.files import WholeFile
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.base import STDOUT, Target, Writer
from emorec_rt.writers.each_person import with_ending
from emorec_rt.writers.text import text_writer


class AbawFormat:
    """Rows of one video.

    Args:
        labels: Class names; a row names its class by position among them.
        video: The video's name, without folder and suffix.
    """

    def __init__(self, labels: tuple[str, ...], video: str) -> None:
        self._header = ",".join(["image_location", *labels]) + "\n"
        self._position = {label: index for index, label in enumerate(labels)}
        # Neither may stand in a row: it would end there, or have a column more.
        self._video = printable(video).replace(",", "_")

    def header(self) -> str:
        """The challenge's header: nine columns over two-column rows, as its templates have it."""
        return self._header

    def row(self, prediction: Prediction) -> str:
        """One frame."""
        return abaw_line(self._video, prediction.index, self._position[prediction.label])

    def end(self) -> str:
        """Nothing follows the last row."""
        return ""


@dataclass(slots=True)
class _Person:
    """Rows of one person, a few bytes each, until it is known how many people there are."""

    frames: array[int] = field(default_factory=lambda: array("l"))
    labels: array[int] = field(default_factory=lambda: array("H"))
    left_sum: float = 0.0

    @property
    def place(self) -> float:
        """Mean horizontal position, in pixels."""
        return self.left_sum / max(len(self.frames), 1)


class AbawPeopleWriter:
    """A file for each person, named when all rows have come.

    Args:
        target: What to write; the person goes before the suffix of its path.

    Raises:
        OutputError: It is standard output, which is one stream.
    """

    def __init__(self, target: Target) -> None:
        if target.path == STDOUT:
            raise OutputError("standard output", "txt has a file for each person; give -o talk.txt")
        self._target = target
        self._position = {label: index for index, label in enumerate(target.labels)}
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
        person.labels.append(self._position[prediction.label])
        if prediction.box is not None:
            person.left_sum += prediction.box.center[0]

    def commit(self) -> None:
        """Write the files. Without anybody in the picture, the rows of the sound make one."""
        for ending, person in self._named():
            video = f"{self._target.video}{ending}"
            with WholeFile(with_ending(self._target.path, ending)) as file:
                file.write(AbawFormat(self._target.labels, video).header())
                for frame, label in zip(person.frames, person.labels, strict=True):
                    file.write(abaw_line(video, frame, label))

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


def abaw_line(video: str, index: int, label: int) -> str:
    """A row: frame ``index`` of the video, counted from 0, and the position of its label."""
    return f"{video}/{index + 1:05d}.jpg,{label}\n"


def abaw_writer(target: Target) -> Writer:
    """Make the writer of one result."""
    if target.options.people:
        return AbawPeopleWriter(target)
    return text_writer(lambda target: AbawFormat(target.labels, target.video))(target)
