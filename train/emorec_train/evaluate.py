"""Scores of a fusion model on whole clips, stitched as the runtime stitches.

Where each frame has a label, frames are what is counted, as the ABAW challenge does; else the grid's steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from emorec_rt.decode import Stitcher
from emorec_rt.manifest import Decoding
from emorec_train.decoding import predict
from emorec_train.features import ClipWindows, WindowTable, stack_windows
from emorec_train.labels import IGNORED
from emorec_train.metrics import Scores, score
from emorec_train.model.fusion import FusionModel

BATCH = 64

LABEL_STEPS_KEY: Final = "label_steps"
"""Where a checkpoint's settings have how often each label occurs in the training windows."""


@dataclass(frozen=True, slots=True)
class StitchedClip:
    """What the model says about a clip, before smoothing and prior correction.

    Attributes:
        clip_id: The source's identity of it.
        times_seconds: float64 ``[N]``, of each step.
        logits: float32 ``[N, C]``.
        labels: int64 ``[M]``, the truth, ``IGNORED`` where there is none: of each annotated frame, or of each
            step, where ``M = N``.
        at_seconds: float64 ``[M]``, times of those frames; ``None`` where steps are labelled.
    """

    clip_id: str
    times_seconds: NDArray[np.float64]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    at_seconds: NDArray[np.float64] | None = None

    def predicted(self, decoding: Decoding | None = None) -> NDArray[np.int64]:
        """What the model says, decoded, where ``labels`` has the truth: int64 ``[M]``."""
        return predict(self.times_seconds, self.logits, decoding, self.at_seconds)


def evaluate(fusion: FusionModel, clips: Sequence[ClipWindows], labels: Sequence[str]) -> Scores:
    """Score every labelled frame or step once; overlapping windows are averaged by the runtime's stitcher."""
    return score_clips(stitched_clips(fusion, clips), labels)


def score_clips(
    clips: Sequence[StitchedClip], labels: Sequence[str], decoding: Decoding | None = None
) -> Scores:
    """Score all frames or steps of all clips, decoded as a bundle with this ``decoding`` would."""
    truth = np.concatenate([clip.labels for clip in clips])
    predicted = np.concatenate([clip.predicted(decoding) for clip in clips])
    return score(truth, predicted, labels)


def stitched_clips(fusion: FusionModel, clips: Sequence[ClipWindows]) -> list[StitchedClip]:
    """Run the fusion on every window and stitch each clip."""
    logits = window_logits(fusion, stack_windows(clips))
    stitched, first = [], 0
    for clip in clips:
        own = logits[first : first + len(clip.windows)]
        first += len(clip.windows)
        stitched.append(_stitched(clip, own))
    return stitched


def label_steps(clips: Sequence[ClipWindows], labels: Sequence[str]) -> dict[str, int]:
    """How many labelled steps of each class a training loss sees: of overlapping windows, each."""
    steps = np.concatenate([own for clip in clips for own in clip.labels])
    counts = np.bincount(steps[steps != IGNORED], minlength=len(labels))
    return dict(zip(labels, counts.tolist(), strict=True))


@torch.inference_mode()
def window_logits(fusion: FusionModel, windows: WindowTable) -> NDArray[np.float32]:
    """Logits of every window, float32 ``[N, T, C]``."""
    fusion.eval()
    parts = []
    for index in torch.split(torch.arange(len(windows)), BATCH):
        batch = windows.select(index)
        parts.append(fusion(batch.frame_embeddings, batch.frame_mask, batch.audio_tokens, batch.audio_mask))
    return torch.cat(parts).float().numpy()


def step_labels(clip: ClipWindows) -> NDArray[np.int64]:
    """Each step's label once, int64 ``[steps of the clip]``."""
    parts, first = [], 0
    for window, labels in zip(clip.windows, clip.labels, strict=True):
        parts.append(labels[first - window.first_step : window.settles - window.first_step])
        first = window.settles
    return np.concatenate(parts)


def _stitched(clip: ClipWindows, logits: NDArray[np.float32]) -> StitchedClip:
    stitcher = Stitcher(logits.shape[1])
    settled = [stitcher.add(window, own) for window, own in zip(clip.windows, logits, strict=True)]
    times = np.concatenate([steps.times_seconds for steps in settled])
    own = np.concatenate([steps.logits for steps in settled])
    frames = frame_truth(clip)
    return StitchedClip(clip.clip_id, times, own, *(frames or (step_labels(clip), None)))


def frame_truth(clip: ClipWindows) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Labels and times of a clip's annotated frames, ``[M]`` each; ``None`` where frames have none.

    Frames that are annotated past the last decoded one count too, as that one.
    """
    if clip.truth is None or clip.truth.times_seconds is not None:
        return None
    labels, times = clip.truth.labels, clip.frame_times_seconds
    if not len(labels) or not len(times):
        return None
    return labels, np.pad(times, (0, max(0, len(labels) - len(times))), mode="edge")[: len(labels)]
