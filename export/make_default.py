"""Make the default model, which runs without ``--bundle``, from pictures and recordings to the bundle.

::

    python export/make_default.py --data ../data --teacher smart-turn-v3.2-cpu.onnx
    python export/make_default.py --data ../data --stage fusion --stage export   # some stages alone
    python export/make_default.py --data ../data --shipped-encoders --stage fusion  # another fusion

``--data`` has the folders ``faces``, ``voices`` and ``speech``. Stages, in this order: ``pictures`` (visual
encoder), ``voices`` (sound encoder), ``fusion``, ``export`` (the bundle, INT8 and FP32), ``clip``
(``examples/demo.mp4``) and ``report`` (the figures of the model card). A stage whose result lies in ``--out``
is skipped; one that was stopped goes on. Everything is seeded. With ``--shipped-encoders`` both encoders come
out of the bundle that the package has: nothing of them is trained.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from emorec_rt.errors import EmorecError, UsageError

ROOT: Final = Path(__file__).resolve().parents[1]
BUNDLE: Final = ROOT / "runtime" / "emorec_rt" / "default"
CLIP: Final = ROOT / "examples" / "demo.mp4"
CLIP_SEED: Final = 2_900_065
CLIP_LABELS: Final = ("Neutral", "Happiness", "Surprise", "Neutral", "Anger", "Sadness")
CLIP_SECONDS: Final = 20
TEST_CLIPS: Final = 60
MORE_PICTURES: Final = ("--set", "stills.epochs=14", "--set", "stills.learning_rate=1e-3")
MORE_VOICES: Final = ("--steps", "8000", "--rate", "1.2e-3")
"""Each encoder learns a second time, from where the first has ended; the visual one with more pictures."""

MATERIAL: Final = (
    "faces/ferplus.npz",
    "faces/posed_ccby.npz",
    "faces/wild.npz",
    "voices/manifest.csv",
    "speech/manifest.csv",
)
NOTICE: Final = "default model, trained on photos and acted voices: not for decisions about people"
TEACHER_HINT: Final = (
    "give --teacher: smart-turn-v3.2-cpu.onnx (BSD-2-Clause) out of pipecat/audio/turn/smart_turn/data of"
    " the package that `pip download --no-deps pipecat-ai` fetches"
)


@dataclass(frozen=True, slots=True)
class Job:
    """Folders of a run, and its data.

    Attributes:
        data: Folder of the material.
        out: Folder of the checkpoints.
        media: Recordings to measure on; ``None`` where nothing is measured.
        teacher: ONNX file that the sound encoder learns from; ``None`` where it has learnt already.
        seed: Of every stage.
    """

    data: Path
    out: Path
    media: Path | None
    teacher: Path | None
    seed: int

    @property
    def pictures(self) -> Path:
        """Folder of the visual encoder."""
        return self.out / "pictures"

    @property
    def voices(self) -> Path:
        """Folder of the sound encoder."""
        return self.out / "voices"

    @property
    def fusion(self) -> Path:
        """Folder of the whole checkpoint."""
        return self.out / "fusion"


def _pictures(job: Job) -> None:
    if (job.pictures / "stills.json").is_file():
        return
    faces, first = job.data / "faces", job.out / "pictures-first"
    posed = f"npz,weight=3,margin=0.2:{faces / 'posed_ccby.npz'}"
    wild = f"npz,weight=0.3,margin=0.2,labels=Neutral+Happiness:{faces / 'wild.npz'}"
    sets = ("--data", f"npz:{faces / 'ferplus.npz'}", "--data", posed)
    _python("train/pictures.py", *sets, "--out", first, "--seed", job.seed, "--resume")
    again = ("--start", first, *MORE_PICTURES, "--data", wild, "--seed", job.seed + 1, "--resume")
    _python("train/pictures.py", *sets, *again, "--out", job.pictures)


def _voices(job: Job) -> None:
    if (job.voices / "encoder.json").is_file():
        return
    if job.teacher is None:
        raise UsageError(TEACHER_HINT)
    first, common = job.out / "voices-first", ("--data", job.data, "--teacher", job.teacher)
    if not (first / "encoder.json").is_file():
        _python("train/voices.py", *common, "--out", first, "--seed", job.seed)
    again = ("--start", first, *MORE_VOICES, "--seed", job.seed + 1)
    _python("train/voices.py", *common, *again, "--out", job.voices)


def _shipped(job: Job) -> None:
    """Both encoders as the package has them."""
    from emorec_export.read_back import read_back_pictures, read_back_voices
    from emorec_rt.bundle.folder import open_bundle
    from emorec_train.settings.presets import find_preset
    from emorec_train.training.sound_encoder import ARCHITECTURE

    bundle = open_bundle()
    if not (job.pictures / "stills.json").is_file():
        read_back_pictures(bundle, find_preset("people").model.vision, job.pictures)
    if not (job.voices / "encoder.json").is_file():
        read_back_voices(bundle, ARCHITECTURE, job.voices)


def _fusion(job: Job) -> None:
    from emorec_train.model.checkpoint import FILE_NAME
    from emorec_train.settings.presets import find_preset
    from emorec_train.training.people.run import PeopleRun, train_people

    if (job.fusion / FILE_NAME).is_file():
        return
    run = PeopleRun(
        preset=find_preset("people"),
        data=job.data,
        pictures=job.pictures,
        voices=job.voices,
        out=job.fusion,
        cache=job.out / "features",
        seed=job.seed,
        command="export/make_default.py --data DATA",
    )
    train_people(run)


def _export(job: Job) -> None:
    draft = job.out / "bundle" / "default"
    # Graphs this small gain no time from INT8 in every library: FP32 is what runs unless it is asked for.
    options: tuple[object, ...] = ("--precision", "fp32", "--test-clips", TEST_CLIPS, "--notice", NOTICE)
    options += ("--checkpoint", _shown(job.fusion), "--out", _shown(draft))
    _python("export/build_engine.py", "--int8", *options)
    shutil.rmtree(BUNDLE, ignore_errors=True)
    shutil.copytree(draft, BUNDLE)


def _clip(_: Job) -> None:
    labels = [argument for label in CLIP_LABELS for argument in ("--label", label)]
    table = ("--labels", CLIP.with_suffix(".csv"))
    size = ("--size", 320, 240, "--seconds", CLIP_SECONDS, "--seed", CLIP_SEED)
    _python("-m", "emorec_train.data.synthetic", "--plain", *size, *labels, "--out", CLIP, *table)


def _report(job: Job) -> None:
    if job.media is None:
        raise UsageError("give --media: the recordings that benchmarks/people.py measures on")
    _python("benchmarks/people.py", "--data", job.data, "--media", job.media, "--run", job.out)
    _python("benchmarks/readme.py")


def _shown(path: Path) -> Path:
    """The path as the bundle records it: below the project where it lies there."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


