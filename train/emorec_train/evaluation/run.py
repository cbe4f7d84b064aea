"""Scores of one checkpoint, or of the average of several, on a split; a decoding tuned on validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Decoding
from emorec_rt.bundle.tasks import NO_TASKS, Tasks
from emorec_train.console import say
from emorec_train.data.dataset_clips import DataRequest
from emorec_train.data.synthetic import Split
from emorec_train.evaluation.clips import find_clips
from emorec_train.evaluation.decoding import Tuned, tune
from emorec_train.evaluation.ensemble import (
    average_clips,
    expand,
    label_order,
    member_caches,
    write_ensemble,
)
from emorec_train.evaluation.measures import measure_lines
from emorec_train.evaluation.metrics import CONFIDENCE, table
from emorec_train.evaluation.results import Results, write_results
from emorec_train.evaluation.stitched import StitchedClip, reordered, score_clips, stitch_clips
from emorec_train.model.checkpoint import load_checkpoint, store_decoding


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Options of an evaluation.

    Attributes:
        checkpoints: Folders of checkpoints, whose predictions are averaged, or that of an ensemble.
        out: Folder of the results; ``None`` for one beside the first checkpoint, with the split in its name.
        split: Which clips; without a test split, validation takes its place.
        tune: Choose smoothing and prior correction on the validation split, and keep them.
        workers: Processes that decode and crop.
        data: Data sets; ``None`` takes the clips that the checkpoints name.
        caches: Folders of features: one for all checkpoints, one for each, or none.
        device: Where encoders and fusion run, ``cpu`` or ``cuda``.
    """

    checkpoints: tuple[Path, ...]
    out: Path | None
    split: Split
    tune: bool
    workers: int
    data: DataRequest | None = None
    caches: tuple[Path, ...] = ()
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class _Member:
    """Predictions of one checkpoint.

    Attributes:
        labels: Class names.
        tasks: What it gives beside them.
        decoding: Its own.
        split: The split that is scored.
        clips: Stitched clips by split.
        counts: Labels in training, int64 ``[C]``.
        speakers: Of each scored clip.
    """

    labels: tuple[str, ...]
    tasks: Tasks
    decoding: Decoding
    split: Split
    clips: dict[Split, list[StitchedClip]]
    counts: NDArray[np.int64]
    speakers: dict[str, str]


def run_evaluation(request: Evaluation) -> Path:
    """Score a checkpoint or an ensemble with its decoding, tuned first if that is asked for.

    Returns:
        The folder of ``scores.json``, ``confusion.png``, ``videos.csv`` and ``speakers.csv``; of several
        checkpoints also of ``ensemble.json``.

    Raises:
        EmorecError: A checkpoint, the clips or the output folder won't do.
    """
    folders, decoding = expand(request.checkpoints)
    caches = member_caches(request.caches, len(folders))
    members = [_predict(folder, request, cache) for folder, cache in zip(folders, caches, strict=True)]
    first, split = members[0], members[0].split
    decoding = first.decoding if decoding is None else decoding
    out = request.out or _beside(request.checkpoints, split)
    if request.tune:
        tuned = _tune(members, folders)
        decoding = tuned.decoding
        _keep(tuned, folders, out)
        if split == "validation":
            say("the decoding was tuned on these very clips: the scores with it flatter")
    results = Results(
        title=f"{out.name}, {split}",
        checkpoints=folders,
        split=split,
        clips=_average(members, folders, split),
        speakers=first.speakers,
        labels=first.labels,
        decoding=decoding,
        tasks=first.tasks if len(members) == 1 else NO_TASKS,
    )
    _tell(results)
    write_results(out, results)
    if len(folders) > 1:
        write_ensemble(out, folders, decoding)
    return out


def _beside(checkpoints: tuple[Path, ...], split: Split) -> Path:
    first = checkpoints[0]
    return first.with_name(f"{first.name}-{split}" if len(checkpoints) == 1 else f"{first.name}-ensemble")


def _predict(folder: Path, request: Evaluation, cache: Path | None) -> _Member:
    checkpoint = load_checkpoint(folder)
    found = find_clips(checkpoint, request.data, workers=request.workers, cache=cache, device=request.device)
    split = found.available_split(request.split)
    found.ids(split)  # nothing is tuned and kept for a call that can't be finished
    splits = dict.fromkeys((*(("validation",) if request.tune else ()), split))
    clips: dict[Split, list[StitchedClip]] = {
        own: stitch_clips(checkpoint.fusion, found.windows(own), device=request.device) for own in splits
    }
    return _Member(
        labels=checkpoint.config.labels,
        tasks=checkpoint.config.tasks,
        decoding=checkpoint.decoding,
        split=split,
        clips=clips,
        counts=found.label_counts() if request.tune else np.zeros(0, np.int64),
        speakers=found.speakers(split),
    )


def _average(members: list[_Member], folders: tuple[Path, ...], split: Split) -> list[StitchedClip]:
    labels = members[0].labels
    aligned = [
        reordered(member.clips[split], label_order(labels, member.labels, folder))
        for member, folder in zip(members, folders, strict=True)
    ]
    return average_clips(aligned, folders)


def _tune(members: list[_Member], folders: tuple[Path, ...]) -> Tuned:
    clips, labels = _average(members, folders, "validation"), members[0].labels
    return tune(lambda decoding: score_clips(clips, labels, decoding).macro_f1, members[0].counts)


def _keep(tuned: Tuned, folders: tuple[Path, ...], out: Path) -> None:
    """Keep the decoding of one checkpoint in it; that of several goes into their ``ensemble.json``."""
    if len(folders) == 1:
        store_decoding(folders[0], tuned.decoding, _tuning(tuned))
    say(
        f"tuned on validation: smoothing {tuned.decoding.smoothing_seconds:g} s, prior correction "
        f"x {tuned.strength:g}: macro F1 {tuned.before:.3f} -> {tuned.after:.3f};"
        f" kept in {folders[0] if len(folders) == 1 else out}"
    )


def _tuning(tuned: Tuned) -> dict[str, Any]:
    return {
        "split": "validation",
        "strength": tuned.strength,
        "macro_f1": {"before": tuned.before, "after": tuned.after},
    }


def _tell(results: Results) -> None:
    rows = {f"{name} ({results.split})": own for name, own in results.scores().items()}
    say(table(rows))
    if (measured := results.measures()) is not None:
        say(measure_lines(measured))
    low, high = results.interval()
    say(
        f"macro F1, {CONFIDENCE:.0%} interval over {len(results.by_speaker())} speakers: "
        f"{low:.3f} to {high:.3f}"
    )
