"""Options that the training programs share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import click

from emorec_rt.errors import UsageError
from emorec_train.data.dataset_clips import DataRequest
from emorec_train.settings.changes import change
from emorec_train.settings.fields import Preset
from emorec_train.settings.presets import PRESETS, find_preset
from emorec_train.submission.format import LENGTH_SLACK_FRAMES

F = TypeVar("F", bound=Callable[..., None])


def data_options(function: F) -> F:
    """``--data``, ``--labels`` and ``--speaker-pattern``, for ``data_request``."""
    for option in (
        click.option(
            "--speaker-pattern", help="folder: regular expression that finds the speaker in a path."
        ),
        click.option("--labels", help="Labels of the model, with commas.  [default: those of the data]"),
        click.option(
            "--data",
            multiple=True,
            metavar="NAME:PATH",
            help="A data set: affwild2, ravdess, cremad, meld, folder or csv, and where it lies; repeatable.",
        ),
    ):
        function = option(function)
    return function


def split_options(function: F) -> F:
    """``--shared-speakers`` and ``--fold``, for ``with_splits``."""
    for option in (
        click.option(
            "--fold",
            metavar="I/K",
            help="Cross-validation by speaker: fold I of K is the test split, the next one validation.",
        ),
        click.option(
            "--shared-speakers",
            is_flag=True,
            help="Take splits that share speakers, as MELD's own do; scores then flatter.",
        ),
    ):
        function = option(function)
    return function


def with_splits(
    request: DataRequest | None, *, shared_speakers: bool, fold: str | None
) -> DataRequest | None:
    """The request with what ``split_options`` ask for.

    Raises:
        UsageError: There is no data, or no such fold.
    """
    if not (shared_speakers or fold):
        return request
    if request is None:
        raise UsageError("--shared-speakers and --fold go with --data")
    number, folds = _fold(fold) if fold else (0, 0)
    return replace(request, shared_speakers=shared_speakers, fold=number, folds=folds)


def _fold(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    number, folds = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (1 <= number <= folds and folds >= 3):
        raise UsageError(f"--fold {text}: write it as 1/5, the first of five; there must be 3 or more")
    return number, folds


def preset_options(default: str) -> Callable[[F], F]:
    """``--preset`` and ``--set``, for ``chosen_preset``."""

    def decorate(function: F) -> F:
        changes = click.option(
            "--set",
            "changes",
            multiple=True,
            metavar="KEY=VALUE",
            help="One setting of the preset, as in fusion.epochs=20; repeatable.",
        )
        names = click.option(
            "--preset",
            default=default,
            show_default=True,
            metavar="NAME|FILE",
            help=f"Settings: {', '.join(sorted(PRESETS))} (train/presets), or a TOML file of your own.",
        )
        return names(changes(function))

    return decorate


def chosen_preset(name: str, changes: tuple[str, ...]) -> Preset:
    """The preset, changed.

    Raises:
        UsageError: There is no such preset or setting, or a value doesn't fit.
    """
    return change(find_preset(name), changes)


def encoder_options(function: F) -> F:
    """``--vision``, ``--audio``, ``--offline`` and ``--random-encoders``; for ``EncoderChoice``."""
    for option in (
        click.option(
            "--random-encoders", is_flag=True, help="Don't load pretrained encoder weights (to try it out)."
        ),
        click.option("--offline", is_flag=True, help="Take weights from this machine alone."),
        click.option(
            "--audio", default="", metavar="ID|FOLDER", help="Weights of wav2vec 2.0 or its kin, frozen."
        ),
        click.option(
            "--vision",
            default="",
            metavar="WEIGHTS",
            help="Weights of a visual tower, frozen: see docs/train.md.",
        ),
    ):
        function = option(function)
    return function


def data_request(
    data: tuple[str, ...], labels: str | None, speaker_pattern: str | None
) -> DataRequest | None:
    """Request of the options; ``None`` without ``--data``.

    Raises:
        UsageError: Options of data without data.
    """
    if not data and (labels or speaker_pattern):
        raise UsageError("--labels and --speaker-pattern go with --data")
    names = tuple(name.strip() for name in labels.split(",")) if labels else ()
    return DataRequest(data, names, speaker_pattern) if data else None


def path_option(*names: str, help: str) -> Callable[[F], F]:  # noqa: A002 - click's own word
    """An option that takes a folder."""
    return click.option(*names, type=click.Path(path_type=Path, file_okay=False), help=help)


def template_option(function: F) -> F:
    """``--template``: the file that a submission is compared with."""
    return click.option(
        "--template",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        required=True,
        help="The challenge's template, or a list with a line '<video> <frames>' for each video.",
    )(function)


def workers_option(work: str) -> Callable[[F], F]:
    """``--workers``: processes beside this one, by default one a core."""
    return click.option(
        "--workers", type=click.IntRange(min=1), help=f"Processes that {work}.  [default: one a core]"
    )


def cache_option(function: F) -> F:
    """``--cache`` of programs that take several checkpoints."""
    return click.option(
        "--cache",
        "caches",
        multiple=True,
        type=click.Path(path_type=Path, file_okay=False),
        help="Keep the features here, see train/cache.py; repeated: one for each checkpoint.",
    )(function)


def effort_option(function: F) -> F:
    """``--effort``: shorter or longer training."""
    return click.option(
        "--effort",
        type=click.FloatRange(min=0.0, min_open=True),
        default=1.0,
        show_default=True,
        help="Factor on the training steps of every stage.",
    )(function)


def device_option(function: F) -> F:
    """``--device``: where torch computes."""
    return click.option(
        "--device",
        type=click.Choice(["cpu", "cuda"]),
        default="cpu",
        show_default=True,
        help="Where torch computes.",
    )(function)


def slack_option(function: F) -> F:
    """``--slack``, in frames."""
    return click.option(
        "--slack",
        type=click.IntRange(min=0),
        default=LENGTH_SLACK_FRAMES,
        show_default=True,
        metavar="FRAMES",
        help="By how much a video's frames and the template's may differ.",
    )(function)
