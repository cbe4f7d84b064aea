"""The ABAW challenge's format: ``<video>/00001.jpg,<class>``, frames counted from 1."""

from __future__ import annotations

from emorec_rt.prediction import Prediction


class AbawFormat:
    """Rows of one video.

    Args:
        labels: Class names; a row names its class by position among them.
        video: The video's name, without folder and suffix.
    """

    def __init__(self, labels: tuple[str, ...], video: str) -> None:
        self._header = ",".join(["image_location", *labels]) + "\n"
        self._position = {label: index for index, label in enumerate(labels)}
        self._video = video

    def header(self) -> str:
        """The challenge's header: nine columns over two-column rows, as its templates have it."""
        return self._header

    def row(self, prediction: Prediction) -> str:
        """One frame."""
        return f"{self._video}/{prediction.index + 1:05d}.jpg,{self._position[prediction.label]}\n"

    def end(self) -> str:
        """Nothing follows the last row."""
        return ""