STAGES: Final[dict[str, Callable[[Job], None]]] = {
    "pictures": _pictures,
    "voices": _voices,
    "fusion": _fusion,
    "export": _export,
    "clip": _clip,
    "report": _report,
}


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="Folder with faces, voices and speech."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=ROOT / "runs" / "default",
    help="[default: runs/default]",
)
@click.option("--stage", "stages", multiple=True, type=click.Choice(list(STAGES)), help="[default: all]")
@click.option("--teacher", type=click.Path(path_type=Path), help="What the sound encoder learns from.")
@click.option("--media", type=click.Path(path_type=Path), help="What the report is measured on.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--shipped-encoders", is_flag=True, help="Take the encoders of the package; train the fusion.")
def main(
    data: Path,
    out: Path,
    stages: tuple[str, ...],
    teacher: Path | None,
    media: Path | None,
    seed: int,
    shipped_encoders: bool,
) -> None:
    """Make everything; one line says what a stage lacks."""
    media, teacher = (None if path is None else path.resolve() for path in (media, teacher))
    job = Job(data.resolve(), out.resolve(), media, teacher, seed)
    try:
        _require(job)
        if shipped_encoders:
            _shipped(job)
        for name in stages or tuple(STAGES):
            _timed(name, STAGES[name], job)
    except EmorecError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # the program has said why


def _require(job: Job) -> None:
    absent = [name for name in MATERIAL if not (job.data / name).is_file()]
    if absent:
        raise UsageError(f"--data {job.data}: {absent[0]} isn't there; see docs/model-card.md for its layout")


def _timed(name: str, stage: Callable[[Job], None], job: Job) -> None:
    begun = time.monotonic()
    click.echo(f"stage {name}", err=True)
    stage(job)
    click.echo(f"stage {name}: {(time.monotonic() - begun) / 60:.1f} minutes", err=True)


def _python(*arguments: object) -> None:
    subprocess.run([sys.executable, *map(str, arguments)], check=True, cwd=ROOT)  # noqa: S603 - our own scripts


if __name__ == "__main__":
    main()
