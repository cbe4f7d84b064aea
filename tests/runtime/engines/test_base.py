"""What engines share: a library's complaint becomes the right error."""

from __future__ import annotations

import numpy as np
import pytest

from emorec_rt.engines.base import common_batch
from emorec_rt.errors import EngineError, OutOfMemoryError, engine_error


@pytest.mark.parametrize(
    "complaint",
    [
        "CUDA out of memory. Tried to allocate 20.00 MiB",  # torch
        "CUDA failure 2: out of memory ; GPU=0",  # onnxruntime's CUDA provider
        "BFCArena: Failed to allocate memory for requested buffer of size 12",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
        "Error Code 2: OutOfMemory (Requested size was 12 bytes.)",  # TensorRT
        "std::bad_alloc",
    ],
)
def test_a_full_memory_is_told_apart(complaint: str) -> None:
    error = engine_error("running", complaint, "restart")
    assert isinstance(error, OutOfMemoryError)
    assert "take a smaller batch" in str(error)
    assert complaint.split()[0] in str(error)


def test_other_complaints_keep_their_advice() -> None:
    error = engine_error("running", "invalid handle", "restart")
    assert type(error) is EngineError
    assert str(error) == "running: invalid handle; restart"
    assert str(engine_error("running", "", "")) == "running: the library gave no reason"


def test_batches_must_agree() -> None:
    assert common_batch({"a": np.zeros((3, 1)), "b": np.zeros((3, 2))}) == 3
    with pytest.raises(EngineError, match="differ"):
        common_batch({"a": np.zeros((3, 1)), "b": np.zeros((2, 2))})
