"""Does training learn emotion from real voices? RAVDESS and nEMO, speakers held out, against chance.

    EMOREC_TEST_MEDIA=... python benchmarks/sound.py

The small audio encoder of the demo preset starts from random weights and is trained by ``train/run.py`` on
the clips of all speakers but some, fold after fold; the checkpoint then names one emotion for each clip of the
speakers that it has never heard. The figure is the unweighted average recall over all clips, with a 95 %
interval from 10,000 resamples of whole speakers. Nothing of the recordings is kept; the figures go to
``benchmarks/results/sound.json``.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from machine import save
from numpy.typing import NDArray

from emorec_rt.decode import Stitcher
from emorec_rt.signal import EXPRESSIONS
from emorec_train.clips import Split
from emorec_train.datasets import ClipRecord, k_folds

ROOT = Path(__file__).resolve().parents[1]
SETS = ("RAVDESS", "nEMO")
RESAMPLES = 10_000
INTERVAL = (2.5, 97.5)


def read_clips(media: Path) -> list[ClipRecord]:
    """Labelled sound of the two sets; RAVDESS's "calm" is none of the eight expressions."""
    table = media / "labelled" / "labels.csv"
    with table.open(newline="", encoding="utf-8") as file:
        return [
            ClipRecord(
                row["file"], speaker=row["speaker"], label=row["label_8class"], sound=media / row["file"]
            )
            for row in csv.DictReader(file)
            if row["dataset"] in SETS and row["label_8class"] in EXPRESSIONS
        ]


def write_manifest(path: Path, train: Sequence[ClipRecord], test: Sequence[ClipRecord], seed: int) -> None:
    """A fold as ``--data csv:`` takes it; some of the training speakers choose the epoch."""
    inner = k_folds(train, 6, seed=seed)[0]
    splits: dict[Split, Sequence[ClipRecord]] = {
        "train": inner.train,
        "validation": inner.validation,
        "test": test,
    }
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "split", "speaker"])
        for split, records in splits.items():
            rows.writerows([record.sound, record.label, split, record.speaker] for record in records)


def train_fold(folder: Path, manifest: Path, seed: int, effort: float) -> Path:
    """Run the training program; returns the checkpoint."""
    out = folder / manifest.stem
    command = [str(ROOT / "train" / "run.py"), "--data", f"csv:{manifest}", "--out", str(out)]
    subprocess.run(
        [sys.executable, *command, "--seed", str(seed), "--effort", str(effort)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return out


def predict(checkpoint_folder: Path, manifest: Path) -> dict[str, str]:
    """One label for each test clip: the class with the highest mean logit."""
    from emorec_train.dataset_clips import DataRequest, open_clips
    from emorec_train.evaluate import window_logits
    from emorec_train.extraction import extract
    from emorec_train.features import stack_windows
    from emorec_train.model.build import Models
    from emorec_train.model.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(checkpoint_folder)
    models = Models(checkpoint.vision, checkpoint.audio, checkpoint.fusion)
    labels, spec = checkpoint.config.labels, checkpoint.config.preprocessing
    clips = open_clips(DataRequest((f"csv:{manifest}",), labels), workers=1)
    predicted = {}
    for clip in extract(clips, clips.clip_ids("test"), spec, models, workers=1):
        logits = window_logits(models.fusion, stack_windows([clip]))
        stitcher = Stitcher(spec.window.steps)
        steps = [stitcher.add(window, own).logits for window, own in zip(clip.windows, logits, strict=True)]
        predicted[clip.clip_id.removeprefix("csv:")] = labels[
            int(np.concatenate(steps).mean(axis=0).argmax())
        ]
    return predicted


def average_recall(truth: NDArray[np.str_], predicted: NDArray[np.str_]) -> float:
    """Mean over the classes that occur of the share of their clips that are right."""
    return float(np.mean([np.mean(predicted[truth == label] == label) for label in np.unique(truth)]))


def interval(
    truth: NDArray[np.str_], predicted: NDArray[np.str_], speakers: NDArray[np.str_], seed: int
) -> tuple[float, float]:
    """Percentiles of the average recall when whole speakers are drawn again, with replacement."""
    rng = np.random.default_rng(seed)
    of_speaker = [np.flatnonzero(speakers == speaker) for speaker in np.unique(speakers)]
    recalls = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([of_speaker[k] for k in rng.integers(len(of_speaker), size=len(of_speaker))])
        recalls.append(average_recall(truth[drawn], predicted[drawn]))
    low, high = np.percentile(recalls, INTERVAL)
    return float(low), float(high)


def measure(media: Path, folds: int, seed: int, effort: float) -> dict[str, Any]:
    """Train and predict fold after fold."""
    records = read_clips(media)
    predicted: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="emorec-sound-") as scratch:
        for number, fold in enumerate(k_folds(records, folds, seed=seed)):
            manifest = Path(scratch) / f"fold{number}.csv"
            write_manifest(manifest, fold.train, fold.validation, seed)
            predicted |= predict(train_fold(Path(scratch), manifest, seed, effort), manifest)
    truth = np.array([record.label for record in records])
    guesses = np.array([predicted[str(record.sound)] for record in records])
    speakers = np.array([record.speaker for record in records])
    low, high = interval(truth, guesses, speakers, seed)
    return {
        "clips": len(records),
        "speakers": len(np.unique(speakers)),
        "folds": folds,
        "seed": seed,
        "effort": effort,
        "average_recall": round(average_recall(truth, guesses), 4),
        "interval_95": [round(low, 4), round(high, 4)],
        "chance": round(1 / len(np.unique(truth)), 4),
        "recall": {
            label: round(float(np.mean(guesses[truth == label] == label)), 3)
            for label in EXPRESSIONS
            if label in truth
        },
    }


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--folds", type=click.IntRange(min=2), default=4, show_default=True)
@click.option("--effort", type=float, default=1.0, show_default=True, help="Factor on the training steps.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--quick", is_flag=True, help="Two folds and hardly any training, to try it out; nothing is saved."
)
def main(folds: int, effort: float, seed: int, quick: bool) -> None:
    """Measure, print, save; exit with 1 where the interval reaches down to chance."""
    media = os.environ.get("EMOREC_TEST_MEDIA")
    if not media:
        raise click.UsageError("EMOREC_TEST_MEDIA names no folder of real media")
    result = measure(Path(media).resolve(), *((2, seed, 0.02) if quick else (folds, seed, effort)))
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
