"""Segments as lines for people."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers import FORMATS, OutputOptions, Target

LABELS = ("Neutral", "Joy")


def test_a_line_for_each_run_of_one_label(tmp_path: Path) -> None:
    target = Target(tmp_path / "talk.mkv", tmp_path / "p.lines", LABELS, OutputOptions(0.5))
    writer = FORMATS["lines"].make(target)
    for index in range(100):
        joy = index >= 60
        scores = np.array([0.25, 0.75] if joy else [0.875, 0.125], np.float32)
        writer.write(Prediction(index, index, LABELS[joy], scores, True, True))
    writer.commit()
    assert (tmp_path / "p.lines").read_text() == (
        "talk\n  0:00.0 -   1:00.0  Neutral 0.88\n  1:00.0 -   1:40.0  Joy     0.75\n"
    )


def test_where_nobody_is_seen_or_heard_there_is_no_line(tmp_path: Path) -> None:
    target = Target(tmp_path / "talk.mkv", tmp_path / "p.lines", LABELS)
    writer = FORMATS["lines"].make(target)
    for index in range(50):
        writer.write(Prediction(index, index * 0.04, "Joy", np.array([0.2, 0.8], np.float32), False, False))
    writer.commit()
    assert (tmp_path / "p.lines").read_text() == "talk\n"
