"""Windows of frozen features, computed once by the runtime's own window builder.

Shapes: ``N`` windows, ``T`` grid steps, ``S`` audio tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emorec_rt.batching import Batcher
from emorec_rt.engines.base import check_feeds
from emorec_rt.manifest import GraphName, Preprocessing, expected_tensors
from emorec_rt.schedule import file_schedule
from emorec_rt.window import Window
from emorec_rt.window_builder import WindowBuilder
from emorec_train.labels import IGNORED, labels_at
from emorec_train.progress import tracked
from emorec_train.records import ClipRecord

VISION_BATCH = 64
AUDIO_BATCH = 4


class TorchEngine:
    """A module in eval mode behind the runtime's engine protocol.

    Args:
        module: Takes the graph's inputs in order, gives its one output.
        graph: Which graph it is.
        spec: Sets the shapes.
        classes: Logits of the fusion.
    """

    def __init__(self, module: nn.Module, graph: GraphName, spec: Preprocessing, classes: int = 1) -> None:
        self.inputs, self.outputs = expected_tensors(spec, classes)[graph]
        self._module = module.eval()

    @torch.inference_mode()
    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run one batch, see ``Engine.run``."""
        check_feeds(self.inputs, feeds)
        tensors = [torch.from_numpy(feeds[spec.name]) for spec in self.inputs]
        return {self.outputs[0].name: self._module(*tensors).float().numpy()}


@dataclass(frozen=True, slots=True)
class ClipWindows:
    """A clip's windows in order, and for each window its steps' labels, int64 ``[T]``."""

    clip_id: str
    windows: tuple[Window, ...]
    labels: tuple[NDArray[np.int64], ...]


@dataclass(frozen=True, slots=True)
class WindowSet:
    """Windows of many clips as the fusion takes them.

    Attributes:
        frame_embeddings: float32 ``[N, T, Dv]``.
        frame_mask: float32 ``[N, T]``.
        audio_tokens: float32 ``[N, S, Da]``.
        audio_mask: float32 ``[N, S]``.
        labels: int64 ``[N, T]``.
    """

    frame_embeddings: Tensor
    frame_mask: Tensor
    audio_tokens: Tensor
    audio_mask: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, index: Tensor) -> WindowSet:
        """The windows at ``index``, int64 ``[B]``."""
        return WindowSet(
            self.frame_embeddings[index],
            self.frame_mask[index],
            self.audio_tokens[index],
            self.audio_mask[index],
            self.labels[index],
        )


def clip_windows(
    records: Sequence[ClipRecord], spec: Preprocessing, vision: nn.Module, audio: nn.Module, label: str
) -> list[ClipWindows]:
    """Encode every clip; ``label`` is for the progress bar."""
    batchers = (
        Batcher(TorchEngine(vision, "vision", spec), VISION_BATCH),
        Batcher(TorchEngine(audio, "audio", spec), AUDIO_BATCH),
    )
    return [_windows_of(record, spec, *batchers) for record in tracked(records, label, len(records))]


def _windows_of(record: ClipRecord, spec: Preprocessing, vision: Batcher, audio: Batcher) -> ClipWindows:
    windows: list[Window] = []
    builder = WindowBuilder(
        spec,
        file_schedule(spec),
        vision,
        audio,
        has_video=len(record.found) > 0,
        has_sound=len(record.samples) > 0,
        emit=windows.append,
    )
    for item in record.items():
        builder.push(item)
    builder.finish()
    vision.flush()
    audio.flush()
    return ClipWindows(record.clip_id, tuple(windows), tuple(_labels(record, window) for window in windows))


def _labels(record: ClipRecord, window: Window) -> NDArray[np.int64]:
    labels = labels_at(window.times_seconds, record.label_times_seconds, record.labels)
    return np.where(np.arange(len(labels)) < window.steps, labels, IGNORED)


def stack_windows(clips: Sequence[ClipWindows]) -> WindowSet:
    """All windows of all clips, in order."""
    windows = [window for clip in clips for window in clip.windows]
    return WindowSet(
        torch.from_numpy(np.stack([window.frame_embeddings for window in windows])),
        torch.from_numpy(np.stack([window.frame_mask for window in windows])),
        torch.from_numpy(np.stack([window.audio_tokens for window in windows])),
        torch.from_numpy(np.stack([window.audio_mask for window in windows])),
        torch.from_numpy(np.stack([labels for clip in clips for labels in clip.labels])),
    )
