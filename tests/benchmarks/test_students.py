"""The benchmark's teacher is as large as it says, and its limits are those that a report is held to."""

from __future__ import annotations

import pytest
import students
import torch

from emorec_train.model.student_towers import VISUAL, gmacs
from emorec_train.model.vision import VisionEncoder
from emorec_train.settings.presets import PRESETS
from emorec_train.training.students.report import StudentReport, Tower


def test_the_teacher_has_more_than_ten_times_the_products() -> None:
    model = students.larger(PRESETS["people"], epochs=1, clips=10).model
    tower = VisionEncoder(model.vision, model.preprocessing.vision).eval()
    side = model.preprocessing.vision.crop_size
    frame = torch.zeros(1, side, side, 3, dtype=torch.uint8)
    assert side == VISUAL["edge-s"].image_size
    assert 3.5 < gmacs(tower, frame) < 6.0


@pytest.mark.parametrize(
    ("loss", "cosine", "kept"), [(0.01, 0.95, True), (0.03, 0.95, False), (0.01, 0.8, False)]
)
def test_limits(loss: float, cosine: float, kept: bool) -> None:
    tower = Tower(
        cosine=cosine,
        student_gmacs=0.3,
        teacher_gmacs=5.0,
        student_ms=1.0,
        teacher_ms=9.0,
        student_mib=8.0,
        teacher_mib=80.0,
    )
    report = StudentReport(
        clips=4,
        agreement=0.9,
        macro_f1=0.6 - loss,
        teacher_macro_f1=0.6,
        speedup=9.0,
        visual=tower,
        audio=None,
    )
    assert all(figure.holds for figure in students.figures(report)) is kept
