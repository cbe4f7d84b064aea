"""Does the audio encoder learn emotion from real voices? RAVDESS and nEMO, speakers held out, against chance.

    EMOREC_TEST_MEDIA=... python benchmarks/sound.py

The demo preset's audio encoder starts from random weights and learns, fold after fold, from the clips of all
speakers but some; then it names one emotion for each clip of the speakers that it has never heard. Decoding,
sampling and optimiser are those of ``train/run.py``; as there is one label a clip, mean and deviation of a
clip's tokens go to one linear head. The figure is the unweighted average recall over all clips, with a 95 %
interval from 10,000 resamples of whole speakers. Nothing of the recordings is kept; the figures go to
``benchmarks/results/sound.json``.
"""

from __future__ import annotations

import csv
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
import torch
from machine import save
from numpy.typing import NDArray
from torch import Tensor, nn

from emorec_rt.signal import EXPRESSIONS
from emorec_train.dataset_clips import DatasetClips
from emorec_train.datasets import ClipRecord, check_disjoint, k_folds
from emorec_train.labels import IGNORED
from emorec_train.loop import Optimiser, train_steps
from emorec_train.model.audio import AudioEncoder
from emorec_train.presets import DEMO
from emorec_train.pretrain import ChunkSampler
from emorec_train.progress import tracked
from emorec_train.records import CroppedClip, crop_clips

SETS = ("RAVDESS", "nEMO")
STEPS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 300, 8, 1e-3, 0.05
RESAMPLES = 10_000
INTERVAL = (2.5, 97.5)


class Voice(nn.Module):
    """The demo preset's audio encoder under one linear head for a whole clip.

    Args:
        classes: Logits.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        config = msgspec.structs.replace(DEMO.model.audio, dropout=0.0)
        self.encoder = AudioEncoder(config, DEMO.model.preprocessing.audio)
        self.head = nn.Linear(2 * config.width, classes)

    def forward(self, samples: Tensor, heard: Tensor) -> Tensor:
        """Sound ``[B, N]`` and which of its tokens are no padding, ``[B, S]``, to logits ``[B, C]``."""
        tokens, weight = self.encoder(samples).float(), heard.float()[..., None]
        count = weight.sum(dim=1).clamp(min=1.0)
        mean = (tokens * weight).sum(dim=1) / count
        square = ((tokens - mean[:, None]).square() * weight).sum(dim=1) / count
        logits: Tensor = self.head(torch.cat([mean, (square + 1e-5).sqrt()], dim=1))
        return logits


def read_clips(media: Path) -> list[ClipRecord]:
    """Labelled sound of the two sets; RAVDESS's "calm" is none of the eight expressions."""
    with (media / "labelled" / "labels.csv").open(newline="", encoding="utf-8") as file:
        return [
            ClipRecord(
                row["file"], speaker=row["speaker"], label=row["label_8class"], sound=media / row["file"]
            )
            for row in csv.DictReader(file)
            if row["dataset"] in SETS and row["label_8class"] in EXPRESSIONS
        ]


