"""Where labelled clips come from: one small protocol, and the generated clips behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emorec_rt.media.types import Frame, MediaItem, Samples
from emorec_rt.signal import EXPRESSIONS
from emorec_train.clips import ClipPlan, ClipSpec, Split, clip_seeds, plan_clip
from emorec_train.labels import map_labels


@dataclass(frozen=True, slots=True)
class LabelledClip:
    """A clip as the runtime would see it, and the truth about it.

    Attributes:
        items: Frames and samples, past the decoder.
        label_times_seconds: float64 ``[F]``, ascending: presentation time of each label.
        labels: int64 ``[F]``, index into the model's labels, ``IGNORED`` where there is none.
    """

    items: Iterable[MediaItem]
    label_times_seconds: NDArray[np.float64]
    labels: NDArray[np.int64]


class ClipSource(Protocol):
    """A data set. It is sent to worker processes, so it has to pickle."""

    def clip_ids(self, split: Split) -> list[str]:
        """Identities of a split's clips; no clip, and no person, is in two splits."""
        ...

    def open(self, clip_id: str) -> LabelledClip:
        """One clip; its items may be read once."""
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
    """

    labels: tuple[str, ...]
    counts: dict[Split, int]
    spec: ClipSpec

    def clip_ids(self, split: Split) -> list[str]:
        """Seeds, as text."""
        return [str(seed) for seed in clip_seeds(split, self.counts[split])]

    def open(self, clip_id: str) -> LabelledClip:
        """Draw the clip."""
        plan = plan_clip(int(clip_id), self.spec)
        return LabelledClip(
            _items(plan), plan.times_seconds, map_labels(plan.labels, EXPRESSIONS, self.labels)
        )


def _items(plan: ClipPlan) -> Iterator[MediaItem]:
    if len(plan.pcm):
        yield Samples(0.0, plan.pcm)
    for index, (time, pixels) in enumerate(zip(plan.times_seconds.tolist(), plan.iter_frames(), strict=True)):
        yield Frame(index, time, pixels)
