"""First stage: small encoders from scratch. Full-size ones come pretrained and skip it.

Both learn from labels under a linear head, which is thrown away; beside it the visual encoder learns as CLIP
does, against the class texts, which alone would take far longer. Neither can tell every class apart, by the
design of the clips.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from emorec_rt.bundle.manifest import Audio
from emorec_rt.constants import SAMPLE_RATE_HZ, TOKEN_HOP_SAMPLES, TOKEN_RECEPTIVE_SAMPLES
from emorec_train.console import say, tracked
from emorec_train.data.labels import IGNORED
from emorec_train.features.crops import CroppedClip
from emorec_train.model.audio import AudioEncoder
from emorec_train.model.build import freeze
from emorec_train.model.losses import LARGEST_SCALE, StepLoss
from emorec_train.model.text import TextEncoder
from emorec_train.model.vision import VisionEncoder
from emorec_train.settings.fields import EncoderSettings
from emorec_train.training.augment import augment_frames, augment_sound
from emorec_train.training.loop import Optimiser, train_steps
from emorec_train.training.partial import learning

LABEL_SMOOTHING = 0.1


class FrameSampler:
    """Random labelled crops of all clips, each frame as likely as any other."""

    def __init__(self, records: Sequence[CroppedClip]) -> None:
        self._records = records
        places = []
        for clip, record in enumerate(records):
            labels = record.labels_at(record.frame_times_seconds)
            frames = np.flatnonzero(record.found & (labels != IGNORED))
            places.append(np.stack([np.full(len(frames), clip), frames, labels[frames]], axis=1))
        self._places = np.concatenate(places)  # [N, 3]: clip, frame, label

    def __len__(self) -> int:
        return len(self._places)

    def draw(self, batch: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Crops uint8 ``[B, H, W, 3]`` and labels int64 ``[B]``."""
        places = self._places[rng.integers(len(self._places), size=batch)]
        crops = np.stack([self._records[clip].crops[frame] for clip, frame, _ in places.tolist()])
        return torch.from_numpy(crops), torch.from_numpy(places[:, 2])


def train_vision(
    vision: VisionEncoder,
    text: TextEncoder | None,
    labels: Sequence[str],
    records: Sequence[CroppedClip],
    settings: EncoderSettings,
    seed: int,
) -> float:
    """Train CLIP's visual tower, and its text tower if there is one. Returns the last loss."""
    sampler, rng, generator = FrameSampler(records), np.random.default_rng(seed), _generator(seed)
    if not len(sampler):
        say("no labelled face in the training clips: the visual encoder learns nothing")
        return 0.0
    heads: list[nn.Module] = [nn.Linear(vision.embed_dim, len(labels))]
    if text is not None:
        heads.append(_TextHead(text.train(), labels))

    def loss_of(_step: int) -> Tensor:
        crops, targets = sampler.draw(settings.batch, rng)
        with torch.autocast("cpu", torch.bfloat16):
            images = vision(augment_frames(crops, generator))
        return torch.stack([_classify(head(images.float()), targets) for head in heads]).sum()

    with learning(vision, settings):
        if text is not None and settings.partial:
            freeze(text)  # the class texts stay where the pretrained tower has them
        optimiser = _optimiser([vision, *heads], settings)
        steps = tracked(range(settings.steps), "visual encoder", settings.steps)
        return train_steps(steps, optimiser, loss_of)


class ChunkSampler:
    """Random chunks of sound with a label for each token, cut anywhere, silence and padding included."""

    def __init__(self, records: Sequence[CroppedClip], spec: Audio) -> None:
        self._sounds = [
            (record, block)
            for record in records
            for block in record.samples
            if len(block.pcm) > spec.context_tokens * TOKEN_HOP_SAMPLES
        ]
        self._spec = spec

    def __len__(self) -> int:
        return len(self._sounds)

    def draw(self, batch: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Samples float32 ``[B, N]`` and labels int64 ``[B, S]``."""
        chunks, labels = zip(
            *(self._draw_one(int(rng.integers(len(self._sounds))), rng) for _ in range(batch)), strict=True
        )
        return torch.from_numpy(np.stack(chunks)), torch.from_numpy(np.stack(labels))

    def _draw_one(
        self, index: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        record, block = self._sounds[index]
        length = self._spec.chunk_samples
        # Chunks at the ends of a stream are padded with zeros, so some of these are.
        margin = self._spec.context_tokens * TOKEN_HOP_SAMPLES
        start = int(rng.integers(-margin, max(len(block.pcm) - length, 0) + margin))
        inside = block.pcm[max(start, 0) : max(start + length, 0)]
        before = max(-start, 0)
        chunk = np.pad(inside[: length - before], (before, max(length - before - len(inside), 0)))
        centres = (
            start + TOKEN_RECEPTIVE_SAMPLES // 2 + TOKEN_HOP_SAMPLES * np.arange(self._spec.chunk_tokens)
        )
        times = block.pts_seconds + centres / SAMPLE_RATE_HZ
        labels = record.labels_at(times)
        heard = (centres >= 0) & (centres < len(block.pcm))
        return chunk, np.where(heard, labels, IGNORED)


def train_audio(
    audio: AudioEncoder,
    spec: Audio,
    classes: int,
    records: Sequence[CroppedClip],
    settings: EncoderSettings,
    seed: int,
) -> float:
    """Train the encoder under a temporary head. Returns the last loss."""
    sampler, rng, generator = ChunkSampler(records, spec), np.random.default_rng(seed), _generator(seed)
    if not len(sampler):
        say("no sound in the training clips: the audio encoder learns nothing")
        return 0.0
    head = nn.Linear(spec.embedding_dim, classes)

    def loss_of(_step: int) -> Tensor:
        samples, targets = sampler.draw(settings.batch, rng)
        with torch.autocast("cpu", torch.bfloat16):
            logits = head(audio(augment_sound(samples, generator)))
        return _classify(logits.float(), targets)

    with learning(audio, settings):
        optimiser = _optimiser([audio, head], settings)
        steps = tracked(range(settings.steps), "audio encoder", settings.steps)
        return train_steps(steps, optimiser, loss_of)


class _TextHead(nn.Module):
    """Cosine to each class's text over CLIP's learnable temperature."""

    def __init__(self, text: TextEncoder, labels: Sequence[str]) -> None:
        super().__init__()
        self.text = text
        self.labels = labels
        self.log_scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, images: Tensor) -> Tensor:
        """Map ``[B, E]`` to ``[B, C]``."""
        scale = self.log_scale.exp().clamp(max=LARGEST_SCALE)
        return scale * F.normalize(images, dim=-1) @ self.text.prototypes(self.labels).T


def _classify(logits: Tensor, targets: Tensor) -> Tensor:
    return StepLoss(LABEL_SMOOTHING)(logits, targets)


def _optimiser(modules: Sequence[nn.Module], settings: EncoderSettings) -> Optimiser:
    return Optimiser(
        modules,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )


def _generator(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)
