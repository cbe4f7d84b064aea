"""Folders of recordings with their manifests, as the sound encoder's stage reads them."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

VOICES = "file,speaker,label,fold,split\na/1.wav,s1,Anger,0,train\na/2.wav,s2,,1,test\n"
SPEECH = (
    "file,corpus,speaker,split\nspeech/1.wav,x,p1,train\nspeech/2.wav,x,p2,heldout\n"
    "noise/n.wav,noise,,train\n"
)


def write_wav(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())


def write_folder(folder: Path, manifest: str, seconds: float = 0.7) -> Path:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    (folder / "manifest.csv").write_text(manifest, encoding="utf-8")
    for row in manifest.splitlines()[1:]:
        write_wav(folder / row.split(",")[0], rng.integers(-9000, 9000, int(seconds * 16_000)))
    return folder
