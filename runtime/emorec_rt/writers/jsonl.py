"""One JSON object a line: the format for programs, and for streams."""

from __future__ import annotations

import msgspec

from emorec_rt.windows.prediction import Prediction


class JsonlFormat:
    """Rows as JSON objects.

    Args:
        labels: Class names, the keys of ``probabilities``.
        video: The video's name, repeated in each row, so that rows of several inputs can share a stream.
        people: Whether to tell persons apart, by a key ``person`` after the time.
        measures: Unused: a row has the names of its own.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        video: str,
        *,
        people: bool = False,
        measures: tuple[str, ...] = (),  # noqa: ARG002
    ) -> None:
        self._labels = labels
        self._people = people
        self._video = video

    def header(self) -> str:
        """JSON lines have none."""
        return ""

    def row(self, prediction: Prediction) -> str:
        """One frame."""
        box = prediction.box
        record = {
            "video": self._video,
            "frame": prediction.index,
            "time_seconds": round(prediction.time_seconds, 6),
            **({"person": prediction.person} if self._people else {}),
            "label": prediction.label if prediction.known else None,
            "probabilities": {
                label: round(p, 4)
                for label, p in zip(self._labels, prediction.probabilities.tolist(), strict=True)
            },
            **{name: round(value, 4) for name, value in prediction.measures.items()},
            "face": prediction.face,
            "sound": prediction.sound,
            "box": None if box is None else [round(v, 1) for v in (box.left, box.top, box.width, box.height)],
            **prediction.flags,
        }
        return msgspec.json.encode(record).decode() + "\n"

    def end(self) -> str:
        """Nothing follows the last row."""
        return ""
