"""Figures of benchmarks/people.py: intervals, materials, methods."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import people_faces
import people_methods
import pytest
from numpy.typing import NDArray
from people_faces import Material, figures
from people_scores import accuracy, interval, macro_f1, unweighted_recall

from emorec_rt.bundle import open_bundle
from emorec_rt.constants import EXPRESSIONS


def crops(count: int, side: int = 20) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


def test_measures() -> None:
    truth, given = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    assert accuracy(truth, given) == 0.75
    assert macro_f1(truth, given) == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert unweighted_recall(truth, given) == pytest.approx((2 / 3 + 1) / 2)


def test_an_interval_is_about_as_wide_as_theory_says() -> None:
    truth = np.zeros(400, np.int64)
    given = (np.arange(400) % 4 == 0).astype(np.int64)
    low, high = interval(accuracy, truth, given)
    deviation = np.sqrt(0.75 * 0.25 / 400)
    assert low == pytest.approx(0.75 - 1.96 * deviation, abs=0.01)
    assert high == pytest.approx(0.75 + 1.96 * deviation, abs=0.01)


def test_frames_of_one_clip_are_drawn_together() -> None:
    truth = np.zeros(400, np.int64)
    given = (np.arange(400) < 100).astype(np.int64)
    alone = interval(accuracy, truth, given)
    together = interval(accuracy, truth, given, np.arange(400) // 100)
    assert together[1] - together[0] > 3 * (alone[1] - alone[0])


def test_seven_classes_leave_out_other() -> None:
    truth = np.array([EXPRESSIONS.index(name) for name in ("Neutral", "Anger", "Other", "Sadness")])
    answers = np.eye(8, dtype=np.float32)[[0, 7, 7, 5]] + np.eye(8, dtype=np.float32)[[0, 1, 1, 5]] / 2
    told = figures(Material("four", crops(4), truth, np.arange(4)), "fixed", lambda _: answers)
    by_measure = {figure.measure: (figure.value, figure.count) for figure in told}
    assert by_measure["accuracy"] == (0.75, 4)
    assert by_measure["accuracy, 7 classes"] == (1.0, 3)


def test_the_bundle_gives_a_probability_for_each_expression() -> None:
    found = people_methods.bundle(None, "fp32")(crops(3))
    assert found.shape == (3, len(EXPRESSIONS))
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-4)
    assert set(open_bundle().manifest.labels) <= set(EXPRESSIONS)


def test_a_package_outside_answers_in_its_own_words(tmp_path: Path) -> None:
    program = tmp_path / "other.py"
    answer = {"labels": ["happy", "neutral"], "rows": [[0.75, 0.25]]}
    program.write_text(f"print('loading'); print({json.dumps(json.dumps(answer))})")
    found = people_methods._outside([sys.executable, str(program)])
    assert found[0, EXPRESSIONS.index("Happiness")] == 0.75
    assert found[0, EXPRESSIONS.index("Neutral")] == 0.25
    program.write_text("raise SystemExit('no such model')")
    with pytest.raises(RuntimeError, match="no such model"):
        people_methods._outside([sys.executable, str(program)])


def test_packed_stills_are_material(tmp_path: Path) -> None:
    encoded = [cv2.imencode(".png", np.full((48, 48), value, np.uint8))[1].ravel() for value in (10, 20)]
    np.savez(
        tmp_path / "faces.npz",
        png=np.concatenate(encoded),
        offset=np.cumsum([0, *map(len, encoded)]),
        label=np.array([0, 4]),
        split=np.array([0, 1]),
    )
    material = people_faces.stills("some", f"npz:{tmp_path / 'faces.npz'}", 48)
    assert material.truth.tolist() == [4]
    assert (material.crops == 20).all()


def test_talking_faces_are_found_as_at_run_time(media_root: Path) -> None:
    material = people_faces.talking("GRID", media_root / "faces" / "grid", 32)
    assert material.crops.shape[1:] == (32, 32, 3)
    assert len(set(material.groups.tolist())) == 5
    assert len(material.crops) > 300
