"""Make what ships with the package: the demo bundle, and the demo clip with its true labels.

::

    python export/make_demo.py                      # train, export, draw: some ten minutes on two cores
    python export/make_demo.py --checkpoint runs/x  # from a checkpoint that is there already

Writes ``runtime/emorec_rt/demo`` and ``examples/demo.mp4`` with ``examples/demo.csv``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "runtime" / "emorec_rt" / "demo"
DRAFT = "engines/demo"
CLIP = ROOT / "examples" / "demo.mp4"
SEED = 2_900_000
"""Of the demo clip: in the test split's range, beyond what training draws."""

TEST_CLIPS = 60
"""The whole test split, so that every class occurs."""

LABELS = ("Neutral", "Happiness", "Anger", "Surprise", "Sadness", "Disgust", "Other", "Fear")
SECONDS = 20
NOTICE = (
    "this is the demo model, trained on drawn faces and synthetic voices: it shows the tool, not emotions; "
    "use --bundle for a real one"
)


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--checkpoint", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(checkpoint: Path | None) -> None:
    """Make everything; fail where a step fails."""
    if checkpoint is None:
        checkpoint = Path("runs/demo")
        _python("train/run.py", "--seed", "0", "--out", checkpoint)
    shutil.rmtree(ROOT / DRAFT, ignore_errors=True)
    # Graphs this small gain no time from INT8.
    options: tuple[object, ...] = ("--precision", "fp32", "--checkpoint", checkpoint, "--out", DRAFT)
    options += ("--test-clips", TEST_CLIPS, "--notice", NOTICE)
    _python("export/build_engine.py", "--int8", *options)
    shutil.rmtree(BUNDLE, ignore_errors=True)
    shutil.copytree(ROOT / DRAFT, BUNDLE)
    CLIP.parent.mkdir(exist_ok=True)
    labels = [argument for label in LABELS for argument in ("--label", label)]
    size = ("--size", "320", "240", "--seconds", SECONDS, "--seed", SEED)
    _python("-m", "emorec_train.clips", *size, *labels, "--out", CLIP, "--labels", CLIP.with_suffix(".csv"))
    click.echo(f"made {BUNDLE.relative_to(ROOT)} and {CLIP.relative_to(ROOT)}")


def _python(*arguments: object) -> None:
    subprocess.run([sys.executable, *map(str, arguments)], check=True, cwd=ROOT)  # noqa: S603 - our own scripts


if __name__ == "__main__":
    main()
