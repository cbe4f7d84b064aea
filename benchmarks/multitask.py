"""Classes alone beside classes with valence, arousal and action units, with all labels and with half of them.

    python benchmarks/multitask.py --seed 0 --seed 1 --seed 2

Clips, encoders (trained once, on all expressions) and features are those of the ``multitask`` preset and
shared by all rows; each row and seed trains a fusion of its own. In the rows with half of the labels, half of
the training clips lack their expressions, half lack valence and arousal, and half lack action units, drawn
apart: one clip in eight has nothing. The held-out clips keep all. The result goes to
``benchmarks/results/multitask.json``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import numpy as np
from machine import save
from torch import Tensor

from emorec_rt.bundle.tasks import MEASURES, NO_TASKS, VALENCE_AROUSAL, Tasks
from emorec_train.console import Stopwatch
from emorec_train.data.labels import IGNORED
from emorec_train.evaluation.measures import score_measures
from emorec_train.evaluation.stitched import score_clips, stitch_clips
from emorec_train.features.windows import ClipWindows
from emorec_train.settings.fields import Preset
from emorec_train.settings.presets import PRESETS
from emorec_train.training.encoders import EncoderChoice
from emorec_train.training.features import Windows
from emorec_train.training.fit import fit_fusion
from emorec_train.training.run import Run, prepare

TOLERANCE: Final = 0.02
"""By how much the mean macro F1 with half of the labels may lie below that of classes alone with all."""


@dataclass(frozen=True, slots=True)
class Row:
    """A way to train."""

    name: str
    tasks: bool
    half: bool


ROWS: Final = (
    Row("classes alone", tasks=False, half=False),
    Row("classes alone, half of the labels", tasks=False, half=True),
    Row("multi-task", tasks=True, half=False),
    Row("multi-task, half of the labels", tasks=True, half=True),
)


def halved(clips: Sequence[ClipWindows], seed: int) -> list[ClipWindows]:
    """The clips, of which half lack their classes, half valence and arousal, and half action units."""
    rng = np.random.default_rng(seed)
    unlabelled, unmeasured, unitless = (rng.permutation(len(clips)) < len(clips) // 2 for _ in range(3))
    return [
        _without(clip, [not_classes, not_affect, not_units])
        for clip, not_classes, not_affect, not_units in zip(
            clips, unlabelled, unmeasured, unitless, strict=True
        )
    ]


def _without(clip: ClipWindows, missing: Sequence[bool]) -> ClipWindows:
    classes, affect, units = missing
    gone = np.array([affect if name in VALENCE_AROUSAL else units for name in MEASURES])
    return replace(
        clip,
        labels=tuple(np.full_like(own, IGNORED) for own in clip.labels) if classes else clip.labels,
        measures=tuple(np.where(gone, np.float32(np.nan), own) for own in clip.measures),
    )


def train(preset: Preset, row: Row, windows: Windows, prototypes: Tensor | None, seed: int) -> dict[str, Any]:
    """Train one fusion and score it on the test clips."""
    tasks = preset.model.tasks if row.tasks else NO_TASKS
    model = msgspec.structs.replace(preset.model, tasks=tasks)
    clips = halved(windows["train"], seed) if row.half else windows["train"]
    fitted = fit_fusion(model, preset.fusion, clips, windows["validation"], prototypes, seed)
    stitched = stitch_clips(fitted.fusion, windows["test"])
    measured = score_measures(stitched, tasks)
    return {
        "macro_f1": round(score_clips(stitched, model.labels).macro_f1, 4),
        **({"ccc": round(measured.mean_ccc, 4), "au_f1": round(measured.macro_f1, 4)} if measured else {}),
    }


def small(preset: Preset) -> Preset:
    """The preset with a few clips and steps, to try the program out."""
    few = {"steps": 2, "batch": 4}
    return msgspec.structs.replace(
        preset,
        clips=8,
        clip_seconds=2.4,
        faces=0,
        vision=msgspec.structs.replace(preset.vision, **few),
        audio=msgspec.structs.replace(preset.audio, **few),
        fusion=msgspec.structs.replace(preset.fusion, epochs=1),
    )


def measure(preset: Preset, seeds: Sequence[int], workers: int) -> Iterator[tuple[Row, dict[str, Any]]]:
    """Yield each row with its scores by seed, and their means."""
    with tempfile.TemporaryDirectory(prefix="emorec-multitask-") as scratch:
        run = Run(preset, 0, Path(scratch) / "run", workers, "", EncoderChoice())
        run, _, windows, prototypes = prepare(run, Stopwatch())
        for row in ROWS:
            runs = {str(seed): train(run.preset, row, windows, prototypes, seed) for seed in seeds}
            means = {
                key: round(float(np.mean([own[key] for own in runs.values()])), 4)
                for key in runs[str(seeds[0])]
            }
            yield row, {"runs": runs, "mean": means}


def keeps_up(rows: dict[str, Any]) -> bool:
    """Whether multi-task with half of the labels reaches classes alone with all of them."""
    full, half = rows[ROWS[0].name]["mean"]["macro_f1"], rows[ROWS[-1].name]["mean"]["macro_f1"]
    return bool(half >= full - TOLERANCE)


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--seed", "seeds", type=int, multiple=True, default=(0, 1, 2), show_default=True)
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--quick", is_flag=True, help="Try it out; nothing is saved.")
def main(seeds: tuple[int, ...], workers: int, quick: bool) -> None:
    """Train, print, save; exit with 1 where half of the labels don't suffice."""
    preset = small(PRESETS["multitask"]) if quick else PRESETS["multitask"]
    rows: dict[str, Any] = {}
    for row, result in measure(preset, seeds, workers):
        rows[row.name] = result
        click.echo(f"{row.name}: " + ", ".join(f"{key} {value:.3f}" for key, value in result["mean"].items()))
    if quick:
        return
    settings: Tasks = preset.model.tasks
    result = {"seeds": list(seeds), "tolerance": TOLERANCE, "measures": list(settings.measures), "rows": rows}
    click.echo(f"saved {save('multitask', result)}")
    if not keeps_up(rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
