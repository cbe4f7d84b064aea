"""Formats that show one person, where everyone is followed: a file for each, ``timeline_1.png`` and so on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.base import Target, Writer


class EachPersonWriter:
    """A writer for each person; frames without a person are in none of them.

    Args:
        make: Makes the writer of one person.
        target: What to write; the person's number goes before the suffix of its path.
    """

    def __init__(self, make: Callable[[Target], Writer], target: Target) -> None:
        self._make = make
        self._target = target
        self._writers: dict[int, Writer] = {}

    def go_live(self) -> None:
        """Nothing to show before the end."""

    def write(self, prediction: Prediction) -> None:
        """Take the next row."""
        if prediction.person is None:
            return
        if prediction.person not in self._writers:
            path = with_ending(self._target.path, f"_{prediction.person}")
            self._writers[prediction.person] = self._make(replace(self._target, path=path))
        self._writers[prediction.person].write(prediction)

    def commit(self) -> None:
        """Make the files appear."""
        for writer in self._writers.values():
            writer.commit()

    def discard(self) -> None:
        """Leave nothing."""
        for writer in self._writers.values():
            writer.discard()


def each_person(make: Callable[[Target], Writer]) -> Callable[[Target], Writer]:
    """A maker that makes a file for each person where everyone is followed."""

    def made(target: Target) -> Writer:
        return EachPersonWriter(make, target) if target.options.people else make(target)

    return made


def with_ending(path: Path, ending: str, format_name: str = "") -> Path:
    """The path with an ending before its suffix, or before all of a format's, as in ``talk_1.va.txt``."""
    whole = f".{format_name}"
    suffix = whole if path.name.endswith(whole) else path.suffix
    return path.with_name(f"{path.name.removesuffix(suffix)}{ending}{suffix}")
