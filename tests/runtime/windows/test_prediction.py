"""Rows as values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emorec_rt.faces import Box
from emorec_rt.windows.prediction import Prediction


def row(**changes: object) -> Prediction:
    box = Box(1.0, 2.0, 3.0, 4.0)
    probabilities = np.array([0.25, 0.75], np.float32)
    made = Prediction(3, 0.12, "Anger", probabilities, True, False, box, ("Neutral", "Anger"), 1)
    return replace(made, **changes)  # type: ignore[arg-type]  # of any field


def test_rows_with_the_same_content_are_equal() -> None:
    assert row() == row()
    assert len({row(), row()}) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"index": 4},
        {"box": None},
        {"person": None},
        {"probabilities": np.array([0.5, 0.5], np.float32)},
        {"probabilities": np.array([1.0], np.float32)},
    ],
)
def test_rows_that_differ_are_not(changes: dict[str, object]) -> None:
    assert row() != row(**changes)


def test_a_row_is_no_dictionary() -> None:
    assert row() != row().to_dict()
