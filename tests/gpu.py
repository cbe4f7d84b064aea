"""Tests that need a GPU skip without one and say what is missing; a variable makes that a failure."""

from __future__ import annotations

import os
from typing import Final

import pytest

from emorec_rt.engines import describe

VARIABLE: Final = "EMOREC_REQUIRE_GPU"
"""``1`` for every backend, or names of backends with commas between them."""


def need(backend: str) -> None:
    """Skip the test where a backend can't run, or fail it where it has to."""
    reason = describe(backend).unavailable()
    if reason is None:
        return
    if required(backend):
        pytest.fail(reason)
    pytest.skip(f"{reason}; {VARIABLE}=1 makes this a failure")


def required(backend: str) -> bool:
    """Whether the environment asks for a backend."""
    wanted = os.environ.get(VARIABLE, "")
    return wanted == "1" or backend in wanted.split(",")
