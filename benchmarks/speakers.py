"""Active speaker: share of the voiced frames of two people whose sound goes to the right face.

    python benchmarks/speakers.py MEDIA/faces/grid

Each clip shows one person who speaks. It is put beside frames of another one from the stretches in which that
person is silent, so that the truth is known. Drawn faces with mouths that open and close are measured beside.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Final

import click
import cv2
import numpy as np
from machine import save
from numpy.typing import NDArray

from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.faces import FaceCropper
from emorec_rt.faces.mouth import MouthMotion
from emorec_rt.media import Frame, Samples, open_media
from emorec_rt.windows.speakers import Speakers

GOAL: Final = 0.9
VOICED: Final = 0.1
"""Of the loud level of a clip: sound above it is a voice."""

LOUD_PERCENTILE: Final = 95
SILENT_FRAMES: Final = 2
"""On each side of a silent frame, the sound is silent too."""

DRAWN_SECONDS: Final = 20.0
FPS: Final = 25.0


@dataclass(frozen=True, slots=True)
class Talk:
    """One person.

    Attributes:
        times: float64 ``[T]``, presentation times in seconds.
        moved: float64 ``[T]``, movement of the mouth.
        voiced: bool ``[T]``, whether there is a voice.
    """

    times: NDArray[np.float64]
    moved: NDArray[np.float64]
    voiced: NDArray[np.bool_]

    def silent(self) -> NDArray[np.float64]:
        """Movements of the mouth while there is no voice."""
        near = np.convolve(self.voiced, np.ones(2 * SILENT_FRAMES + 1), "same") > 0
        return self.moved[1:][~near[1:]]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), required=False)
@click.option("--save", "keep", is_flag=True, help="Write benchmarks/results/speakers.json.")
def main(folder: Path | None, keep: bool) -> None:
    """Print the share of voiced frames that go to the right face."""
    found = {"drawn": drawn()}
    if folder is not None:
        talks = [read_talk(path) for path in sorted(folder.iterdir())]
        pairs = [right(one, other) for one, other in permutations(talks, 2) if len(other.silent()) > 8]
        found["real"] = np.concatenate(pairs)
    numbers = {}
    for name, hits in found.items():
        numbers[name] = {"right": round(float(hits.mean()), 4), "voiced_frames": len(hits)}
        click.echo(f"{name}: {hits.mean():.3f} of {len(hits)} voiced frames (goal {GOAL})")
    if keep:
        save("speakers", numbers)


def right(one: Talk, other: Talk) -> NDArray[np.bool_]:
    """Say whether each voiced frame of one person goes to that one, a silent person being beside."""
    still = np.resize(other.silent(), len(one.times))
    speakers = Speakers()
    for time, moved, rest in zip(one.times.tolist(), one.moved.tolist(), still.tolist(), strict=True):
        speakers.see(1, time, moved)
        speakers.see(2, time, rest)
    return np.asarray(speakers.mask(1, one.times[one.voiced]) > 0)


def read_talk(path: Path) -> Talk:
    """Measure mouth and voice of a clip."""
    cropper, mouth = FaceCropper(), MouthMotion()
    times, moved, sound = [], [], []
    with open_media(path) as media:
        for item in media:
            if isinstance(item, Frame):
                crop = cropper.process(item)
                times.append(item.pts_seconds)
                moved.append(0.0 if crop.pixels is None else mouth.measure(crop.pixels))
            elif isinstance(item, Samples):
                sound.append(item)
    return Talk(np.array(times), np.array(moved), voiced_at(np.array(times), sound))


def voiced_at(times: NDArray[np.float64], sound: list[Samples]) -> NDArray[np.bool_]:
    """Say whether the sound of each frame is loud, bool ``[T]``."""
    pcm = np.concatenate([block.pcm for block in sound])
    length = round(SAMPLE_RATE_HZ / FPS)
    first = np.round((times - sound[0].pts_seconds) * SAMPLE_RATE_HZ).astype(int).clip(0, len(pcm) - length)
    levels = np.array([np.sqrt(np.mean(pcm[k : k + length] ** 2)) for k in first.tolist()])
    return np.asarray(levels > VOICED * np.percentile(levels, LOUD_PERCENTILE))


def drawn() -> NDArray[np.bool_]:
    """Two drawn mouths that open and close in turns of two seconds."""
    times = np.arange(0.0, DRAWN_SECONDS, 1 / FPS)
    turns = (times // 2).astype(int) % 2
    speakers, mouths = Speakers(), (MouthMotion(), MouthMotion())
    rng = np.random.default_rng(0)
    for time, turn in zip(times.tolist(), turns.tolist(), strict=True):
        for number, mouth in enumerate(mouths):
            opening = abs(np.sin(2 * np.pi * 4.0 * time)) if number == turn else 0.0
            speakers.see(number + 1, time, mouth.measure(face(opening, rng)))
    hits = [speakers.mask(number + 1, times[turns == number]) > 0 for number in range(2)]
    return np.concatenate(hits)


def face(opening: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A crop with eyes, nose and a mouth that is open so far, uint8 ``[224, 224, 3]``."""
    picture = np.full((224, 224, 3), 190, np.uint8)
    shift = rng.integers(-1, 2, 2)
    for x in (75, 150):
        cv2.ellipse(picture, (x + int(shift[0]), 85 + int(shift[1])), (16, 8), 0, 0, 360, (60, 50, 40), -1)
    cv2.line(picture, (112, 95), (106, 130), (150, 120, 110), 4)
    center = (112 + int(shift[0]), 165 + int(shift[1]))
    cv2.ellipse(picture, center, (30, 4 + round(14 * opening)), 0, 0, 360, (110, 40, 40), -1)
    return np.asarray(np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255), np.uint8)


if __name__ == "__main__":
    main()
