"""Sources of labelled clips: one small protocol, and the generated clips behind it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.faces import FaceMode
from emorec_rt.media.types import Frame, MediaItem, Samples
from emorec_train.data.labels import ClipLabels, map_labels
from emorec_train.data.synthetic import ClipPlan, ClipSpec, Split, clip_seeds, plan_clip


@dataclass(frozen=True, slots=True)
class LabelledClip:
    """A clip as the runtime would see it, and the truth about it.

    Attributes:
        items: Frames and samples, past the decoder; read once.
        truth: Its labels.
        faces: How the cropper takes its frames: ``off`` where they are face crops already.
        warnings: What was damaged or missing, a line each; complete when ``items`` have been read.
    """

    items: Iterable[MediaItem]
    truth: ClipLabels
    faces: FaceMode = "auto"
    warnings: list[str] = field(default_factory=list)


class ClipSource(Protocol):
    """A data set. It is sent to worker processes, so it has to pickle."""

    def clip_ids(self, split: Split) -> list[str]:
        """Identities of a split's clips; no clip, and no person, is in two splits."""
        ...

    def open(self, clip_id: str) -> LabelledClip:
        """One clip; its items may be read once.

        Raises:
            MediaError: It can't be read; reading the items may raise it too.
        """
        ...

    def truth(self, clip_id: str) -> ClipLabels:
        """The labels of a clip that isn't opened."""
        ...

    def fingerprint(self, clip_id: str) -> str:
        """Hash of its frames and sound in hex, whatever its name."""
        ...


@dataclass(frozen=True, slots=True)
class GeneratedClips:
    """The project's own drawn faces and synthetic voices.

    They don't go through an mp4: everything past the decoder is the runtime's own code, and encoding would
    take longer than drawing.

    Attributes:
        labels: The model's labels.
        counts: Clips in each split.
        spec: What each clip is like.
        skip: Seeds of each split that are passed over, so that two sets share no person.
    """

    labels: tuple[str, ...]
    counts: dict[Split, int]
    spec: ClipSpec
    skip: int = 0

    def clip_ids(self, split: Split) -> list[str]:
        """Seeds, as text."""
        return [str(seed) for seed in clip_seeds(split, self.skip + self.counts[split])[self.skip :]]

    def open(self, clip_id: str) -> LabelledClip:
        """Draw the clip."""
        plan = plan_clip(int(clip_id), self.spec)
        return LabelledClip(_items(plan), self._truth(plan))

    def truth(self, clip_id: str) -> ClipLabels:
        """The timeline's labels, without drawing."""
        return self._truth(plan_clip(int(clip_id), self.spec))

    def fingerprint(self, clip_id: str) -> str:
        """Of seed, specification and the code that draws."""
        return hashlib.sha256(f"{clip_id} {self.spec} {_drawing_code()}".encode()).hexdigest()

    def _truth(self, plan: ClipPlan) -> ClipLabels:
        labels = map_labels(plan.labels, EXPRESSIONS, self.labels)
        return ClipLabels(labels, plan.times_seconds, measures=plan.measures)


@cache
def _drawing_code() -> str:
    digest = hashlib.sha256()
    for path in sorted((Path(__file__).parent / "synthetic").glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _items(plan: ClipPlan) -> Iterator[MediaItem]:
    if len(plan.pcm):
        yield Samples(0.0, plan.pcm)
    for index, (time, pixels) in enumerate(zip(plan.times_seconds.tolist(), plan.iter_frames(), strict=True)):
        yield Frame(index, time, pixels)
