"""Agreement of variants: what is made, what is counted, what misses a limit."""

from __future__ import annotations

from pathlib import Path

import agreement
import numpy as np
import pytest
from agreement import Figure

from emorec_rt.bundle import open_bundle
from emorec_train.data.labels import IGNORED
from layouts import write_video


def figure(variant: str, share: float, change: float | None = None) -> Figure:
    return Figure("generated", variant, 1, 1000, share, change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        (figure("int8", 0.995, -0.005), True),
        (figure("int8", 0.9949), False),
        (figure("int8", 1.0, -0.0051), False),
        (figure("fp16", 0.998, 0.1), False),
        (figure("fp16", 0.999), True),
    ],
)
def test_limits(found: Figure, holds: bool) -> None:
    assert found.holds == holds
    assert ("MISSED" in agreement.line(found)) == (not holds)


def test_steps_are_counted_and_unknown_labels_score_nothing() -> None:
    labels = ("a", "b")
    truth = np.array([0, 0, 1, 1])
    answers = {name: np.array([0, 0, 1, 1]) for name in ("fp32", *agreement.CONTENDERS)}
    answers["int8"] = np.array([0, 1, 1, 1])
    found = {one.variant: one for one in agreement._figures("x", 1, truth, answers, labels)}  # type: ignore[arg-type]
    assert (found["int8"].agreement, found["fp16"].agreement) == (0.75, 1.0)
    assert found["int8"].macro_f1_change is not None
    assert found["int8"].macro_f1_change < 0
    unknown = list(agreement._figures("x", 1, np.full(4, IGNORED), answers, labels))  # type: ignore[arg-type]
    assert {one.macro_f1_change for one in unknown} == {None}


def test_the_default_bundle_on_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = open_bundle()
    files = [write_video(tmp_path / "a.mp4", 1, seconds=2.0), tmp_path / "b.mp4"]
    files[1].write_bytes(b"no video")
    engines = agreement.open_variants(bundle, tmp_path)
    assert {path.name for path in tmp_path.glob("vision.*")} >= {"vision.fp16.onnx", "vision.int8-fp16.onnx"}
    assert not (tmp_path / "vision.int8.onnx").exists(), "the bundle has it"
    found = agreement.compare("real", agreement.recorded(files), bundle, engines)
    assert "left out:" in capsys.readouterr().err
    assert [one.variant for one in found] == list(agreement.CONTENDERS)
    assert all(one.count == 1 and one.steps > 20 for one in found)
    assert all(one.agreement > 0.9 for one in found)
