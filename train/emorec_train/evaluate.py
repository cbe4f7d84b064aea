"""Scores of a fusion model on whole clips, stitched as the runtime stitches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from emorec_rt.decode import Stitcher
from emorec_train.features import ClipWindows, WindowTable, stack_windows
from emorec_train.metrics import Scores, score
from emorec_train.model.fusion import FusionModel

BATCH = 64


def evaluate(fusion: FusionModel, clips: Sequence[ClipWindows], labels: Sequence[str]) -> Scores:
    """Score every step of every clip once; overlapping windows are averaged by the runtime's stitcher."""
    logits = window_logits(fusion, stack_windows(clips))
    truth, predicted = [], []
    first = 0
    for clip in clips:
        own = logits[first : first + len(clip.windows)]
        first += len(clip.windows)
        truth.append(step_labels(clip))
        predicted.append(_stitched(clip, own).argmax(axis=1))
    return score(np.concatenate(truth), np.concatenate(predicted), labels)


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


def _stitched(clip: ClipWindows, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    stitcher = Stitcher(logits.shape[1])
    settled = [stitcher.add(window, own).logits for window, own in zip(clip.windows, logits, strict=True)]
    return np.concatenate(settled)
