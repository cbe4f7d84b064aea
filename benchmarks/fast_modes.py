"""The fast modes against exact mode: label agreement, speed, share of frames encoded.

    python benchmarks/fast_modes.py [MEDIA...] --bundle engines/full
    python benchmarks/fast_modes.py --quick       # two modes, one clip

MEDIA are folders of real recordings or files, which are not part of the project; without, generated clips
alone are run. Agreement is the share of rows whose label is exact mode's. Speed is exact mode's time by the
mode's, each the best of ``--repeats`` passes of the whole chain over all clips of a kind; with a small model,
decoding and faces take most of it, so the ratio says something of one bundle alone. The result goes to
``benchmarks/results/fast_modes.MACHINE.json``.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import click
from machine import save

from emorec_rt.bundle import open_bundle
from emorec_rt.constants import MEDIA_SUFFIXES
from emorec_rt.recognizer.events import Failed, Row
from emorec_rt.recognizer.options import Options
from emorec_rt.recognizer.recognizer import Recognizer

MODES: Final[dict[str, float | None]] = {
    "exact": None,
    "--vision-fps 12.5": 12.5,
    "--vision-fps 8": 8.0,
    "--vision-fps 5": 5.0,
    "--vision-fps 2": 2.0,
}
"""Frames encoded in a second, at most."""

QUICK_MODES: Final = ("exact", "--vision-fps 5")
GENERATED: Final = 8
SEED: Final = 2_910_000
"""In the test split's range, beyond what training draws."""


@dataclass(frozen=True)
class Pass:
    """One mode over all clips of a kind.

    Attributes:
        labels: Label by input and frame.
        seconds: Time of the whole chain.
        encoded: Frames that the vision encoder was given.
        failed: Inputs that can't be read.
    """

    labels: dict[tuple[str, int], str]
    seconds: float
    encoded: int
    failed: int


@dataclass(frozen=True)
class Measured:
    """A mode beside exact mode.

    Attributes:
        mode: Its options.
        kind: Of the clips: ``generated`` or ``real``.
        rows: Rows, the same number in each mode.
        agreement: Share of rows with exact mode's label.
        speed_ratio: Exact mode's time by this one's.
        encoded_share: Frames encoded by those of exact mode.
    """

    mode: str
    kind: str
    rows: int
    agreement: float
    speed_ratio: float
    encoded_share: float


def generated(folder: Path, count: int) -> list[Path]:
    """Clips that the training draws from a seed; no model of ours was trained on this one."""
    from emorec_train.data.synthetic import plan_clip, write_clip

    paths = [folder / f"{index}.mp4" for index in range(count)]
    for index, path in enumerate(paths):
        write_clip(plan_clip(SEED + index), path)
    return paths


def real(media: Sequence[Path]) -> list[Path]:
    """The recordings in folders, in sorted order, and files as they are."""
    found: list[Path] = []
    for path in media:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found.extend(file for file in inside if file.suffix.lower() in MEDIA_SUFFIXES and file.is_file())
    return found


def one_pass(options: Options, bundle: Path | None, clips: Sequence[Path]) -> Pass:
    """Run all clips once, engines already loaded."""
    recognizer = Recognizer(open_bundle(bundle), options)
    labels: dict[tuple[str, int], str] = {}
    failed = 0
    started = time.perf_counter()
    for event in recognizer.run(clips):
        if isinstance(event, Row):
            labels[str(event.source), event.prediction.index] = event.prediction.label
        failed += isinstance(event, Failed)
    return Pass(labels, time.perf_counter() - started, recognizer.frames_encoded, failed)


def compare(mode: str, kind: str, exact: Pass, fast: Pass) -> Measured:
    """A mode's figures.

    Raises:
        ClickException: It has other rows than exact mode.
    """
    if exact.labels.keys() != fast.labels.keys():
        raise click.ClickException(f"{mode}: its rows are not those of exact mode")
    same = sum(fast.labels[key] == label for key, label in exact.labels.items())
    return Measured(
        mode,
        kind,
        len(exact.labels),
        round(same / max(len(exact.labels), 1), 4),
        round(exact.seconds / fast.seconds, 3),
        round(fast.encoded / max(exact.encoded, 1), 4),
    )


def best(passes: Sequence[Pass]) -> Pass:
    """The fastest of several."""
    return min(passes, key=lambda one: one.seconds)


def measure(
    kind: str,
    clips: Sequence[Path],
    modes: Sequence[str],
    options: Options,
    bundle: Path | None,
    repeats: int,
) -> list[Measured]:
    """All modes over the clips of one kind, taken in turn so that a slow minute hits each."""
    rounds = [
        {mode: one_pass(replace(options, vision_fps=MODES[mode]), bundle, clips) for mode in modes}
        for _ in range(repeats)
    ]
    exact = best([one["exact"] for one in rounds])
    measured = [compare(mode, kind, exact, best([one[mode] for one in rounds])) for mode in modes]
    for figure in measured:
        click.echo(
            f"{figure.kind:10} {figure.mode:20} {figure.rows:8} rows  agreement {figure.agreement:.4f}  "
            f"{figure.speed_ratio:6.2f}x  {100 * figure.encoded_share:5.1f} % encoded"
        )
    return measured


@click.command(help=__doc__)
@click.argument("media", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--bundle", type=click.Path(path_type=Path), help="[default: default bundle]")
@click.option("--backend", default="auto", show_default=True)
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(1))
@click.option("--quick", is_flag=True, help="Two modes, one clip, one pass, nothing saved.")
def main(media: tuple[Path, ...], bundle: Path | None, backend: str, repeats: int, quick: bool) -> None:
    """Measure, print, save."""
    modes = QUICK_MODES if quick else tuple(MODES)
    options = Options(backend=backend)
    with tempfile.TemporaryDirectory() as folder:
        kinds = {"generated": generated(Path(folder), 1 if quick else GENERATED), "real": real(media)}
        measured = [
            figure
            for kind, clips in kinds.items()
            if clips
            for figure in measure(kind, clips, modes, options, bundle, 1 if quick else repeats)
        ]
    if not quick:
        model = open_bundle(bundle).manifest
        result = {
            "bundle": "demo" if bundle is None else bundle.name,
            "precision": model.precision,
            "modes": [asdict(figure) for figure in measured],
        }
        click.echo(f"saved {save('fast_modes', result, by_machine=True)}")


if __name__ == "__main__":
    main()
