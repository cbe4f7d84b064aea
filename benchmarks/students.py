"""Students beside a large teacher of real faces, and their towers beside a tower made for phones.

    python benchmarks/students.py --towers                                         # seconds
    python benchmarks/students.py --data ../data --run runs/default --out runs/students

The teacher's visual tower has some 5 billion multiply-adds a frame and learns FER+; its sound encoder is the
default model's. A fusion learns on clips that are put together from both, a student ``edge-s`` from that
teacher, on the same clips. A run that was stopped goes on when it is called again.
The results go to ``benchmarks/results/students.MACHINE.json`` and ``student_towers.MACHINE.json``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import torch
from figure import Figure, refuse_missed
from machine import save
from timm.utils.model import reparameterize_model

from emorec_rt.machine.cores import usable_cores
from emorec_train.data.pictures.opening import picture_request
from emorec_train.model.checkpoint import FILE_NAME
from emorec_train.model.config import ConvConfig, VisionConfig
from emorec_train.model.stills_files import FILE_NAME as STILLS_FILE
from emorec_train.model.student_towers import VISUAL, gmacs
from emorec_train.model.vision import VisionEncoder
from emorec_train.settings.fields import Preset
from emorec_train.settings.presets import PRESETS
from emorec_train.settings.students import StudentSettings
from emorec_train.training.people.run import PeopleRun, train_people
from emorec_train.training.stills.run import StillsRun, train_stills
from emorec_train.training.students import StudentRun, distill_students
from emorec_train.training.students.report import FRAMES, StudentReport, in_turn
from emorec_train.training.students.run import REPORT_FILE

SIDE: Final = 112
TEACHER: Final = ConvConfig(channels=(128, 256, 512, 1024), depths=(2, 3, 4, 4), stem_stride=2)


def larger(preset: Preset, epochs: int, clips: int) -> Preset:
    """The preset of people with a large visual tower."""
    replace, model = msgspec.structs.replace, preset.model
    spec = replace(model.preprocessing, vision=replace(model.preprocessing.vision, crop_size=SIDE))
    vision = replace(model.vision, image_size=SIDE, conv=TEACHER)
    return replace(
        preset,
        clips=clips,
        model=replace(model, preprocessing=spec, vision=vision),
        stills=replace(preset.stills, epochs=epochs, batch=64),
    )


def teach(preset: Preset, data: Path, voices: Path, out: Path) -> Path:
    """Train the teacher, unless it is there; returns the folder of its checkpoint."""
    pictures, teacher = out / "pictures", out / "teacher"
    if not (pictures / STILLS_FILE).is_file():
        faces = picture_request(f"npz:{data / 'faces' / 'ferplus.npz'}")
        train_stills(StillsRun(preset=preset, data=(faces,), out=pictures, resume=True))
    if not (teacher / FILE_NAME).is_file():
        cache = out / "features"
        train_people(PeopleRun(preset, data.resolve(), pictures, voices, teacher, cache, modes=()))
    return teacher


def figures(report: StudentReport) -> list[Figure]:
    """Figures that a student is held to."""
    assert report.visual is not None  # noqa: S101 - the clips have faces
    assert report.macro_f1 is not None  # noqa: S101 - and labels
    assert report.teacher_macro_f1 is not None  # noqa: S101 - likewise
    return [
        Figure("towers, times as fast as the teacher's", report.speedup, "x", ">= 8"),
        Figure("macro F1 below the teacher's", report.teacher_macro_f1 - report.macro_f1, "", "<= 0.02"),
        Figure("cosine of embeddings, unseen faces", report.visual.cosine, "", ">= 0.9"),
        Figure("same label as the teacher", 100 * report.agreement, "% of steps"),
    ]


def towers() -> Iterator[tuple[str, VisionEncoder, torch.Tensor]]:
    """Visual towers with random weights, and a batch of crops of each."""
    for name in ("reference", "edge"):
        model = PRESETS[name].model
        tower = VisionEncoder(model.vision, model.preprocessing.vision).eval()
        reparameterize_model(tower, inplace=True)
        yield name, tower, _crops(model.vision.image_size)
    spec = PRESETS["reference"].model.preprocessing.vision
    for name, shape in VISUAL.items():
        config = VisionConfig(image_size=shape.image_size, embed_dim=spec.embedding_dim, conv=shape.conv)
        yield name, VisionEncoder(config, spec).eval(), _crops(shape.image_size)


def _crops(side: int) -> torch.Tensor:
    return torch.zeros(FRAMES, side, side, 3, dtype=torch.uint8)


def measure_towers() -> list[dict[str, Any]]:
    """Multiply-adds, size and time of each tower, in turn."""
    made = list(towers())
    seconds = in_turn([partial(tower, crops) for _, tower, crops in made])
    return [
        {
            "name": name,
            "gmacs": round(gmacs(tower, crops) / FRAMES, 3),
            "parameters": sum(own.numel() for own in tower.parameters()),
            "milliseconds": round(1000 * taken / FRAMES, 2),
        }
        for (name, tower, crops), taken in zip(made, seconds, strict=True)
    ]


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--towers", "alone", is_flag=True, help="Measure towers with random weights; train nothing.")
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--run",
    "default",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of export/make_default.py, for its sound encoder.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of all that is trained."
)
@click.option(
    "--epochs", type=click.IntRange(1), default=8, show_default=True, help="Of the teacher's tower."
)
@click.option("--clips", type=click.IntRange(10), default=400, show_default=True)
@click.option("--effort", type=click.FloatRange(min=0.0, min_open=True), default=1.0, show_default=True)
def main(
    alone: bool,
    data: Path | None,
    default: Path | None,
    out: Path | None,
    epochs: int,
    clips: int,
    effort: float,
) -> None:
    """Measure, print, save; exit with 1 where a limit is missed."""
    torch.set_num_threads(usable_cores())
    if alone:
        rows = measure_towers()
        for row in rows:
            click.echo(f"{row['name']:10} {row['gmacs']:6.2f} GMAC {row['milliseconds']:8.2f} ms a frame")
        click.echo(f"saved {save('student_towers', {'batch': FRAMES, 'rows': rows}, by_machine=True)}")
        return
    if data is None or default is None or out is None:
        raise click.UsageError("give --data, --run and --out, or --towers")
    teacher = teach(larger(PRESETS["people"], epochs, clips), data, default / "voices", out)
    settings, student = StudentSettings().scaled(effort), out / "student"
    distill_students(StudentRun(teacher, student, settings=settings, workers=usable_cores(), resume=True))
    report = msgspec.json.decode((student / REPORT_FILE).read_bytes(), type=StudentReport)
    found = figures(report)
    click.echo("\n".join(map(str, found)))
    told = {"epochs": epochs, "clips": clips, "effort": effort, "report": msgspec.to_builtins(report)}
    result = {**told, "figures": [asdict(figure) for figure in found]}
    click.echo(f"saved {save('students', result, by_machine=True)}")
    refuse_missed(found)


if __name__ == "__main__":
    main()
