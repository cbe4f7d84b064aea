"""The sound encoder of people: a small network that learns what a large one hears, in speech without labels.

The teacher hears each recording clean and whole, once at each speed; the student hears a piece of it as if
recorded elsewhere, and says what the teacher would have said of the clean one: of each token, and of the
piece as a whole (mean and deviation over its tokens). Tokens tell words apart first of all; what differs
between whole pieces is who speaks and how they feel. So it learns to hear past words, rooms, microphones
and noise. Steps draw from ``(seed, step)`` alone: a run that was stopped goes on as it
would have.

Shapes: ``B`` pieces, ``N`` samples, ``S`` tokens, ``D`` width of the teacher.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from emorec_rt.bundle.manifest import Audio, Gate
from emorec_rt.constants import TOKEN_HOP_SAMPLES, TOKEN_RECEPTIVE_SAMPLES, chunk_samples
from emorec_rt.files import write_whole
from emorec_train.console import say, tracked
from emorec_train.data.recordings import SoundTable
from emorec_train.model.audio import AudioEncoder
from emorec_train.model.checkpoint_parts import CheckpointError
from emorec_train.model.config import AudioConfig
from emorec_train.training.degrade import Degrader
from emorec_train.training.loop import Optimiser, OptimiserProgress, OptimiserState
from emorec_train.training.state import flatten_parts, part_of

SPEEDS: Final = (1.0, 0.9, 1.1)
"""Pitch and tempo change together, for teacher and student alike."""

COSINE_WEIGHT: Final = 0.5
STEP: Final = 1.0 / 16.0
"""Targets are kept as INT8 in steps of so many standard deviations."""

FEWEST_TOKENS: Final = 20
"""A piece with less sound has no deviation worth learning."""

SPREAD_PIECES: Final = 512
"""Pieces over which the teacher's spread is measured."""

KEEP_EVERY: Final = 500
"""Steps between states on disk."""

_KEY: Final = "emorec-distill"
_STATE: Final = "state.safetensors"


class DistillSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Training of the student.

    Attributes:
        steps: Optimiser steps.
        batch: Pieces in a step.
        piece_tokens: Tokens of a piece.
        learning_rate: Its peak.
        weight_decay: AdamW's.
        piece_weight: Of what is said of whole pieces, beside tokens.
        acted_weight: How much likelier a second of acted voices is than one of natural speech.
        seed: Of everything that is drawn.
    """

    steps: int = 6000
    batch: int = 8
    piece_tokens: int = 200
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    piece_weight: float = 2.0
    acted_weight: float = 2.0
    seed: int = 0


@dataclass(frozen=True)
class Targets:
    """Features of the teacher for every recording at every speed.

    Attributes:
        sounds: Recordings at all speeds.
        values: INT8 ``[T, D]``, tokens one recording after the other, in ``STEP`` deviations.
        starts: int64 ``[R]``, first token of each recording.
        lengths: int64 ``[R]``, tokens of each.
        weights: float64 ``[R]``, how likely a second of each is drawn.
    """

    sounds: SoundTable
    values: NDArray[np.int8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    weights: NDArray[np.float64]

    def pieces(self, count: int, tokens: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw pieces: samples ``[B, N]``, targets ``[B, S, D]`` and which tokens are real ``[B, S]``.

        What is shorter than a piece lies in zeros.
        """
        shares = self.lengths * self.weights
        drawn = rng.choice(len(self.starts), count, p=shares / shares.sum())
        samples = np.zeros((count, chunk_samples(tokens)), np.float32)
        values = np.zeros((count, tokens, self.values.shape[1]), np.int8)
        real = np.zeros((count, tokens), np.bool_)
        for row, index in enumerate(drawn):
            length = int(self.lengths[index])
            taken = min(length, tokens)
            first, at = rng.integers(length - taken + 1), rng.integers(tokens - taken + 1)
            begin = first * TOKEN_HOP_SAMPLES
            sound = self.sounds.samples(index)[begin : begin + chunk_samples(taken)]
            place = at * TOKEN_HOP_SAMPLES
            samples[row, place : place + len(sound)] = sound
            values[row, at : at + taken] = self.values[self.starts[index] + first :][:taken]
            real[row, at : at + taken] = True
        return torch.from_numpy(samples), torch.from_numpy(values), torch.from_numpy(real)