def train(clips: Sequence[CroppedClip], classes: int, steps: int, seed: int) -> Voice:
    """Learn from random chunks of clips."""
    torch.manual_seed(seed)
    rng, voice = np.random.default_rng(seed), Voice(classes)
    sampler = ChunkSampler(clips, DEMO.model.preprocessing.audio)
    optimiser = Optimiser([voice], steps=steps, learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    def loss_of(_step: int) -> Tensor:
        samples, labels = sampler.draw(BATCH, rng)  # padding has no label
        with torch.autocast("cpu", torch.bfloat16):
            logits = voice(samples, labels != IGNORED)
        return nn.functional.cross_entropy(logits.float(), labels.amax(dim=1), ignore_index=IGNORED)

    voice.train()
    train_steps(tracked(range(steps), "audio encoder", steps), optimiser, loss_of)
    return voice.eval()


@torch.inference_mode()
def predict(voice: Voice, clip: CroppedClip) -> int:
    """The class of a clip, from all of its sound at once."""
    pcm = torch.from_numpy(np.concatenate([block.pcm for block in clip.samples]))[None]
    tokens = voice.encoder(pcm).shape[1]
    return int(voice(pcm, torch.ones(1, tokens)).argmax())


def cross_validate(
    records: Sequence[ClipRecord],
    clips: dict[str, CroppedClip],
    classes: int,
    folds: int,
    steps: int,
    seed: int,
) -> dict[str, int]:
    """Each clip's class, by an encoder that never heard its speaker."""
    predicted: dict[str, int] = {}
    for fold in k_folds(records, folds, seed=seed):
        check_disjoint({"train": fold.train, "test": fold.validation}, sound=False)
        voice = train([clips[record.clip_id] for record in fold.train], classes, steps, seed)
        predicted |= {record.clip_id: predict(voice, clips[record.clip_id]) for record in fold.validation}
    return predicted


def average_recall(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Mean over the classes that occur of the share of their clips that are right."""
    return float(np.mean([np.mean(predicted[truth == label] == label) for label in np.unique(truth)]))


def interval(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], speakers: Sequence[str | None], seed: int
) -> tuple[float, float]:
    """Percentiles of the average recall when whole speakers are drawn again, with replacement."""
    rng = np.random.default_rng(seed)
    of_speaker = [
        np.flatnonzero(np.array(speakers) == speaker) for speaker in sorted(map(str, set(speakers)))
    ]
    recalls = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([of_speaker[k] for k in rng.integers(len(of_speaker), size=len(of_speaker))])
        recalls.append(average_recall(truth[drawn], predicted[drawn]))
    low, high = np.percentile(recalls, INTERVAL)
    return float(low), float(high)


def measure(media: Path, folds: int, steps: int, seed: int) -> dict[str, Any]:
    """Decode, train and predict fold after fold, score."""
    started, records = time.perf_counter(), read_clips(media)
    labels = tuple(label for label in EXPRESSIONS if any(record.label == label for record in records))
    source = DatasetClips(labels, {record.clip_id: record for record in records}, {})
    with tempfile.TemporaryDirectory(prefix="emorec-sound-") as scratch:
        ids, spec = list(source.records), DEMO.model.preprocessing.vision
        clips = {clip.clip_id: clip for clip in crop_clips(source, ids, spec, Path(scratch), workers=1)}
        predicted = cross_validate(records, clips, len(labels), folds, steps, seed)
    truth = np.array([labels.index(str(record.label)) for record in records])
    guesses = np.array([predicted[record.clip_id] for record in records])
    speakers = [record.speaker for record in records]
    low, high = interval(truth, guesses, speakers, seed)
    recalls = {label: np.mean(guesses[truth == k] == k) for k, label in enumerate(labels)}
    return {
        "clips": len(records),
        "speakers": len(set(speakers)),
        "folds": folds,
        "steps": steps,
        "seed": seed,
        "seconds": round(time.perf_counter() - started, 1),
        "average_recall": round(average_recall(truth, guesses), 4),
        "interval_95": [round(low, 4), round(high, 4)],
        "chance": round(1 / len(labels), 4),
        "recall": {label: round(float(value), 3) for label, value in recalls.items()},
    }


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--folds", type=click.IntRange(min=2), default=4, show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=STEPS, show_default=True, help="Of each fold.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--quick", is_flag=True, help="Two folds of a few steps, to try it out; nothing is saved.")
def main(folds: int, steps: int, seed: int, quick: bool) -> None:
    """Measure, print, save; exit with 1 where the interval reaches down to chance."""
    media = os.environ.get("EMOREC_TEST_MEDIA")
    if not media:
        raise click.UsageError("EMOREC_TEST_MEDIA names no folder of real media")
    if quick:
        folds, steps = 2, 5
    result = measure(Path(media).resolve(), folds, steps, seed)
    low, high = result["interval_95"]
    click.echo(
        f"unweighted average recall {result['average_recall']:.3f} (95 % interval {low:.3f} to {high:.3f}), "
        f"chance {result['chance']:.3f}; {result['clips']} clips of {result['speakers']} speakers"
    )
    click.echo("  ".join(f"{label} {value:.2f}" for label, value in result["recall"].items()))
    if quick:
        return
    click.echo(f"saved {save('sound', result)}")
    if low <= result["chance"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
