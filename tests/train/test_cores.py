"""Threads of torch in the training programs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from emorec_train import cores
from emorec_train.cores import use_cores


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.setattr(cores, "usable_cores", lambda: 8)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({}, 8),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "many"}, 8),
        ({"LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}, 4),
        ({"LOCAL_WORLD_SIZE": "16"}, 1),
    ],
)
def test_a_thread_for_each_core_unless_the_user_says_otherwise(
    environment: dict[str, str], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_NUM_THREADS", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert use_cores() == 8
    assert torch.get_num_threads() == threads
