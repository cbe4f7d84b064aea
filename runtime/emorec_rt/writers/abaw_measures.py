"""The ABAW challenge's formats of its other tracks: valence and arousal, and action units."""

from __future__ import annotations

from collections.abc import Callable

from emorec_rt.bundle.tasks import ACTION_UNITS, VALENCE_AROUSAL
from emorec_rt.errors import OutputError, printable
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.base import Target, Writer
from emorec_rt.writers.each_person import each_person
from emorec_rt.writers.text import text_writer


class AbawMeasures:
    """``<video>/00001.jpg,<value>,...``, frames counted from 1, for what a bundle tells beside the classes.

    Args:
        names: What is wanted, of ``MEASURES``.
        target: What to write.
        form: Text of a value.

    Raises:
        OutputError: The bundle tells none of it.
    """

    def __init__(self, names: tuple[str, ...], target: Target, form: Callable[[float], str]) -> None:
        self._names = tuple(name for name in names if name in target.measures)
        if not self._names:
            missing = "action units" if names == ACTION_UNITS else "valence and arousal"
            raise OutputError(target.path, f"the bundle tells no {missing}, which this format is about")
        self._form = form
        self._video = printable(target.video).replace(",", "_")

    def header(self) -> str:
        """Column names: the challenge writes ``AU1``, not ``AU01``."""
        return ",".join(["image_location", *(name.replace("AU0", "AU") for name in self._names)]) + "\n"

    def row(self, prediction: Prediction) -> str:
        """One frame."""
        values = (self._form(prediction.measures[name]) for name in self._names)
        return ",".join([f"{self._video}/{prediction.index + 1:05d}.jpg", *values]) + "\n"

    def end(self) -> str:
        """Nothing follows the last row."""
        return ""


def valence_arousal_writer(target: Target) -> Writer:
    """``va.txt``: both from -1 to 1."""
    return _writer(lambda own: AbawMeasures(VALENCE_AROUSAL, own, "{:.4f}".format))(target)


def action_units_writer(target: Target) -> Writer:
    """``au.txt``: 1 where an action unit is likelier there than not."""
    return _writer(lambda own: AbawMeasures(ACTION_UNITS, own, lambda value: str(int(value > 0.5))))(target)


def _writer(make: Callable[[Target], AbawMeasures]) -> Callable[[Target], Writer]:
    return each_person(text_writer(make))
