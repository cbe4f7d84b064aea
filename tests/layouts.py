"""Small media in the layouts of real data sets: folders, names and file formats are theirs."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from emorec_rt.constants import EXPRESSIONS, SAMPLE_RATE_HZ
from emorec_train.data.synthetic import ClipSpec, plan_clip
from emorec_train.data.synthetic.write import write_clip

SECONDS = 0.6
FPS = 25
RAVDESS_EMOTIONS = ("01", "03", "04", "05", "06", "07", "08")
CREMAD_EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
ANNOTATIONS = "8th_ABAW_Annotations/EXPR_Recognition_Challenge"


def write_video(path: Path, seed: int, *, seconds: float = SECONDS, sound: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    spec = ClipSpec(seconds=seconds, width=96, height=96, labels=("Happiness",), sound=sound, clean=True)
    write_clip(plan_clip(seed, spec), path)
    return path


def write_wave(path: Path, seed: int, *, seconds: float = SECONDS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pcm = np.random.default_rng(seed).normal(0.0, 0.1, round(seconds * SAMPLE_RATE_HZ))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(np.round(pcm * 32767).astype("<i2").tobytes())
    return path


def write_pictures(folder: Path, numbers: Sequence[int], seed: int, side: int = 112) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in numbers:
        coarse = rng.integers(0, 256, (7, 7, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), cv2.resize(coarse, (side, side)))
    return folder


def write_ravdess(root: Path, actors: int = 3, *, videos: int = 1) -> Path:
    """Speech of some actors: the first ``videos`` emotions of each as video, the rest as sound."""
    for actor in range(1, actors + 1):
        for place, emotion in enumerate(RAVDESS_EMOTIONS):
            seed, name = 100 * actor + place, f"01-{emotion}-01-01-01-{actor:02d}"
            if place < videos:
                folder = root / f"Video_Speech_Actor_{actor:02d}" / f"Actor_{actor:02d}"
                write_video(folder / f"01-{name}.mp4", seed)
            else:
                folder = root / "Audio_Speech_Actors_01-24" / f"Actor_{actor:02d}"
                write_wave(folder / f"03-{name}.wav", seed)
    return root


def write_cremad(root: Path, actors: int = 3) -> Path:
    """Sound of some actors, and Flash video of the first emotion."""
    for actor in range(1001, 1001 + actors):
        for place, emotion in enumerate(CREMAD_EMOTIONS):
            name, seed = f"{actor}_IEO_{emotion}_HI", 100 * actor + place
            write_wave(root / "AudioWAV" / f"{name}.wav", seed)
            if place == 0:
                write_video(root / "VideoFlash" / f"{name}.flv", seed)
    return root


def annotate(
    root: Path,
    name: str,
    labels: Sequence[int],
    split: str = "Train_Set",
    header: str = ",".join(EXPRESSIONS),
) -> Path:
    path = root / ANNOTATIONS / split / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *map(str, labels)]) + "\n", encoding="utf-8")
    return path


def write_affwild2(root: Path, *, missing: Sequence[int] = (3, 4)) -> Path:
    """Two persons in a training video, and a validation video; the frames ``missing`` have no picture."""
    frames = round(SECONDS * FPS)
    labels = [k % len(EXPRESSIONS) for k in range(frames)]
    present = [number for number in range(1, frames + 1) if number not in missing]
    for split, video, persons in (
        ("Train_Set", "10-25-96x96", ("_left", "_right")),
        ("Validation_Set", "video7", ("",)),
    ):
        write_video(root / "batch1" / f"{video}.mp4", len(video))
        for seed, person in enumerate(persons):
            annotate(root, f"{video}{person}", labels, split)
            write_pictures(root / "cropped_aligned" / f"{video}{person}", present, seed)
    return root


MELD_EMOTIONS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")


def write_meld(root: Path) -> Path:
    """Clips of one actor: one for each emotion in train, two in each other split."""
    folders = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
    for number, (split, folder) in enumerate(folders.items()):
        lines = ["Speaker,Emotion,Dialogue_ID,Utterance_ID"]
        for utterance, emotion in enumerate(MELD_EMOTIONS if split == "train" else MELD_EMOTIONS[:2]):
            lines.append(f"Joey,{emotion},{number},{utterance}")
            write_video(root / folder / f"dia{number}_utt{utterance}.mp4", 10 * number + utterance)
        (root / f"{split}_sent_emo.csv").write_text("\n".join(lines) + "\n")
    return root
