"""The rooms of the packages: their number, and no circle of imports."""

from __future__ import annotations

import pytest
import structure


@pytest.mark.parametrize("package", structure.LIMITS)
def test_few_rooms_and_no_circle(package: str) -> None:
    found = structure.measure(package)
    assert found["rooms"] <= structure.LIMITS[package]
    assert found["circles"] == 0


def test_no_nested_function_on_a_frame_s_way() -> None:
    assert structure.nested_functions() == 0
