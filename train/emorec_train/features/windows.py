"""Windows of frozen features, computed once by the runtime's own window builder.

Shapes: ``N`` windows, ``T`` grid steps, ``S`` audio tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emorec_rt.bundle.manifest import GraphName, Preprocessing, expected_tensors
from emorec_rt.bundle.tasks import NO_TASKS, Tasks
from emorec_rt.engines.base import Engine, check_feeds
from emorec_rt.windows.iterate import iter_windows
from emorec_rt.windows.window import Window
from emorec_train.console import tracked
from emorec_train.data.labels import IGNORED, ClipLabels, no_measures
from emorec_train.features.crops import CroppedClip


class TorchEngine(Engine):
    """A module in eval mode behind the runtime's ``Engine``.

    Args:
        module: Takes the graph's inputs in order, gives its output, or a tuple of several, on whatever device
            it is.
        graph: Which graph it is.
        spec: Sets the shapes.
        classes: Logits of the fusion.
        tasks: What it gives beside them.
    """

    def __init__(
        self,
        module: nn.Module,
        graph: GraphName,
        spec: Preprocessing,
        classes: int = 1,
        tasks: Tasks = NO_TASKS,
    ) -> None:
        self.inputs, self.outputs = expected_tensors(spec, classes, tasks)[graph]
        self._module = module.eval()

    @torch.inference_mode()
    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run one batch, see ``Engine.run``."""
        check_feeds(self.inputs, feeds)
        device = next((p.device for p in self._module.parameters()), torch.device("cpu"))
        tensors = [torch.from_numpy(feeds[spec.name]).to(device) for spec in self.inputs]
        given = self._module(*tensors)
        values = given if isinstance(given, tuple) else (given,)
        return {
            spec.name: value.float().cpu().numpy() for spec, value in zip(self.outputs, values, strict=True)
        }


@dataclass(frozen=True, slots=True)
class ClipWindows:
    """A clip's windows in order, and for each window its steps' labels, int64 ``[T]``.

    The windows may lie on disk: each is read when it is asked for. ``frame_times_seconds``, float64 ``[F]``,
    are those of all frames, missing ones too; ``truth`` is what ``labels`` were taken from. ``targets`` has
    the shares of the classes, float32 ``[T, C]`` for each window, where more than one is true; ``measures``
    has valence, arousal and action units, float32 ``[T, M]``, NaN where one is missing, where there are any.
    """

    clip_id: str
    windows: Sequence[Window]
    labels: tuple[NDArray[np.int64], ...]
    frame_times_seconds: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    truth: ClipLabels | None = None
    targets: tuple[NDArray[np.float32], ...] = ()
    measures: tuple[NDArray[np.float32], ...] = ()


@dataclass(frozen=True, slots=True)
class WindowSet:
    """Windows of many clips as the fusion takes them.

    Attributes:
        frame_embeddings: float32 ``[N, T, Dv]``.
        frame_mask: float32 ``[N, T]``.
        audio_tokens: float32 ``[N, S, Da]``.
        audio_mask: float32 ``[N, S]``.
        labels: int64 ``[N, T]``.
        targets: float32 ``[N, T, C]``, shares of the classes; ``None`` where the label is all there is.
        measures: float32 ``[N, T, M]``, NaN where one is missing; ``None`` where all are.
    """

    frame_embeddings: Tensor
    frame_mask: Tensor
    audio_tokens: Tensor
    audio_mask: Tensor
    labels: Tensor
    targets: Tensor | None = None
    measures: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> WindowSet:
        """The same on a device."""
        return self._each(lambda tensor: tensor.to(device))

    def select(self, index: Tensor) -> WindowSet:
        """The windows at ``index``, int64 ``[B]``."""
        return self._each(lambda tensor: tensor[index])

    def _each(self, change: Callable[[Tensor], Tensor]) -> WindowSet:
        return WindowSet(
            change(self.frame_embeddings),
            change(self.frame_mask),
            change(self.audio_tokens),
            change(self.audio_mask),
            change(self.labels),
            None if self.targets is None else change(self.targets),
            None if self.measures is None else change(self.measures),
        )


