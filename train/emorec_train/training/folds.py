"""Cross-validation by speaker: K trainings, each tested on speakers new to it, and pooled scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from emorec_rt.errors import UsageError
from emorec_rt.files import write_whole
from emorec_train.console import say
from emorec_train.evaluation.metrics import Scores, macro_f1_interval, matrix_scores, table
from emorec_train.evaluation.plots import plot_confusion
from emorec_train.training.encoders import trains_encoders
from emorec_train.training.run import Run, train

JSON_FILE: Final = "folds.json"
CONFUSION_FILE: Final = "confusion.png"
CACHE_FOLDER: Final = "cache"
_MEASURES: Final = ("accuracy", "macro_f1", "uar", "weighted_f1")


class _Metrics(msgspec.Struct):
    """The part of a fold's ``metrics.json`` that is pooled."""

    test: dict[str, Scores] = {}


def train_folds(run: Run, folds: int) -> dict[str, Any]:
    """Train and test every fold; write ``folds.json`` and ``confusion.png``.

    The features of frozen encoders are made once, in ``run.cache`` or in a folder of ``run.out``. Each fold's
    checkpoint lies in ``fold-1``, ``fold-2`` ... of ``run.out``; ``run.resume`` goes on after those that are
    complete.

    Args:
        run: What to train; its data have to be data sets.
        folds: How many, 3 or more.

    Returns:
        The content of ``folds.json``.

    Raises:
        UsageError: There is no data set, or a single fold is asked for too.
        EmorecError: See ``run.train``.
    """
    if run.data is None or run.data.fold:
        raise UsageError("--folds goes with --data, and without --fold")
    cache = run.cache or (None if trains_encoders(run.preset) else run.out / CACHE_FOLDER)
    tested: list[dict[str, Scores]] = []
    for fold in range(1, folds + 1):
        say(f"fold {fold} of {folds}")
        own = replace(
            run,
            out=run.out / f"fold-{fold}",
            data=replace(run.data, fold=fold, folds=folds),
            cache=cache,
        )
        train(own)
        tested.append(_tested(own.out))
    result = {"command": run.command, "folds": folds, **pooled(tested)}
    _tell(result)
    write_whole(run.out / JSON_FILE, msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    mode = run.preset.model.fusion.mode
    matrix = np.array(result["modes"][mode]["pooled"].confusion, np.int64)
    labels = list(result["modes"][mode]["pooled"].f1)
    plot_confusion(matrix, labels, f"{run.out.name}, {folds} folds", run.out / CONFUSION_FILE)
    return result


def _tested(folder: Path) -> dict[str, Scores]:
    return msgspec.json.decode((folder / "metrics.json").read_bytes(), type=_Metrics).test


def pooled(tested: Sequence[Mapping[str, Scores]]) -> dict[str, Any]:
    """Mean and deviation of each measure over the folds, and scores of all folds' predictions together.

    Args:
        tested: Test scores of each fold, by mode.
    """
    modes: dict[str, Any] = {}
    for mode in tested[0]:
        own = [scores[mode] for scores in tested]
        matrices = [np.array(scores.confusion, np.int64) for scores in own]
        modes[mode] = {
            "pooled": matrix_scores(np.sum(matrices, axis=0), list(own[0].f1)),
            "interval": [round(value, 4) for value in macro_f1_interval(matrices)],
            **{name: _spread([float(getattr(scores, name)) for scores in own]) for name in _MEASURES},
        }
    return {"modes": modes}


def _spread(values: Sequence[float]) -> dict[str, Any]:
    rounded = [round(value, 4) for value in values]
    return {
        "by_fold": rounded,
        "mean": round(float(np.mean(values)), 4),
        "std": round(float(np.std(values, ddof=1)), 4),
    }


def _tell(result: Mapping[str, Any]) -> None:
    say(table({f"{mode} (all folds)": own["pooled"] for mode, own in result["modes"].items()}))
    for mode, own in result["modes"].items():
        spreads = ", ".join(
            f"{name} {own[name]['mean']:.3f} ± {own[name]['std']:.3f}" for name in ("macro_f1", "uar")
        )
        say(f"{mode}: {spreads} over {result['folds']} folds")
