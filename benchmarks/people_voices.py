"""The sound encoder of people: EMO-DB by folds of speakers, RAVDESS and nEMO never learnt from.

    EMOREC_TEST_MEDIA=... python benchmarks/people_voices.py --encoder runs/voices --data ../data

A linear classifier on mean and logarithmic deviation of a clip's tokens names one of six emotions. Tokens
pass the gate and the running normalisation of the runtime; a speaker's clips come one after another, in five
random orders, and each is judged by what was heard up to its end. Beside that: without normalisation; once
10 s of the speaker were heard; and the worst case, in which each speaker shows one emotion throughout.
Figures are unweighted average recalls with 95 % intervals from resampled speakers.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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

from emorec_rt.bundle.manifest import Statistics
from emorec_rt.constants import SAMPLE_RATE_HZ, TOKEN_HOP_SAMPLES, TOKEN_RECEPTIVE_SAMPLES
from emorec_rt.windows.gate import LevelGate, token_levels
from emorec_rt.windows.running import RunningNorm
from emorec_train.console import tracked
from emorec_train.data.recordings import FULL_SCALE, decode, read_voices
from emorec_train.model.audio import AudioEncoder
from emorec_train.model.sound_folder import SoundEncoderFile, read_sound_encoder

LABELS = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness")
STRENGTH = 0.03
"""Inverse regularisation of the classifier: there are more features than speakers to tell them apart."""

ORDERS = 5
HEARD_SECONDS = 10.0
RESAMPLES = 2000
SMALLEST_DEVIATION = 1e-3


@dataclass
class Clip:
    """An utterance past the encoder.

    Attributes:
        corpus: Where it is from.
        speaker: Who speaks.
        label: What is acted.
        fold: Of EMO-DB.
        seconds: Its length.
        tokens: float32 ``[S, D]``.
        levels_dbfs: float32 ``[S]``.
    """

    corpus: str
    speaker: str
    label: str
    fold: int
    seconds: float
    tokens: NDArray[np.float32] = field(repr=False)
    levels_dbfs: NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True)
class Hearing:
    """Ways to hear clips: the statistics that are used, and the length of a track.

    Attributes:
        statistics: ``None`` takes the tokens as they are.
        track: Clips with the same key come one after another; the statistics begin anew with each key.
    """

    statistics: Statistics | None
    track: Callable[[Clip], object] = lambda clip: (clip.corpus, clip.speaker)


@torch.inference_mode()
def encode(encoder: AudioEncoder, path: Path, corpus: str, speaker: str, label: str, fold: int = -1) -> Clip:
    """Decode and encode one utterance."""
    samples = np.asarray(decode(path) / FULL_SCALE, np.float32)
    count = (len(samples) - TOKEN_RECEPTIVE_SAMPLES) // TOKEN_HOP_SAMPLES + 1
    tokens = encoder(torch.from_numpy(samples)[None])[0, :count].numpy()
    levels = token_levels(samples, 0, count)
    return Clip(corpus, speaker, label, fold, len(samples) / SAMPLE_RATE_HZ, tokens, levels)


def read_clips(encoder: AudioEncoder, data: Path, media: Path | None) -> list[Clip]:
    """All utterances with one of the six labels."""
    voices = [one for one in read_voices(data / "voices") if one.label in LABELS]
    tasks = [(one.path, "EMO-DB", one.speaker, one.label, one.fold) for one in voices]
    if media is not None:
        with (media / "labelled" / "labels.csv").open(newline="", encoding="utf-8") as file:
            tasks += [
                (media / row["file"], row["dataset"], row["speaker"], row["label_8class"], -1)
                for row in csv.DictReader(file)
                if row["dataset"] in {"RAVDESS", "nEMO"} and row["label_8class"] in LABELS
            ]
    return [encode(encoder, *task) for task in tracked(tasks, "utterances", len(tasks))]


def hear(
    clips: Sequence[Clip], file: SoundEncoderFile, hearing: Hearing, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Features of clips ``[N, 2 D]`` and seconds of the track that were heard before each ``[N]``."""
    features = np.zeros((len(clips), 2 * file.audio.width), np.float32)
    before = np.zeros(len(clips))
    tracks: dict[object, list[int]] = {}
    for index in np.random.default_rng(seed).permutation(len(clips)).tolist():
        tracks.setdefault(hearing.track(clips[index]), []).append(index)
    for indices in tracks.values():
        gate = None if file.preprocessing.gate is None else LevelGate(file.preprocessing.gate)
        norm = None if hearing.statistics is None else RunningNorm(hearing.statistics)
        heard = 0.0
        for index in indices:
            features[index] = _pooled(clips[index], gate, norm)
            before[index], heard = heard, heard + clips[index].seconds
    return features, before


def _pooled(clip: Clip, gate: LevelGate | None, norm: RunningNorm | None) -> NDArray[np.float32]:
    tokens = clip.tokens
    if gate is not None:
        gate.add(clip.levels_dbfs)
        opened = gate.open(clip.levels_dbfs)
        tokens = tokens[opened] if opened.any() else tokens
    if norm is not None:
        norm.add(tokens)
        tokens = norm.apply(tokens)
    return np.concatenate([tokens.mean(axis=0), np.log(tokens.std(axis=0) + SMALLEST_DEVIATION)])


def fit(features: NDArray[np.float32], labels: NDArray[np.str_]) -> Any:
    """A linear classifier."""
    classifier = LogisticRegression(C=STRENGTH, max_iter=1000, class_weight="balanced")
    return make_pipeline(StandardScaler(), classifier).fit(features, labels)


