"""Does the audio encoder hear emotion in real voices? RAVDESS and nEMO, speakers held out, against chance.

    EMOREC_TEST_MEDIA=... python benchmarks/sound.py

The demo preset's audio encoder starts from random weights, learns from the project's synthetic voices as
``train/run.py`` has it learn, and is frozen. On mean and deviation of a real clip's tokens a linear
classifier is trained, fold after fold, from the clips of all speakers but some; it names one emotion for each
clip of the speakers that it has never heard. The figure is the unweighted average recall over all clips, with
a 95 % interval from 10,000 resamples of whole speakers; beside it stands the same encoder untrained.
Nothing of the recordings is kept; the figures go to ``benchmarks/results/sound.json``.
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
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.media.types import Samples
from emorec_train.console import tracked
from emorec_train.data.dataset_clips import DatasetClips
from emorec_train.data.datasets import ClipRecord, check_disjoint, k_folds
from emorec_train.data.labels import ClipLabels
from emorec_train.data.synthetic import ClipPlan, ClipSpec, clip_seeds, plan_clip
from emorec_train.features.crops import CroppedClip, crop_clips
from emorec_train.model.audio import AudioEncoder
from emorec_train.settings.presets import DEMO
from emorec_train.training.pretrain import train_audio

SETS = ("RAVDESS", "nEMO")
GENERATED_CLIPS = 200
STRENGTH = 0.05
"""Inverse regularisation of the classifier: there are more features than clips."""

RESAMPLES = 10_000
INTERVAL = (2.5, 97.5)


Features = NDArray[np.float32]


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


def synthetic_voices(count: int) -> list[CroppedClip]:
    """The sound of generated clips."""
    spec = ClipSpec(seconds=DEMO.clip_seconds)
    return [_heard(plan_clip(seed, spec)) for seed in tracked(clip_seeds("train", count), "voices", count)]


def _heard(plan: ClipPlan) -> CroppedClip:
    return CroppedClip(
        clip_id=str(plan.seed),
        frame_times_seconds=np.zeros(0),
        crops=np.zeros((0, 1, 1, 3), np.uint8),
        found=np.zeros(0, np.bool_),
        samples=(Samples(0.0, plan.pcm),),
        truth=ClipLabels(plan.labels, plan.times_seconds),
    )


def train(encoder: AudioEncoder, steps: int, count: int, seed: int) -> None:
    """Have the encoder learn from synthetic voices, as the demo preset does."""
    settings = msgspec.structs.replace(DEMO.audio, steps=steps)
    spec = DEMO.model.preprocessing.audio
    train_audio(encoder, spec, len(EXPRESSIONS), synthetic_voices(count), settings, seed)


@torch.inference_mode()
def describe(encoder: AudioEncoder, clip: CroppedClip) -> Features:
    """Mean and deviation of a clip's tokens, float32 ``[2 * Da]``."""
    pcm = torch.from_numpy(np.concatenate([block.pcm for block in clip.samples]))
    tokens = encoder.eval()(pcm[None])[0]
    return torch.cat([tokens.mean(dim=0), tokens.std(dim=0)]).numpy()


def cross_validate(
    records: Sequence[ClipRecord], features: dict[str, Features], folds: int, seed: int
) -> list[str]:
    """Each clip's label, by a classifier that never heard its speaker."""
    predicted: dict[str, str] = {}
    for fold in k_folds(records, folds, seed=seed):
        check_disjoint({"train": fold.train, "test": fold.validation}, sound=False)
        classifier = make_pipeline(
            StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=1000, class_weight="balanced")
        )
        classifier.fit([features[one.clip_id] for one in fold.train], [one.label for one in fold.train])
        named = classifier.predict([features[one.clip_id] for one in fold.validation])
        predicted |= {one.clip_id: str(label) for one, label in zip(fold.validation, named, strict=True)}
    return [predicted[record.clip_id] for record in records]


def average_recall(truth: NDArray[np.str_], predicted: NDArray[np.str_]) -> float:
    """Mean over the classes that occur of the share of their clips that are right."""
    return float(np.mean([np.mean(predicted[truth == label] == label) for label in np.unique(truth)]))


def interval(
    truth: NDArray[np.str_], predicted: NDArray[np.str_], speakers: Sequence[str | None], seed: int
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


def score(
    records: Sequence[ClipRecord], features: dict[str, Features], folds: int, seed: int
) -> dict[str, Any]:
    """Average recall, its interval, and the recall of each label."""
    truth = np.array([str(record.label) for record in records])
    predicted = np.array(cross_validate(records, features, folds, seed))
    low, high = interval(truth, predicted, [record.speaker for record in records], seed)
    recalls = {label: np.mean(predicted[truth == label] == label) for label in EXPRESSIONS if label in truth}
    return {
        "average_recall": round(average_recall(truth, predicted), 4),
        "interval_95": [round(low, 4), round(high, 4)],
        "recall": {label: round(float(value), 3) for label, value in recalls.items()},
    }


def measure(media: Path, folds: int, steps: int, count: int, seed: int) -> dict[str, Any]:
    """Decode, train, score; the untrained encoder first."""
    started, records = time.perf_counter(), read_clips(media)
    labels = tuple(label for label in EXPRESSIONS if any(record.label == label for record in records))
    source = DatasetClips(labels, {record.clip_id: record for record in records}, {})
    torch.manual_seed(seed)
    encoder = AudioEncoder(DEMO.model.audio, DEMO.model.preprocessing.audio)
    with tempfile.TemporaryDirectory(prefix="emorec-sound-") as scratch:
        spec = DEMO.model.preprocessing.vision
        clips = list(crop_clips(source, list(source.records), spec, Path(scratch), workers=1))
    untrained = {clip.clip_id: describe(encoder, clip) for clip in clips}
    train(encoder, steps, count, seed)
    trained = {clip.clip_id: describe(encoder, clip) for clip in clips}
    return {
        "clips": len(records),
        "speakers": len({record.speaker for record in records}),
        "folds": folds,
        "steps": steps,
        "seed": seed,
        "chance": round(1 / len(labels), 4),
        **score(records, trained, folds, seed),
        "untrained": score(records, untrained, folds, seed),
        "seconds": round(time.perf_counter() - started, 1),
    }


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--folds", type=click.IntRange(min=2), default=4, show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=DEMO.audio.steps, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--quick", is_flag=True, help="A few steps, to try it out; nothing is saved.")
def main(folds: int, steps: int, seed: int, quick: bool) -> None:
    """Measure, print, save; exit with 1 where the interval reaches down to chance."""
    media = os.environ.get("EMOREC_TEST_MEDIA")
    if not media:
        raise click.UsageError("EMOREC_TEST_MEDIA names no folder of real media")
    if quick:
        steps = 5
    result = measure(Path(media).resolve(), folds, steps, 5 if quick else GENERATED_CLIPS, seed)
    low, high = result["interval_95"]
    click.echo(
        f"unweighted average recall {result['average_recall']:.3f} (95 % interval {low:.3f} to {high:.3f}), "
        f"chance {result['chance']:.3f}; {result['clips']} clips of {result['speakers']} speakers"
    )
    click.echo(f"before the encoder has learnt anything: {result['untrained']['average_recall']:.3f}")
    click.echo("  ".join(f"{label} {value:.2f}" for label, value in result["recall"].items()))
    if quick:
        return
    click.echo(f"saved {save('sound', result)}")
    if low <= result["chance"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