class WindowTable:
    """All windows of many clips in order, stacked a batch at a time: what lies on disk stays there.

    Attributes:
        labels: int64 ``[N, T]``.
        measures: float32 ``[N, T, M]``, NaN where one is missing; ``None`` where all are.
    """

    def __init__(self, clips: Sequence[ClipWindows]) -> None:
        self._places = [(clip.windows, k) for clip in clips for k in range(len(clip.windows))]
        self.labels = torch.from_numpy(np.stack([labels for clip in clips for labels in clip.labels]))
        self.measures = _stacked_measures(clips)
        self._lengths = [len(clip.labels) for clip in clips]
        targets = [target for clip in clips for target in clip.targets]
        # Of all windows, or of none.
        self._targets = torch.from_numpy(np.stack(targets)) if len(targets) == len(self._places) > 0 else None

    def __len__(self) -> int:
        return len(self._places)

    def clip_labels(self) -> Iterator[Tensor]:
        """Labels of each clip's windows, int64 ``[n, T]``."""
        yield from torch.split(self.labels, self._lengths)

    def select(self, index: Tensor) -> WindowSet:
        """The windows at ``index``, int64 ``[B]``."""
        windows = [clip[k] for clip, k in (self._places[place] for place in index.tolist())]
        return WindowSet(
            _stacked((window.frame_embeddings, window.frame_mask) for window in windows),
            torch.from_numpy(np.stack([window.frame_mask for window in windows])),
            _stacked((window.audio_tokens, window.audio_mask) for window in windows),
            torch.from_numpy(np.stack([window.audio_mask for window in windows])),
            self.labels[index],
            None if self._targets is None else self._targets[index],
            None if self.measures is None else self.measures[index],
        )


def _stacked_measures(clips: Sequence[ClipWindows]) -> Tensor | None:
    """Measures of all windows, float32 ``[N, T, M]``; ``None`` where no clip has any."""
    if not any(clip.measures for clip in clips):
        return None
    each = [clip.measures or [no_measures(len(own)) for own in clip.labels] for clip in clips]
    return torch.from_numpy(np.stack([own for clip in each for own in clip]))


def _stacked(rows: Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> Tensor:
    """Features ``[N, L, D]``, 0 where masked: a NaN there would spread, masked or not."""
    return torch.from_numpy(
        np.stack([np.where(mask[:, None] > 0.0, own, np.float32(0)) for own, mask in rows])
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
        self._vision = TorchEngine(vision, "vision", spec)
        self._audio = TorchEngine(audio, "audio", spec)

    def __call__(self, clip: CroppedClip) -> list[Window]:
        """All windows of a clip; none if it has neither frames nor sound."""
        return list(
            iter_windows(
                clip.items(),
                self._spec,
                self._vision,
                self._audio,
                has_video=len(clip.found) > 0,
                has_sound=len(clip.samples) > 0,
            )
        )


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
    spans = [(window.times_seconds, window.steps) for window in windows]
    return labelled_windows(clip_id, windows, spans, truth, frame_times_seconds)


def labelled_windows(
    clip_id: str,
    windows: Sequence[Window],
    spans: Sequence[tuple[NDArray[np.float64], int]],
    truth: ClipLabels,
    frame_times_seconds: NDArray[np.float64],
) -> ClipWindows:
    """Windows, which may lie on disk, with the labels of their steps.

    Args:
        clip_id: The source's identity of the clip.
        windows: Its windows.
        spans: Times of each window's steps, ``[T]``, and how many are real; padding past them has no label.
        truth: Labels of the clip.
        frame_times_seconds: Those of all frames, missing ones too.
    """
    labels = [
        np.where(np.arange(len(times)) < steps, truth.at(times, frame_times_seconds), IGNORED)
        for times, steps in spans
    ]
    targets = [truth.shares_at(times) for times, _ in spans]
    measures = [truth.measures_at(times, frame_times_seconds) for times, _ in spans]
    for own, (_, steps) in zip(measures, spans, strict=True):
        if own is not None:
            own[steps:] = np.nan
    return ClipWindows(
        clip_id,
        windows,
        tuple(labels),
        frame_times_seconds,
        truth,
        tuple(target for target in targets if target is not None),
        tuple(own for own in measures if own is not None),
    )


def stack_windows(clips: Sequence[ClipWindows]) -> WindowTable:
    """All windows of all clips, in order."""
    return WindowTable(clips)