def scored(
    clips: Sequence[Clip], said: Sequence[NDArray[np.str_]], chosen: Sequence[NDArray[np.bool_]]
) -> dict[str, Any]:
    """Unweighted average recall over all orders, with an interval by resampled speakers.

    Args:
        clips: Of one corpus.
        said: Labels, for each order.
        chosen: Which clips count, for each order.
    """
    names = sorted({clip.speaker for clip in clips})
    counts = np.zeros((2, len(names), len(LABELS)))  # right, all
    for order, mask in zip(said, chosen, strict=True):
        for clip, label, counted in zip(clips, order.tolist(), mask.tolist(), strict=True):
            place = names.index(clip.speaker), LABELS.index(clip.label)
            counts[0][place] += counted and label == clip.label
            counts[1][place] += counted
    rng = np.random.default_rng(0)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    low, high = np.percentile(_average_recall(draws @ counts[0], draws @ counts[1]), (2.5, 97.5))
    value = _average_recall(counts[0].sum(axis=0), counts[1].sum(axis=0))
    return {
        "average_recall": round(float(value), 3),
        "interval_95": [round(float(low), 3), round(float(high), 3)],
    }


def _average_recall(right: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the classes that occur, of counts ``[..., C]``."""
    recalls = np.where(of > 0, right / np.maximum(of, 1), np.nan)
    return np.asarray(np.nanmean(recalls, axis=-1))


def judge(clips: Sequence[Clip], file: SoundEncoderFile, learnt: Hearing, judged: Hearing) -> dict[str, Any]:
    """Every corpus, with classifiers that never heard its speakers.

    Args:
        clips: Of all corpora.
        file: The encoder's description.
        learnt: How the classifier's clips are heard.
        judged: How the judged ones are.
    """
    corpora = sorted({clip.corpus for clip in clips})
    rows = {name: np.array([k for k, clip in enumerate(clips) if clip.corpus == name]) for name in corpora}
    labels = np.array([clip.label for clip in clips])
    folds = np.array([clip.fold for clip in clips])
    said: dict[str, list[NDArray[np.str_]]] = {name: [] for name in corpora}
    late: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in corpora}
    own = rows["EMO-DB"]
    for seed in range(ORDERS):
        training, _ = hear(clips, file, learnt, seed)
        features, before = hear(clips, file, judged, seed + ORDERS)
        whole = fit(training[own], labels[own])
        for name in corpora:
            predicted = whole.predict(features[rows[name]])
            if name == "EMO-DB":
                for fold in np.unique(folds[own]):
                    part = fit(training[own[folds[own] != fold]], labels[own[folds[own] != fold]])
                    predicted[folds[own] == fold] = part.predict(features[own[folds[own] == fold]])
            said[name].append(predicted)
            late[name].append(before[rows[name]] >= HEARD_SECONDS)
    results: dict[str, Any] = {}
    for name in corpora:
        own_clips = [clips[k] for k in rows[name]]
        results[name] = {
            "clips": len(own_clips),
            "speakers": len({clip.speaker for clip in own_clips}),
            "from_the_first": scored(own_clips, said[name], [np.ones(len(own_clips), np.bool_)] * ORDERS),
        }
        if all(mask.any() for mask in late[name]):
            results[name]["after_10_s"] = scored(own_clips, said[name], late[name])
    return results


def measure(folder: Path, data: Path, media: Path | None) -> dict[str, Any]:
    """All conditions for one encoder."""
    encoder, file = read_sound_encoder(folder)
    clips = read_clips(encoder, data, media)
    running, plain = Hearing(file.statistics), Hearing(None)
    one_mood = Hearing(file.statistics, lambda clip: (clip.corpus, clip.speaker, clip.label))
    return {
        "labels": LABELS,
        "parameters": sum(parameter.numel() for parameter in encoder.parameters()),
        "chance": round(1 / len(LABELS), 3),
        "statistics": {
            "prior_count": file.statistics.prior_count,
            "memory_count": file.statistics.memory_count,
        },
        "normalised": judge(clips, file, running, running),
        "as_they_are": judge(clips, file, plain, plain),
        "one_emotion_throughout": judge(clips, file, running, one_mood),
        "training": file.training,
    }


def lines(result: dict[str, Any]) -> list[str]:
    """A table for a person."""
    table = [f"{'':24}{'corpus':10}{'from the first clip':>26}{'after 10 s':>26}"]
    for condition in ("normalised", "as_they_are", "one_emotion_throughout"):
        for corpus, entry in result[condition].items():
            cells = [_cell(entry.get(key)) for key in ("from_the_first", "after_10_s")]
            table.append(f"{condition:24}{corpus:10}" + "".join(f"{cell:>26}" for cell in cells))
    return table


def _cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "-"
    low, high = entry["interval_95"]
    return f"{entry['average_recall']:.3f} ({low:.3f} to {high:.3f})"


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--encoder", type=click.Path(path_type=Path), required=True, help="Folder of train/voices.py.")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder with voices.")
@click.option("--out", default="people_voices", show_default=True, help="Name of the result; empty for none.")
def main(encoder: Path, data: Path, out: str) -> None:
    """Measure, print, save."""
    media = os.environ.get("EMOREC_TEST_MEDIA")
    result = measure(encoder, data, Path(media).resolve() if media else None)
    click.echo("\n".join(lines(result)))
    if out:
        click.echo(f"saved {save(out, msgspec.to_builtins(result))}")


if __name__ == "__main__":
    main()
