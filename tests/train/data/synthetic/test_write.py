"""Files hold what was drawn."""

from __future__ import annotations

import csv
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from emorec_rt.constants import EXPRESSIONS, SAMPLE_RATE_HZ
from emorec_rt.errors import OutputError
from emorec_train.data.synthetic import ClipSpec, draw_clip, plan_clip, write_clip, write_labels
from emorec_train.data.synthetic.__main__ import main

SPEC = ClipSpec(seconds=1.6, width=160, height=128)


def decode(path: Path) -> tuple[np.ndarray, list[float], np.ndarray]:
    with av.open(path) as container:
        frames = list(container.decode(video=0))
    with av.open(path) as container:
        sound = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    return (
        np.stack([f.to_ndarray(format="rgb24") for f in frames]),
        [f.time for f in frames],
        np.concatenate(sound),
    )


def test_mp4_keeps_frames_times_and_sound(tmp_path: Path) -> None:
    clip = draw_clip(11, SPEC)
    write_clip(clip, tmp_path / "clip.mp4")
    frames, times, sound = decode(tmp_path / "clip.mp4")
    assert frames.shape == clip.frames.shape
    np.testing.assert_allclose(times, clip.times_seconds, atol=1e-3)
    assert np.abs(frames.astype(float) - clip.frames).mean() < 8
    assert abs(len(sound) - SPEC.seconds * SAMPLE_RATE_HZ) <= 2048
    common = min(len(sound), len(clip.pcm))
    assert np.corrcoef(sound[:common], clip.pcm[:common])[0, 1] > 0.9
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_silent_clip_has_no_audio_track(tmp_path: Path) -> None:
    write_clip(plan_clip(1, ClipSpec(seconds=0.4, sound=False)), tmp_path / "silent.mp4")
    with av.open(tmp_path / "silent.mp4") as container:
        assert not container.streams.audio
        assert sum(1 for _ in container.decode(video=0)) == 10


def test_labels_csv(tmp_path: Path) -> None:
    clip = plan_clip(4, SPEC)
    write_labels(clip, tmp_path / "labels.csv")
    with (tmp_path / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == list(range(SPEC.frame_count))
    assert [EXPRESSIONS.index(row["label"]) for row in rows] == clip.labels.tolist()
    np.testing.assert_allclose([float(row["time_seconds"]) for row in rows], clip.times_seconds, atol=1e-6)


def test_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken.mp4").mkdir()
    with pytest.raises(OutputError, match="taken"):
        write_clip(plan_clip(1, ClipSpec(seconds=0.2)), tmp_path / "taken.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["taken.mp4"]


def test_command_line_writes_what_is_asked_for(tmp_path: Path) -> None:
    paths = {name: tmp_path / name for name in ("clip.mp4", "clip.csv", "clip.png")}
    wanted = ["--out", paths["clip.mp4"], "--labels", paths["clip.csv"], "--sheet", paths["clip.png"]]
    options = [
        "--seed",
        "3",
        "--seconds",
        "0.6",
        "--size",
        "64",
        "96",
        "--label",
        "Sadness",
        *map(str, wanted),
    ]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    assert "Sadness" in paths["clip.csv"].read_text(encoding="utf-8")
    sheet = cv2.imread(str(paths["clip.png"]))
    assert sheet is not None
    assert sheet.shape == (2 * 96, 6 * 64, 3)


def test_command_line_refuses_unknown_labels() -> None:
    result = CliRunner().invoke(main, ["--label", "Joy"])
    assert result.exit_code == 2
    assert "Joy" in result.output
