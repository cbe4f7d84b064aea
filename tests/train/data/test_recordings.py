"""Recordings behind a manifest: read by the runtime's decoder, refused in a line where one is missing."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from emorec_train.data.datasets.record import DatasetError
from emorec_train.data.recordings import load_sounds, read_speech, read_voices
from recording_files import SPEECH, VOICES, write_folder


def test_voices_have_speakers_labels_and_folds(tmp_path: Path) -> None:
    first, second = read_voices(write_folder(tmp_path / "voices", VOICES))
    assert (first.speaker, first.label, first.fold, first.split) == ("s1", "Anger", 0, "train")
    assert (second.label, second.fold, second.noise) == ("", 1, False)


def test_speech_tells_noise_and_what_is_held_out(tmp_path: Path) -> None:
    found = read_speech(write_folder(tmp_path / "speech", SPEECH))
    assert [one.noise for one in found] == [False, False, True]
    assert [one.split for one in found] == ["train", "heldout", "train"]


def test_sounds_lie_one_after_the_other(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "voices", VOICES)
    table = load_sounds(read_voices(folder), "recordings")
    assert len(table) == 2
    assert table.lengths.tolist() == [11_200, 11_200]
    with wave.open(str(folder / "a" / "2.wav")) as file:
        expected = np.frombuffer(file.readframes(11_200), "<i2")
    np.testing.assert_allclose(table.samples(1) * 32767, expected, atol=1.5)


def test_what_is_missing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"No such file.*--data is the folder above it"):
        read_voices(tmp_path)
    folder = write_folder(tmp_path / "voices", VOICES)
    (folder / "a" / "2.wav").unlink()
    with pytest.raises(DatasetError, match=r"1 files of its manifest are missing, 2\.wav first"):
        read_voices(folder)
    other = write_folder(tmp_path / "other", "file,label\na.wav,Anger\n")
    with pytest.raises(DatasetError, match="none of the columns speaker, fold, split"):
        read_voices(other)