def make_targets(
    teacher: AudioEncoder, sounds: SoundTable, weights: NDArray[np.float64], device: torch.device
) -> Targets:
    """Have the teacher hear everything, at every speed; ``weights`` as in ``Targets``, for each recording."""
    table = _at_speeds(sounds)
    teacher = teacher.to(device)
    lengths = (table.lengths - TOKEN_RECEPTIVE_SAMPLES) // TOKEN_HOP_SAMPLES + 1
    chunk = teacher.whisper.encoder.config.max_source_positions
    tokens = [
        _heard(teacher, table.samples(index), int(lengths[index]), chunk, device)
        for index in tracked(range(len(table)), "teacher", len(table))
    ]
    sample = torch.cat(tokens[:: max(len(tokens) // 200, 1)]).float()
    mean, deviation = sample.mean(dim=0), sample.std(dim=0)
    values = [_quantised((part.float() - mean) / deviation) for part in tokens]
    return Targets(
        table, np.concatenate(values), np.cumsum(lengths) - lengths, lengths, np.tile(weights, len(SPEEDS))
    )


def _quantised(values: Tensor) -> NDArray[np.int8]:
    return np.asarray((values / STEP).round().clamp(-127, 127).to(torch.int8).numpy())


@torch.inference_mode()
def _heard(
    teacher: AudioEncoder, sound: NDArray[np.float32], count: int, chunk: int, device: torch.device
) -> Tensor:
    """The teacher's tokens of one recording, float16 ``[count, D]``, at the student's centres.

    A recording of less than a chunk lies at its end, after zeros, as Smart Turn is fed; of a longer one the
    last chunk reaches back.
    """
    # Whisper's tokens are centred 80 samples past the chunk's beginning, the student's 200.
    sound = np.pad(sound[120:], (0, 200))
    begins = [*range(0, max(count - chunk, 0), chunk), max(count - chunk, 0)]
    parts: list[Tensor] = []
    for begin in begins:
        piece = sound[begin * TOKEN_HOP_SAMPLES :][: chunk_samples(min(chunk, count))]
        padded = np.zeros(chunk_samples(chunk), np.float32)
        first = max(chunk - count, 0) * TOKEN_HOP_SAMPLES
        padded[first : first + len(piece)] = piece
        tokens = teacher(torch.from_numpy(padded)[None].to(device))[0].half().cpu()
        done = sum(map(len, parts))
        parts.append(tokens[max(chunk - count, 0) + done - begin :])
    return torch.cat(parts)[:count]


def _at_speeds(sounds: SoundTable) -> SoundTable:
    """Every recording at every speed, by linear interpolation."""
    pieces = []
    for speed in SPEEDS:
        for index in range(len(sounds)):
            pcm = sounds.pcm[sounds.starts[index] :][: sounds.lengths[index]]
            if speed != 1.0:
                places = np.arange(int((len(pcm) - 1) / speed)) * speed
                pcm = np.interp(places, np.arange(len(pcm)), pcm).round().astype(np.int16)
            pieces.append(pcm)
    lengths = np.array([len(pcm) for pcm in pieces], np.int64)
    return SoundTable(np.concatenate(pieces), np.cumsum(lengths) - lengths, lengths)


def distill(
    config: AudioConfig,
    spec: Audio,
    targets: Targets,
    noise: NDArray[np.float32],
    settings: DistillSettings,
    *,
    device: torch.device,
    keep: Path,
    start: AudioEncoder | None = None,
) -> AudioEncoder:
    """Train the student.

    Args:
        config: Its architecture.
        spec: Its preprocessing.
        targets: What the teacher says.
        noise: Recorded noise, float32 ``[N]``.
        settings: How long and how fast.
        device: Where it learns.
        keep: Folder of the state that a stopped run goes on from.
        start: An encoder of the same architecture whose weights it begins with.

    Raises:
        CheckpointError: ``keep`` holds the state of another run.
    """
    torch.manual_seed(settings.seed)
    student = AudioEncoder(config, spec)
    if start is not None:
        student.load_state_dict(start.state_dict())
    student.to(device).train()
    head = Head(config.output_width, targets, settings).to(device)
    optimiser = Optimiser(
        [student, head],
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )
    run = _Run(keep / _STATE, _fingerprint(config, spec, settings, targets), student, head, optimiser)
    generator = torch.Generator(device)
    degrade = Degrader(torch.from_numpy(noise).to(device), generator)
    losses: list[float] = []
    for step in tracked(range(run.restore(), settings.steps), "student", settings.steps):
        generator.manual_seed(settings.seed * 1_000_003 + step)
        rng = np.random.default_rng([settings.seed, step])
        samples, values, real = (
            part.to(device) for part in targets.pieces(settings.batch, settings.piece_tokens, rng)
        )
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            tokens = student(degrade(samples))
        losses.append(optimiser.step(head(tokens.float(), values * STEP, real, samples)))
        if (step + 1) % KEEP_EVERY == 0 or step + 1 == settings.steps:
            say(f"student: step {step + 1}, loss {np.mean(losses[-KEEP_EVERY:]):.3f}")
            run.keep()
    return student.cpu().eval()


class Head(nn.Module):
    """Heads that map the student's tokens to the teacher's, and their loss; thrown away afterwards.

    Args:
        width: Of the student's tokens.
        targets: For the spread of the teacher's pieces.
        settings: Length and weight of a piece.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int, targets: Targets, settings: DistillSettings) -> None:
        super().__init__()
        D = targets.values.shape[1]
        self.token = nn.Linear(width, D)
        self.piece = nn.Linear(2 * width, 2 * D)
        self._weight = settings.piece_weight
        rng = np.random.default_rng(settings.seed)
        samples, values, real = targets.pieces(SPREAD_PIECES, settings.piece_tokens, rng)
        spread = pooled(values * STEP, sounding(samples, real))
        self.register_buffer("mean", spread.mean(dim=0))
        self.register_buffer("deviation", spread.std(dim=0).clamp(min=1e-3))

    def forward(self, tokens: Tensor, target: Tensor, real: Tensor, samples: Tensor) -> Tensor:
        """The loss of tokens ``[B, S, W]`` against ``[B, S, D]``; ``samples`` ``[B, N]`` are clean."""
        loss = distance(self.token(tokens), target, real)
        heard = sounding(samples, real)
        enough = heard.sum(dim=1) >= FEWEST_TOKENS
        if not enough.any():
            return loss
        said = self.piece(pooled(tokens[enough], heard[enough]))
        meant = (pooled(target[enough], heard[enough]) - self.mean) / self.deviation
        return loss + self._weight * F.smooth_l1_loss(said, meant)


def sounding(samples: Tensor, real: Tensor) -> Tensor:
    """Mask ``[B, S]`` of the tokens of samples ``[B, N]`` that are real and loud enough in their piece."""
    fields = samples.unfold(1, TOKEN_RECEPTIVE_SAMPLES, TOKEN_HOP_SAMPLES)
    power: Tensor = fields.square().mean(dim=-1)
    loud: Tensor = power > power.amax(dim=1, keepdim=True) * 10.0 ** (-Gate().range_db / 10.0)
    return real & loud


def pooled(tokens: Tensor, heard: Tensor) -> Tensor:
    """Mean and logarithmic deviation ``[B, 2 D]`` of the tokens ``[B, S, D]`` that are heard ``[B, S]``."""
    weights = heard[..., None].to(tokens.dtype)
    count = weights.sum(dim=1).clamp(min=2.0)
    mean = (tokens * weights).sum(dim=1) / count
    variance = ((tokens - mean[:, None]).square() * weights).sum(dim=1) / count
    return torch.cat([mean, 0.5 * torch.log(variance + 1e-4)], dim=1)


def distance(said: Tensor, target: Tensor, real: Tensor) -> Tensor:
    """Of standardised tokens ``[B, S, D]`` over the real ones ``[B, S]``: Huber's, and the angle."""
    huber = F.smooth_l1_loss(said, target, reduction="none").mean(dim=-1)
    angle = 1.0 - F.cosine_similarity(said, target, dim=-1)
    return (huber + COSINE_WEIGHT * angle)[real].mean()


def _fingerprint(config: AudioConfig, spec: Audio, settings: DistillSettings, targets: Targets) -> str:
    digest = hashlib.sha256(msgspec.json.encode([config, spec, settings]))
    digest.update(targets.values[:: max(len(targets.values) // 4096, 1)].tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Run:
    """State of a run on disk."""

    path: Path
    fingerprint: str
    student: nn.Module
    head: nn.Module
    optimiser: Optimiser

    def keep(self) -> None:
        state = self.optimiser.state()
        parts = {
            "student": self.student.state_dict(),
            "head": self.head.state_dict(),
            "optimiser": state.tensors,
        }
        header = {_KEY: self.fingerprint, "progress": msgspec.json.encode(state.progress).decode()}
        write_whole(self.path, save(flatten_parts(parts), metadata=header))

    def restore(self) -> int:
        """Fill everything from a stopped run; return the step to go on from."""
        if not self.path.is_file():
            return 0
        try:
            with safe_open(self.path, framework="pt") as file:
                header = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
        except (SafetensorError, OSError) as error:
            raise CheckpointError(self.path, f"can't be read: {error}") from error
        if header.get(_KEY) != self.fingerprint:
            raise CheckpointError(self.path, "is of another run; give another --out or remove it")
        self.student.load_state_dict(part_of(tensors, "student"))
        self.head.load_state_dict(part_of(tensors, "head"))
        progress = msgspec.json.decode(header["progress"], type=OptimiserProgress)
        self.optimiser.restore(OptimiserState(part_of(tensors, "optimiser"), progress))
        say(f"student: goes on from step {progress.updates}")
        return progress.updates
