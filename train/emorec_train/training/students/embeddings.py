"""Small towers that learn what a large one says of frames and of chunks of sound.

What is learnt is standardised, and a dimension counts the more, the more it moves the teacher's logits.

Shapes: ``B`` frames or chunks, ``N`` samples, ``S`` tokens, ``E`` width of an embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emorec_rt.bundle.manifest import Audio
from emorec_rt.constants import TOKEN_HOP_SAMPLES, TOKEN_RECEPTIVE_SAMPLES
from emorec_train.console import tracked
from emorec_train.features.crops import CroppedClip
from emorec_train.features.windows import WindowTable
from emorec_train.model.fusion import FusionModel
from emorec_train.settings.fields import EncoderSettings
from emorec_train.settings.students import StudentSettings
from emorec_train.training.augment import augment_frames, augment_sound
from emorec_train.training.loop import Optimiser, train_steps

FRAMES_AT_ONCE: Final = 32
CHUNKS_AT_ONCE: Final = 4
WINDOWS_AT_ONCE: Final = 16
LEAST_DEVIATION: Final = 1e-4
MOST_FRAMES: Final = 40_000
"""Faces in memory; of more, every second, third ... frame is taken."""


@dataclass(frozen=True)
class Lesson:
    """Inputs of a student and what its teacher says of them.

    Attributes:
        inputs: Crops ``[N, H, W, 3]``, uint8, or samples ``[N, L]``, float32.
        outputs: The teacher's embeddings, float16 ``[N, E]`` or ``[N, S, E]``.
        real: Which embeddings are of something, bool ``[N]`` or ``[N, S]``.
    """

    inputs: Tensor
    outputs: Tensor
    real: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def known(self) -> Tensor:
        """All real embeddings, float32 ``[M, E]``."""
        return self.outputs[self.real].float()


def frame_lesson(
    teacher: nn.Module, seen: Sequence[CroppedClip], own: Sequence[CroppedClip], label: str
) -> Lesson:
    """Faces of clips at the size of the student's crops, and the teacher's embeddings of the same faces.

    Args:
        teacher: The large visual tower.
        seen: Clips at the size of its crops.
        own: The same clips at the size of the student's.
        label: Of the progress bar.
    """
    crops, said = [], []
    stride = 1 + sum(len(clip.found) for clip in seen) // MOST_FRAMES
    for large, small in tracked(zip(seen, own, strict=True), label, len(seen)):
        places = np.flatnonzero(large.found & small.found)[::stride]
        crops.append(torch.from_numpy(small.crops[places]))
        said.append(_encoded(teacher, torch.from_numpy(large.crops[places]), FRAMES_AT_ONCE))
    outputs = torch.cat(said)
    return Lesson(torch.cat(crops), outputs, torch.ones(len(outputs), dtype=torch.bool))


def sound_lesson(teacher: nn.Module, clips: Sequence[CroppedClip], spec: Audio, label: str) -> Lesson:
    """Sound of clips in chunks one after another, and the teacher's tokens of each."""
    pieces = [piece for clip in clips for piece in _chunks(clip, spec)]
    if not pieces:
        empty = torch.zeros(0, spec.chunk_tokens)
        return Lesson(torch.zeros(0, spec.chunk_samples), empty[..., None].half(), empty.bool())
    samples = torch.stack([piece for piece, _ in pieces])
    real = torch.stack([torch.arange(spec.chunk_tokens) < count for _, count in pieces])
    parts = tracked(torch.split(samples, CHUNKS_AT_ONCE), label, -(-len(samples) // CHUNKS_AT_ONCE))
    outputs = torch.cat([_encoded(teacher, part, CHUNKS_AT_ONCE) for part in parts])
    return Lesson(samples, outputs, real)


def _chunks(clip: CroppedClip, spec: Audio) -> Iterator[tuple[Tensor, int]]:
    """Samples ``[N]`` of each chunk, and how many of its tokens are real."""
    for block in clip.samples:
        for start in range(0, len(block.pcm), spec.chunk_tokens * TOKEN_HOP_SAMPLES):
            part = block.pcm[start : start + spec.chunk_samples]
            count = (len(part) - TOKEN_RECEPTIVE_SAMPLES) // TOKEN_HOP_SAMPLES + 1
            if count > 0:
                yield torch.from_numpy(np.pad(part, (0, spec.chunk_samples - len(part)))), count


@torch.inference_mode()
def _encoded(teacher: nn.Module, inputs: Tensor, at_once: int) -> Tensor:
    parts = [teacher(part).float().half() for part in torch.split(inputs, at_once)] if len(inputs) else []
    return torch.cat(parts) if parts else torch.zeros(0, teacher_width(teacher), dtype=torch.float16)


def teacher_width(teacher: nn.Module) -> int:
    """Width of a visual tower's embedding."""
    return int(teacher.embed_dim)  # type: ignore[arg-type]  # of a VisionEncoder


def importance(fusion: FusionModel, windows: WindowTable, largest: int) -> tuple[Tensor, Tensor]:
    """Root mean square by which a deviation of each dimension moves the likeliest class's log probability.

    Args:
        fusion: The teacher's.
        windows: Of its embeddings.
        largest: Number of windows that are looked at, at most.

    Returns:
        float32 ``[Dv]`` and ``[Da]``, of mean 1.
    """
    fusion.eval()
    moved: list[list[Tensor]] = [[], []]
    chosen = torch.linspace(0, len(windows) - 1, min(largest, len(windows))).long()
    for index in torch.split(chosen, WINDOWS_AT_ONCE):
        batch = windows.select(index)
        streams = (batch.frame_embeddings.requires_grad_(), batch.audio_tokens.requires_grad_())
        logits = fusion(streams[0], batch.frame_mask, streams[1], batch.audio_mask)
        said = logits.log_softmax(dim=-1).amax(dim=-1).sum()
        gradients = torch.autograd.grad(said, streams, allow_unused=True, materialize_grads=True)
        for own, stream, gradient in zip(moved, streams, gradients, strict=True):
            own.append((gradient * stream.detach().flatten(0, 1).std(dim=0)).square().mean(dim=(0, 1)))
    return tuple(_of_mean_1(torch.stack(own).mean(dim=0).sqrt()) for own in moved)  # type: ignore[return-value]


def _of_mean_1(weights: Tensor) -> Tensor:
    """Weights with a mean of 1; all 1 where nothing moves anything, as with a single stream."""
    mean = weights.mean()
    return weights / mean if mean > 0 else torch.ones_like(weights)


class EmbeddingLoss(nn.Module):
    """Distance of standardised embeddings, dimensions weighted, and the angle between them.

    Args:
        lesson: Gives mean and deviation of the teacher's embeddings.
        weights: ``[E]``, of mean 1.
        settings: Share of the weights, and weight of the angle.
    """

    mean: Tensor
    deviation: Tensor
    weights: Tensor

    def __init__(self, lesson: Lesson, weights: Tensor, settings: StudentSettings) -> None:
        super().__init__()
        known = lesson.known()
        self.register_buffer("mean", known.mean(dim=0))
        self.register_buffer("deviation", known.std(dim=0).clamp(min=LEAST_DEVIATION))
        self.register_buffer("weights", 1.0 + settings.importance * (weights - 1.0))
        self._cosine_weight = settings.cosine_weight

    def forward(self, said: Tensor, meant: Tensor) -> Tensor:
        """Of embeddings ``[M, E]`` and the teacher's."""
        own, target = ((part - self.mean) / self.deviation for part in (said, meant))
        distance = (self.weights * F.smooth_l1_loss(own, target, reduction="none")).mean()
        angle = 1.0 - F.cosine_similarity(own, target, dim=-1).mean()
        return distance + self._cosine_weight * angle

    @torch.no_grad()
    def begin(self, projection: nn.Linear) -> None:
        """Have a tower's last layer begin at the teacher's mean, with its deviation."""
        projection.weight.mul_(self.deviation[:, None])
        projection.bias.copy_(self.mean)


def learn_frames(
    student: nn.Module, lesson: Lesson, distance: EmbeddingLoss, settings: EncoderSettings, seed: int
) -> float:
    """Train a visual tower; returns the last loss."""
    generator = torch.Generator().manual_seed(seed)

    def loss_of(_: int) -> Tensor:
        index = torch.randint(len(lesson), (settings.batch,), generator=generator)
        said = student(augment_frames(lesson.inputs[index], generator))
        loss: Tensor = distance(said, lesson.outputs[index].float())
        return loss

    return _learn(student, settings, "visual student", loss_of)


def learn_sound(
    student: nn.Module, lesson: Lesson, distance: EmbeddingLoss, settings: EncoderSettings, seed: int
) -> float:
    """Train a sound tower; returns the last loss."""
    generator = torch.Generator().manual_seed(seed)

    def loss_of(_: int) -> Tensor:
        index = torch.randint(len(lesson), (settings.batch,), generator=generator)
        said, real = student(augment_sound(lesson.inputs[index], generator)), lesson.real[index]
        loss: Tensor = distance(said[real], lesson.outputs[index][real].float())
        return loss

    return _learn(student, settings, "sound student", loss_of)


def _learn(
    student: nn.Module, settings: EncoderSettings, label: str, loss_of: Callable[[int], Tensor]
) -> float:
    optimiser = Optimiser(
        [student],
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )
    student.train()
    loss = train_steps(tracked(range(settings.steps), label, settings.steps), optimiser, loss_of)
    student.eval()
    return loss
