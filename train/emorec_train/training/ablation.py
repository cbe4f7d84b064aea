"""Ablation: the same training without each part of the model in turn, over several seeds.

Shared by all variants and seeds: the clips, the encoders (trained once, or pretrained), their features, the
class texts. Each variant and seed trains a fusion of its own; with one seed, all variants see the same
windows in the same order. The variants of two streams have the same number of parameters. The epoch is chosen
on the validation split, and so are smoothing and prior correction; the test split is only scored.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from scipy import stats
from torch import Tensor

from emorec_rt.bundle.manifest import Decoding
from emorec_rt.errors import OutputError, UsageError
from emorec_rt.files import write_whole
from emorec_train.console import Stopwatch, say
from emorec_train.evaluation.decoding import tune
from emorec_train.evaluation.metrics import Scores
from emorec_train.evaluation.plots import plot_bars
from emorec_train.evaluation.stitched import label_steps, score_clips, stitch_clips
from emorec_train.model.config import Mode
from emorec_train.settings.fields import Preset
from emorec_train.training.features import Windows
from emorec_train.training.fit import FitContext, FitResult, fit_fusion, with_mode
from emorec_train.training.processes import Processes, join_processes
from emorec_train.training.run import Run, prepare, scored_split
from emorec_train.training.state import remove_state, state_folder

JSON_FILE, CSV_FILE, PLOT_FILE = "ablation.json", "ablation.csv", "ablation.png"

CONFIDENCE: Final = 0.95
"""Of the interval around a mean difference."""

NO_TEST_SPLIT: Final = (
    "there is no test split: epochs, smoothing and prior correction were chosen on the clips that are "
    "scored, which flatters every row, the decoded one most"
)


@dataclass(frozen=True, slots=True)
class Variant:
    """A row of the table.

    Attributes:
        name: What the reader sees.
        mode: Streams and directions.
        text: Whether it learns with the class texts.
        decoded: Whether smoothing and prior correction are tuned for it.
    """

    name: str
    mode: Mode
    text: bool = False
    decoded: bool = False


VISUAL: Final = Variant("visual only", "visual")
AUDIO: Final = Variant("audio only", "audio")
CONCAT: Final = Variant("concatenation", "concat")
VISUAL_ASKS: Final = Variant("picture asks sound", "visual_queries")
AUDIO_ASKS: Final = Variant("sound asks picture", "audio_queries")
BOTH: Final = Variant("bi-directional", "both")
TEXT: Final = Variant("+ text", "both", text=True)
DECODED: Final = Variant("+ smoothing and prior correction", "both", text=True, decoded=True)
VARIANTS: Final = (VISUAL, AUDIO, CONCAT, VISUAL_ASKS, AUDIO_ASKS, BOTH, TEXT, DECODED)

COMPARISONS: Final = (
    (BOTH, CONCAT),
    (BOTH, VISUAL_ASKS),
    (BOTH, AUDIO_ASKS),
    (TEXT, BOTH),
    (DECODED, TEXT),
)
"""Pairs of rows that the verdicts compare."""


def ablate(run: Run, seeds: Sequence[int]) -> dict[str, Any]:
    """Train and score every variant for every seed; write ``ablation.json``, ``.csv`` and ``.png``.

    Args:
        run: What to train; ``run.seed`` is that of the encoders, ``run.out`` the folder of the results. What
            a stopped call has done is kept beside it, see ``state_folder``, for ``run.resume``.
        seeds: Of the fusions.

    Returns:
        The content of ``ablation.json``.

    Raises:
        UsageError: Fewer than two seeds have no spread; or several processes.
        EmorecError: See ``run.train``.
    """
    if len(set(seeds)) < 2:
        raise UsageError("an ablation needs two seeds or more, to know the spread")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("--ablate runs in one process; call it without torchrun")
    if run.resume and not state_folder(run.out).exists() and (run.out / JSON_FILE).is_file():
        say(f"{run.out} is complete: there is nothing to resume")
        return msgspec.json.decode((run.out / JSON_FILE).read_bytes(), type=dict[str, Any])
    if not run.resume:
        remove_state(state_folder(run.out))
    watch = Stopwatch()
    with join_processes(run.device) as processes:
        run, _, windows, prototypes = prepare(run, watch)
        fusions = Fusions(run.preset, windows, prototypes, state_folder(run.out), run.resume, processes)
        with watch.stage("fusions"):
            scores = fusions.scores(seeds)
    result = {
        "command": run.command,
        "split": scored_split(windows),
        "clips": {split: len(own) for split, own in windows.items()},
        "encoder_seed": run.seed,
        "seeds": list(seeds),
        "seconds": dict(watch.seconds),
        **summary(scores),
    }
    if result["split"] == "validation":
        result["verdicts"].append(NO_TEST_SPLIT)
    say(table(result))
    _write(run.out, result)
    remove_state(state_folder(run.out))
    return result


@dataclass(frozen=True)
class Fusions:
    """The fusions of all variants on the same features.

    Attributes:
        preset: Model and training.
        windows: Features by split.
        prototypes: The class texts; ``None`` without a text tower.
        state: Folder of what a stopped call has done.
        resume: Go on with it.
        processes: How many learn together.
    """

    preset: Preset
    windows: Windows
    prototypes: Tensor | None
    state: Path
    resume: bool
    processes: Processes

    @property
    def variants(self) -> list[Variant]:
        """Without a text tower there is nothing to add; the last row then decodes the bi-directional one."""
        return [variant for variant in VARIANTS if variant != TEXT or self.prototypes is not None]

    def scores(self, seeds: Sequence[int]) -> dict[str, list[Scores]]:
        """Train and score every variant for every seed; by name, in the order of the seeds."""
        scores: dict[str, list[Scores]] = {variant.name: [] for variant in self.variants}
        for seed in seeds:
            for name, score in self._one_seed(seed).items():
                scores[name].append(score)
            said = ", ".join(f"{name} {own[-1].macro_f1:.3f}" for name, own in scores.items())
            say(f"seed {seed}: {said}")
        return scores

    def _one_seed(self, seed: int) -> dict[str, Scores]:
        scored, labels = self.windows[scored_split(self.windows)], self.preset.model.labels
        fitted: dict[str, FitResult] = {}
        scores = {}
        for variant in self.variants:
            texts = self.prototypes if variant.text else None
            # Rows that differ in their decoding alone share a fusion.
            key = f"seed{seed}-{variant.mode}{'' if texts is None else '-text'}"
            if key not in fitted:
                fitted[key] = self._fit(key, variant.mode, texts, seed)
            decoding = _tuned(self.preset, self.windows, fitted[key]) if variant.decoded else None
            clips = stitch_clips(fitted[key].fusion, scored)
            scores[variant.name] = score_clips(clips, labels, decoding)
        return scores

    def _fit(self, key: str, mode: Mode, texts: Tensor | None, seed: int) -> FitResult:
        return fit_fusion(
            with_mode(self.preset.model, mode),
            self.preset.fusion,
            self.windows["train"],
            self.windows["validation"],
            texts,
            seed,
            FitContext(self.processes, self.state / f"{key}.safetensors", self.resume),
        )


def _tuned(preset: Preset, windows: Windows, fitted: FitResult) -> Decoding:
    labels = preset.model.labels
    clips = stitch_clips(fitted.fusion, windows["validation"])
    counts = np.array(list(label_steps(windows["train"], labels).values()), np.int64)
    return tune(lambda decoding: score_clips(clips, labels, decoding).macro_f1, counts).decoding


def summary(scores: Mapping[str, Sequence[Scores]]) -> dict[str, Any]:
    """Mean and spread of each row, and the verdicts."""
    values = {name: [own.macro_f1 for own in per_seed] for name, per_seed in scores.items()}
    return {
        "rows": {
            name: {
                "macro_f1": own,
                "mean": float(np.mean(own)),
                "std": float(np.std(own, ddof=1)),
                "accuracy": [score.accuracy for score in scores[name]],
            }
            for name, own in values.items()
        },
        "verdicts": [
            verdict(new.name, values[new.name], old.name, values[old.name])
            for new, old in COMPARISONS
            if new.name in values and old.name in values
        ],
    }


def verdict(new: str, news: Sequence[float], old: str, olds: Sequence[float]) -> str:
    """Sentence that compares two rows seed by seed, with a paired t interval."""
    differences = np.asarray(news) - np.asarray(olds)
    mean = float(differences.mean())
    half = float(stats.sem(differences) * stats.t.ppf(0.5 + CONFIDENCE / 2.0, len(differences) - 1))
    numbers = (
        f"{mean:+.3f} macro F1 on the mean of {len(differences)} seeds, "
        f"{CONFIDENCE:.0%} interval {mean - half:+.3f} to {mean + half:+.3f}"
    )
    if mean <= 0.0:
        return f"{new} does not beat {old}: {numbers}"
    if mean - half <= 0.0:
        return f"{new} beats {old} on the mean, but within the spread of the seeds: {numbers}"
    return f"{new} beats {old}: {numbers}"


def table(result: Mapping[str, Any]) -> str:
    """Rows and verdicts for a terminal."""
    lines = [f"{'macro F1, ' + result['split']:<36}{'mean':>8}{'std':>8}  by seed"]
    for name, row in result["rows"].items():
        by_seed = " ".join(f"{value:.3f}" for value in row["macro_f1"])
        lines.append(f"{name:<36}{row['mean']:>8.3f}{row['std']:>8.3f}  {by_seed}")
    return "\n".join([*lines, *result["verdicts"]])


def _write(folder: Path, result: Mapping[str, Any]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(folder, f"can't be written: {error.strerror or error}") from error
    rows = result["rows"]
    write_whole(folder / JSON_FILE, msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["variant", "mean", "std", *(f"seed {seed}" for seed in result["seeds"])])
    lines.writerows([name, row["mean"], row["std"], *row["macro_f1"]] for name, row in rows.items())
    write_whole(folder / CSV_FILE, text.getvalue())
    bars = {name: (row["mean"], row["std"], row["macro_f1"]) for name, row in rows.items()}
    plot_bars(bars, f"{result['split']} clips, {len(result['seeds'])} seeds", folder / PLOT_FILE)
