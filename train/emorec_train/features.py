"""Windows of frozen features, computed once by the runtime's own window builder.

Shapes: ``N`` windows, ``T`` grid steps, ``S`` audio tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from emorec_train.labels import IGNORED, ClipLabels
from emorec_train.progress import tracked
from emorec_train.records import CroppedClip

VISION_BATCH = 16
"""Frames encoded at once: on CPUs, larger batches leave the caches and take longer a frame."""

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
    """A clip's windows in order, and for each window its steps' labels, int64 ``[T]``.

    The windows may lie on disk: each is read when it is asked for. ``frame_times_seconds``, float64 ``[F]``,
    are those of all frames, missing ones too; ``truth`` is what ``labels`` were taken from.
    """

    clip_id: str
    windows: Sequence[Window]
    labels: tuple[NDArray[np.int64], ...]
    frame_times_seconds: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    truth: ClipLabels | None = None


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

    def to(self, device: torch.device) -> WindowSet:
        """The same on a device."""
        return WindowSet(
            self.frame_embeddings.to(device),
            self.frame_mask.to(device),
            self.audio_tokens.to(device),
            self.audio_mask.to(device),
            self.labels.to(device),
        )

    def select(self, index: Tensor) -> WindowSet:
        """The windows at ``index``, int64 ``[B]``."""
        return WindowSet(
            self.frame_embeddings[index],
            self.frame_mask[index],
            self.audio_tokens[index],
            self.audio_mask[index],
            self.labels[index],
        )


class WindowTable:
    """All windows of many clips in order, stacked a batch at a time: what lies on disk stays there.

    Attributes:
        labels: int64 ``[N, T]``.
    """

    def __init__(self, clips: Sequence[ClipWindows]) -> None:
        self._places = [(clip.windows, k) for clip in clips for k in range(len(clip.windows))]
        self.labels = torch.from_numpy(np.stack([labels for clip in clips for labels in clip.labels]))

    def __len__(self) -> int:
        return len(self._places)

    def select(self, index: Tensor) -> WindowSet:
        """The windows at ``index``, int64 ``[B]``."""
        windows = [clip[k] for clip, k in (self._places[place] for place in index.tolist())]
        return WindowSet(
            torch.from_numpy(np.stack([window.frame_embeddings for window in windows])),
            torch.from_numpy(np.stack([window.frame_mask for window in windows])),
            torch.from_numpy(np.stack([window.audio_tokens for window in windows])),
            torch.from_numpy(np.stack([window.audio_mask for window in windows])),
            self.labels[index],
        )


class ClipEncoder:
    """From a cropped clip to windows.

    Batches end with the clip, so that its features never depend on what was encoded before it.

    Args:
        spec: From media to windows.
        vision: The visual encoder.
        audio: The audio encoder.
    """

    def __init__(self, spec: Preprocessing, vision: nn.Module, audio: nn.Module) -> None:
        self._spec = spec
        self._vision = Batcher(TorchEngine(vision, "vision", spec), VISION_BATCH)
        self._audio = Batcher(TorchEngine(audio, "audio", spec), AUDIO_BATCH)

    def __call__(self, clip: CroppedClip) -> list[Window]:
        """All windows of a clip; none if it has neither frames nor sound."""
        windows: list[Window] = []
        builder = WindowBuilder(
            self._spec,
            file_schedule(self._spec),
            self._vision,
            self._audio,
            has_video=len(clip.found) > 0,
            has_sound=len(clip.samples) > 0,
            emit=windows.append,
        )
        for item in clip.items():
            builder.push(item)
        builder.finish()
        self._vision.flush()
        self._audio.flush()
        return windows


def clip_windows(
    clips: Sequence[CroppedClip], spec: Preprocessing, vision: nn.Module, audio: nn.Module, label: str
) -> list[ClipWindows]:
    """Encode every clip; ``label`` is for the progress bar."""
    encode = ClipEncoder(spec, vision, audio)
    return [
        with_labels(clip.clip_id, encode(clip), clip.truth, clip.frame_times_seconds)
        for clip in tracked(clips, label, len(clips))
    ]


def with_labels(
    clip_id: str, windows: Sequence[Window], truth: ClipLabels, frame_times_seconds: NDArray[np.float64]
) -> ClipWindows:
    """Windows with the labels of their steps."""
    labels = [
        step_labels_at(window.times_seconds, window.steps, truth, frame_times_seconds) for window in windows
    ]
    return ClipWindows(clip_id, windows, tuple(labels), frame_times_seconds, truth)


def step_labels_at(
    times_seconds: NDArray[np.float64],
    steps: int,
    truth: ClipLabels,
    frame_times_seconds: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Labels of a window's steps, int64 ``[T]``; padding past ``steps`` has none."""
    labels = truth.at(times_seconds, frame_times_seconds)
    return np.where(np.arange(len(labels)) < steps, labels, IGNORED)


def stack_windows(clips: Sequence[ClipWindows]) -> WindowTable:
    """All windows of all clips, in order."""
    return WindowTable(clips)
