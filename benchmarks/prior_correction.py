"""Choose how strongly training is adjusted by the class prior, for macro F1 on Aff-Wild2's class counts.

    python benchmarks/prior_correction.py

Aff-Wild2 itself is under a signed agreement, so only its numbers of labelled frames are real: each class is a
Gaussian around a mean of its own, each recording adds an offset of its own, and the classes have the shares
of the challenge's training and validation sets. Heads of the reference's kind are trained with each strength
of logit adjustment, and with balanced weights, over separations and seeds. Half of the validation recordings
choose the prior correction of the decoding, the other half is scored. Three decodings are compared: none,
strengths from 0 to 1, and from -1 to 1. The result goes to ``benchmarks/results/prior_correction.json``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click
import numpy as np
import torch
from machine import save
from numpy.typing import NDArray
from torch import nn

from emorec_rt.bundle.manifest import Decoding
from emorec_rt.constants import EXPRESSIONS
from emorec_train.evaluation.decoding import STRENGTHS, prior_bias, tune
from emorec_train.evaluation.metrics import score
from emorec_train.model.imbalance import balanced_weights, clip_counts, log_prior
from emorec_train.model.losses import StepLoss
from emorec_train.training.loop import Optimiser, train_steps

TRAIN: Final = (177198, 16573, 10771, 9080, 95463, 78751, 31615, 165866)
VALIDATION: Final = (82258, 6126, 5296, 8408, 34511, 25157, 12332, 106444)
"""Labelled frames of each class, in the order of ``EXPRESSIONS``."""

FRAMES: Final = {"train": 24_000, "validation": 12_000}
RECORDINGS: Final = {"train": 248, "validation": 70}
RUN_FRAMES: Final = 20
"""Frames for which one expression lasts; runs are dealt to recordings."""

WIDTH: Final = 32
OFFSET: Final = 0.6
"""Standard deviation of a recording's offset; that of a frame's noise is 1."""

SEPARATIONS: Final = (0.6, 0.9, 1.2, 1.6)
"""Distance of the class means from their centre: macro F1 from 0.2, a weak model, to 0.5, a strong one."""

ADJUSTMENTS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
OLD_STRENGTHS: Final = tuple(strength for strength in STRENGTHS if strength >= 0.0)
STEPS, BATCH, RATE = 300, 512, 3e-3


@dataclass(frozen=True, slots=True)
class Samples:
    """Frames of a split.

    Attributes:
        features: float32 ``[N, WIDTH]``.
        labels: int64 ``[N]``.
        recordings: int64 ``[N]``, number of each frame's recording.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    recordings: NDArray[np.int64]

    def part(self, chosen: NDArray[np.bool_]) -> Samples:
        """The frames where ``chosen`` is true."""
        return Samples(self.features[chosen], self.labels[chosen], self.recordings[chosen])


