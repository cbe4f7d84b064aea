"""Scores of a fusion model on whole clips, stitched as the runtime stitches.

Where each frame has a label, frames are what is counted, as the ABAW challenge does; else the grid's steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from emorec_rt.bundle.manifest import Decoding
from emorec_rt.windows.decode import Stitcher
from emorec_train.data.labels import IGNORED
from emorec_train.evaluation.decoding import decode, predict
from emorec_train.evaluation.metrics import Scores, score
from emorec_train.features.windows import ClipWindows, WindowTable, stack_windows
from emorec_train.model.fusion import FusionModel

BATCH = 64

LABEL_STEPS_KEY: Final = "label_steps"
"""Key of a checkpoint's settings: count of each label in the training windows."""


@dataclass(frozen=True, slots=True)
class StitchedClip:
    """Logits of a whole clip, before smoothing and prior correction.

    Attributes:
        clip_id: The source's identity of it.
        times_seconds: float64 ``[N]``, of each step.
        logits: float32 ``[N, C]``.
        labels: int64 ``[M]``, the truth, ``IGNORED`` where there is none: of each annotated frame, or of each
            step, where ``M = N``.
        at_seconds: float64 ``[M]``, times of those frames; ``None`` where steps are labelled.
        outputs: float32 ``[N, K]``, what the model gave beside the logits, a column for each measure;
            ``None`` where that is nothing.
        measures: float32 ``[M, len(MEASURES)]``, the truth about them, NaN where there is none; ``None``
            where the clip has none at all.
    """

    clip_id: str
    times_seconds: NDArray[np.float64]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    at_seconds: NDArray[np.float64] | None = None
    outputs: NDArray[np.float32] | None = None
    measures: NDArray[np.float32] | None = None

    def predicted(self, decoding: Decoding | None = None) -> NDArray[np.int64]:
        """Decoded labels at the places of ``labels``: int64 ``[M]``."""
        return predict(self.times_seconds, self.logits, decoding, self.at_seconds)

    def label(self) -> int | None:
        """The label of the whole clip; ``None`` where its steps have several, or none."""
        found = np.unique(self.labels[self.labels != IGNORED])
        return int(found[0]) if len(found) == 1 else None

    def predicted_label(self, decoding: Decoding | None = None) -> int:
        """The label of the whole clip by the mean probabilities of its steps."""
        logits = decode(self.times_seconds, self.logits, decoding)
        return int(softmax(logits, axis=1).mean(axis=0).argmax())


def evaluate(fusion: FusionModel, clips: Sequence[ClipWindows], labels: Sequence[str]) -> Scores:
    """Score every labelled frame or step once; overlapping windows are averaged by the runtime's stitcher."""
    return score_clips(stitch_clips(fusion, clips), labels)


def score_clips(
    clips: Sequence[StitchedClip], labels: Sequence[str], decoding: Decoding | None = None
) -> Scores:
    """Score all frames or steps of all clips, decoded as a bundle with this ``decoding`` would."""
    truth = np.concatenate([clip.labels for clip in clips])
    predicted = np.concatenate([clip.predicted(decoding) for clip in clips])
    return score(truth, predicted, labels)


def score_whole_clips(
    clips: Sequence[StitchedClip], labels: Sequence[str], decoding: Decoding | None = None
) -> Scores | None:
    """Score one label a clip, as sets of short clips are reported; ``None`` where clips have several."""
    truth = [clip.label() for clip in clips]
    known = np.array([own for own in truth if own is not None], np.int64)
    if len(known) < len(clips):
        return None
    predicted = np.array([clip.predicted_label(decoding) for clip in clips], np.int64)
    return score(known, predicted, labels)


def reordered(clips: Sequence[StitchedClip], order: NDArray[np.int64]) -> list[StitchedClip]:
    """The clips with their classes in another order, given as places int64 ``[C]`` in the present one."""
    places = np.append(np.argsort(order), IGNORED)  # the last one is what IGNORED finds
    return [replace(clip, logits=clip.logits[:, order], labels=places[clip.labels]) for clip in clips]


def stitch_clips(
    fusion: FusionModel, clips: Sequence[ClipWindows], *, device: str = "cpu"
) -> list[StitchedClip]:
    """Run the fusion on every window, on ``cpu`` or ``cuda``, and stitch each clip."""
    outputs = window_outputs(fusion, stack_windows(clips), device=device)
    stitched, first = [], 0
    for clip in clips:
        own = outputs[first : first + len(clip.windows)]
        first += len(clip.windows)
        stitched.append(_stitched(clip, own, fusion.classes))
    return stitched


def label_steps(clips: Sequence[ClipWindows], labels: Sequence[str]) -> dict[str, int]:
    """Count of each class among the training steps; a step in two windows counts twice."""
    steps = np.concatenate([own for clip in clips for own in clip.labels])
    counts = np.bincount(steps[steps != IGNORED], minlength=len(labels))
    return dict(zip(labels, counts.tolist(), strict=True))


@torch.inference_mode()
def window_outputs(fusion: FusionModel, windows: WindowTable, *, device: str = "cpu") -> NDArray[np.float32]:
    """Logits of every window, and past them what its tasks give, float32 ``[N, T, C + K]``."""
    fusion.eval().to(device)
    parts = []
    for index in torch.split(torch.arange(len(windows)), BATCH):
        batch = windows.select(index).to(torch.device(device))
        own = fusion.outputs(batch.frame_embeddings, batch.frame_mask, batch.audio_tokens, batch.audio_mask)
        parts.append(torch.cat([own.logits, *own.tasks.values()], dim=-1).float().cpu())
    return torch.cat(parts).numpy()


def step_labels(clip: ClipWindows) -> NDArray[np.int64]:
    """Each step's label once, int64 ``[steps of the clip]``."""
    return _settled(clip, clip.labels)


def _settled(clip: ClipWindows, values: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Of what each window has for its steps, ``[T, ...]``, that of each step of the clip once."""
    parts, first = [], 0
    for window, own in zip(clip.windows, values, strict=True):
        parts.append(own[first - window.first_step : window.settles - window.first_step])
        first = window.settles
    return np.concatenate(parts)


def _stitched(clip: ClipWindows, outputs: NDArray[np.float32], classes: int) -> StitchedClip:
    stitcher = Stitcher(outputs.shape[1])
    settled = [stitcher.add(window, own) for window, own in zip(clip.windows, outputs, strict=True)]
    times = np.concatenate([steps.times_seconds for steps in settled])
    own = np.concatenate([steps.logits for steps in settled])
    frames = frame_truth(clip)
    labels, at_seconds = frames or (step_labels(clip), None)
    return StitchedClip(
        clip.clip_id,
        times,
        own[:, :classes],
        labels,
        at_seconds,
        own[:, classes:] if own.shape[1] > classes else None,
        _true_measures(clip, by_frame=frames is not None),
    )


def _true_measures(clip: ClipWindows, *, by_frame: bool) -> NDArray[np.float32] | None:
    """Measures of each annotated frame or of each step, as labels in ``frame_truth`` and ``step_labels``."""
    if by_frame:
        return None if clip.truth is None else clip.truth.measures
    return _settled(clip, clip.measures) if clip.measures else None


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