def draw(counts: Sequence[int], split: str, means: NDArray[np.float64], rng: np.random.Generator) -> Samples:
    """Frames of a split with the shares of ``counts``."""
    shares = np.array(counts) / sum(counts)
    runs = np.maximum(2, np.round(shares * FRAMES[split] / RUN_FRAMES)).astype(int)
    run_labels = np.repeat(np.arange(len(counts)), runs)
    # A recording has few expressions: every class lives in some of the recordings only.
    recordings = RECORDINGS[split]
    homes = [rng.choice(recordings, max(2, recordings * count // 600)) for count in runs]
    run_recordings = np.array([rng.choice(homes[label]) for label in run_labels])
    labels, places = np.repeat(run_labels, RUN_FRAMES), np.repeat(run_recordings, RUN_FRAMES)
    offsets = rng.normal(0.0, OFFSET, (recordings, WIDTH))
    noise = rng.normal(size=(len(labels), WIDTH))
    features = means[labels] + offsets[places] + noise
    return Samples(features.astype(np.float32), labels, places)


def head(train: Samples, loss: StepLoss, seed: int) -> nn.Module:
    """Train a head of the reference's kind."""
    torch.manual_seed(seed)
    classes = len(EXPRESSIONS)
    model = nn.Sequential(nn.Linear(WIDTH, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, classes))
    features, labels = torch.from_numpy(train.features), torch.from_numpy(train.labels)
    optimiser = Optimiser([model], steps=STEPS, learning_rate=RATE, weight_decay=0.01)
    batches = torch.randint(len(labels), (STEPS, BATCH), generator=torch.Generator().manual_seed(seed))
    train_steps(
        range(STEPS), optimiser, lambda step: loss(model(features[batches[step]]), labels[batches[step]])
    )
    return model.eval()


def decoded_scores(model: nn.Module, train: Samples, validation: Samples) -> dict[str, float]:
    """Macro F1 on half of the recordings: plain, and with a correction that the other half chose."""
    counts = np.bincount(train.labels, minlength=len(EXPRESSIONS))
    tuning = validation.part(validation.recordings % 2 == 0)
    scored = validation.part(validation.recordings % 2 == 1)

    def macro_f1(samples: Samples, bias: Sequence[float]) -> float:
        with torch.inference_mode():
            logits = model(torch.from_numpy(samples.features)).numpy()
        labels = (logits + np.asarray(bias or 0.0)).argmax(axis=1)
        return score(samples.labels, labels, EXPRESSIONS).macro_f1

    def tuned(strengths: Sequence[float]) -> float:
        def score_of(decoding: Decoding) -> float:
            return macro_f1(tuning, decoding.logit_bias)

        found = tune(score_of, counts, smoothing_seconds=(0.0,), strengths=strengths)
        return macro_f1(scored, prior_bias(counts, found.strength))

    return {"plain": macro_f1(scored, ()), "0 to 1": tuned(OLD_STRENGTHS), "-1 to 1": tuned(STRENGTHS)}


def losses(train: Samples) -> Iterator[tuple[str, StepLoss]]:
    """Each loss that is compared."""
    classes, labels = len(EXPRESSIONS), torch.from_numpy(train.labels)
    prior = log_prior(torch.bincount(labels, minlength=classes))
    for strength in ADJUSTMENTS:
        yield f"adjustment {strength:g}", StepLoss(0.1, offsets=strength * prior if strength else None)
    recordings = [labels[train.recordings == number] for number in range(RECORDINGS["train"])]
    yield "balanced weights", StepLoss(0.1, balanced_weights(clip_counts(recordings, classes)))


def measure(seeds: int, separations: Sequence[float]) -> dict[str, Any]:
    """Mean macro F1 of each loss and decoding, over separations and seeds."""
    rows: dict[str, dict[str, list[float]]] = {}
    by_separation: dict[str, dict[str, float]] = {}
    for separation in separations:
        own: dict[str, list[float]] = {}
        for seed in range(seeds):
            rng = np.random.default_rng([seed, round(100 * separation)])
            directions = rng.normal(size=(len(EXPRESSIONS), WIDTH))
            means = separation * directions / np.linalg.norm(directions, axis=1, keepdims=True)
            means *= np.sqrt(2.0)
            train, validation = draw(TRAIN, "train", means, rng), draw(VALIDATION, "validation", means, rng)
            for name, loss in losses(train):
                scores = decoded_scores(head(train, loss, seed), train, validation)
                for decoding, value in scores.items():
                    rows.setdefault(name, {}).setdefault(decoding, []).append(value)
                own.setdefault(name, []).append(scores["-1 to 1"])
        by_separation[f"{separation:g}"] = {name: round(float(np.mean(v)), 4) for name, v in own.items()}
    means_of = {
        name: {decoding: round(float(np.mean(values)), 4) for decoding, values in own.items()}
        for name, own in rows.items()
    }
    adjusted = {name: own["-1 to 1"] for name, own in means_of.items() if name.startswith("adjustment")}
    return {
        "seeds": seeds,
        "separations": list(separations),
        "macro_f1": means_of,
        "tuned_by_separation": by_separation,
        "best": max(adjusted, key=lambda name: adjusted[name]),
    }


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--quick", is_flag=True, help="One seed and separation; nothing is saved.")
def main(seeds: int, quick: bool) -> None:
    """Measure, print, save."""
    result = measure(1, SEPARATIONS[1:2]) if quick else measure(seeds, SEPARATIONS)
    click.echo(f"{'macro F1':<20}{'plain':>10}{'0 to 1':>10}{'-1 to 1':>10}")
    for name, own in result["macro_f1"].items():
        click.echo(f"{name:<20}" + "".join(f"{value:>10.4f}" for value in own.values()))
    click.echo(f"best: {result['best']}")
    if not quick:
        click.echo(f"saved {save('prior_correction', result)}")


if __name__ == "__main__":
    main()
